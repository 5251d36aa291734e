"""One round of asking: candidates are drawn, a strategy chooses, the teacher answers.

Axes: B queries, S segments.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher, objectives_in_turns
from prefrl.feedback.protocols import Teacher
from prefrl.queries.pairs import checked_pairs, num_pairs
from prefrl.queries.predictor import Predictor, QueryStrategy
from prefrl.queries.strategies import Uniform
from prefrl.seeding import CANDIDATES, OBSERVE, SPLIT, SPREAD, STRATEGY, TEACHER, Streams, redrawn
from prefrl.segments import SegmentBatch, equally_long
from prefrl.session.pool import Source, spread_out

# A teacher that skips is asked again, about other segments, until so many times the wanted answers
# were put to it; what is still missing then is asked for in the next session.
MAX_QUERIES_PER_ANSWER = 20
# Pools drawn in search of a query that was not put before.
MAX_DRAWS = 5

Sides = tuple[SegmentBatch, SegmentBatch]
"""Left and right segments of B queries."""


@dataclass
class Asker:
    """Asks a teacher about segments of a source, and keeps the answers.

    Args:
        source: the segments that may be asked about.
        teacher: who answers.
        strategy: chooses the queries, from the second session on; the first is uniform.
        predictor: the reward model that strategies consult.
        streams: the run's random streams.
        dataset: receives the answers.
        path: the answers are written here before they are used; None keeps them in memory only.
        spread_factor: so many times the pool is drawn, and those are kept that lie farthest apart;
            where the source has fewer segments, all are drawn. 1 keeps a plain draw.
        num_observed: segments that the teacher is shown at the start of a session, drawn plainly;
            None shows it each pool instead, as drawn, before any spreading.
        num_objectives: M; where there are several, queries are about one each, in turns, and the
            teacher is told which.
        may_repeat: whether queries are put once more when nothing new is left to ask; otherwise
            that is an error.
    """

    source: Source
    teacher: Teacher | ObjectiveTeacher
    strategy: QueryStrategy
    predictor: Predictor
    streams: Streams
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    path: Path | None = None
    spread_factor: int = 1
    num_observed: int | None = None
    num_objectives: int = 1
    may_repeat: bool = True
    select_s: float = field(default=0.0, init=False)
    """Seconds that strategies have taken so far."""

    def ask(self, total: int, *, session: int) -> dict[str, float]:
        """Asks until there are `total` answers, those of earlier sessions among them.

        There may be fewer in the end, where a teacher skips nearly everything.

        Args:
            total: answers there are to be.
            session: the number of this round; answers on disk from before a kill count.

        Returns:
            what the teacher says of the segments it was shown.
        """
        metrics: dict[str, float] = {}
        if self.num_observed is not None:
            rng = self.streams.generator(OBSERVE, session)
            metrics = self.teacher.observe(self.source.draw(self.num_observed, rng=rng))
        before = asked_up_to(self.dataset, session - 1)
        strategy = self.strategy if len(before) else Uniform()
        patience = len(before) + MAX_QUERIES_PER_ANSWER * max(total - before.num_answers, 0)
        while True:
            known = asked_up_to(self.dataset, session)
            # Streams count in queries, so they go on after a kill as if nothing had happened.
            asked = len(known)
            missing = min(total - known.num_answers, patience - asked)
            if missing <= 0:
                return metrics
            left, right = self._new_queries(strategy, missing, known)
            objective = objectives_in_turns(asked, len(left), self.num_objectives)
            # Who answers about the only objective is not asked which it is.
            about: dict[str, Any] = {"objective": objective} if self.num_objectives > 1 else {}
            rng = self.streams.generator(TEACHER, asked)
            answers = self.teacher.answer(left, right, rng=rng, **about)
            split = self.streams.generator(SPLIT, asked)
            self.dataset.add(left, right, answers, session=session, rng=split, **about)
            if self.path is not None:
                self.dataset.save(self.path)

    def _new_queries(
        self, strategy: QueryStrategy, num_queries: int, known: PreferenceDataset
    ) -> Sides:
        """Returns the two sides of what the strategy chooses and was not asked before.

        There may be fewer than were wanted, but at least one; what is missing is asked for again
        by whoever calls. If of several pools nothing new was chosen, there is little else to ask,
        and old queries are put once more; but a window is compared with itself only where there is
        no other.

        Raises:
            DataError: there is nothing new, and queries may not be put twice.
        """
        size = self.source.pool_size(num_queries)
        # Of so large a batch as the second some are new, if any pair of its candidates is; but not
        # every strategy can choose so many.
        large = min(num_queries + len(known), num_pairs(size))
        old: Sides | None = None
        for draw, count in enumerate([num_queries, large, *[num_queries] * (MAX_DRAWS - 2)]):
            pool = self._candidates(size, draw, len(known))
            try:
                left, right = self._chosen(strategy, pool, count, draw, len(known))
            except Exception:  # whatever a strategy of one's own does when it runs out of segments
                if count <= num_queries:
                    raise
                continue
            new = np.flatnonzero(known.is_new(left, right))[:num_queries]
            if len(new):
                return left[new], right[new]
            # Where windows are few, a pool has some of them more than once.
            is_pair = (left.episode != right.episode) | (left.start != right.start)
            if is_pair.any():
                rows = np.flatnonzero(is_pair)[:num_queries]
                old = left[rows], right[rows]
        if not self.may_repeat:
            raise DataError(
                f"of {size} segments no pair was chosen that was not asked about before, in "
                f"{MAX_DRAWS} pools and after {len(known)} queries; there must be more segments"
            )
        return old or (left[:num_queries], right[:num_queries])

    def _candidates(self, size: int, draw: int, asked: int) -> SegmentBatch:
        rng = self.streams.generator(redrawn(CANDIDATES, draw), asked)
        drawn = self.source.draw(self.spread_factor * size, rng=rng)
        if self.num_observed is None:
            self.teacher.observe(drawn)
        if self.spread_factor == 1:
            return drawn
        return spread_out(drawn, size, rng=self.streams.generator(redrawn(SPREAD, draw), asked))

    def _chosen(
        self, strategy: QueryStrategy, pool: SegmentBatch, count: int, draw: int, asked: int
    ) -> Sides:
        rng = self.streams.generator(redrawn(STRATEGY, draw), asked)
        began_s = time.perf_counter()
        pairs = strategy.select(pool, count, self.predictor, rng=rng)
        self.select_s += time.perf_counter() - began_s
        pairs = checked_pairs(pairs, len(pool), count)
        return equally_long(pool[pairs[:, 0]], pool[pairs[:, 1]])


def asked_up_to(dataset: PreferenceDataset, session: int) -> PreferenceDataset:
    """Returns the queries of sessions 0..session.

    They are all there are, unless the run was resumed from a checkpoint before its newest: the
    answers of the sessions that are to come again then wait in the file.
    """
    count = int((dataset.session <= session).sum())
    return dataset if count == len(dataset) else dataset.first(count)
