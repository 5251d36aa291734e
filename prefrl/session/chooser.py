"""The choice of queries: a pool is drawn and spread, a strategy chooses, old ones are left out.

Axes: B queries, S segments.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance, whole_number
from prefrl.errors import ArgumentError, calling, not_a
from prefrl.feedback.objectives import objectives_in_turns
from prefrl.feedback.pairs import are_new, window_pairs, windows_of
from prefrl.queries.pairs import checked_pairs, num_pairs, sides_drawn
from prefrl.queries.predictor import Predictor, QueryStrategy
from prefrl.queries.strategies import Uniform, as_strategy, strategy_name
from prefrl.seeding import AUDIT, CANDIDATES, SPREAD, STRATEGY, UNASKED, Streams, redrawn
from prefrl.segments import SegmentBatch, equally_long
from prefrl.session.pool import Source, farthest_apart
from prefrl.session.unasked import Asked, Unasked

# Pools drawn in search of a query that was not put before.
MAX_DRAWS = 5
# A larger session is chosen in parts: what a choice takes grows with the square of its pool.
LARGE_SESSION = 1_000
PART = 250
# What a session has beyond so many is drawn at random, as it would take minutes to choose.
MOST_CHOSEN = 10_000


@dataclass(frozen=True)
class Chosen:
    """B queries that are about to be put.

    Args:
        left: B segments.
        right: B segments, as long.
        is_audit: (B,) drawn at random, not chosen.
        objective: (B,) which objective each is about.
    """

    left: SegmentBatch
    right: SegmentBatch
    is_audit: NDArray[np.bool_]
    objective: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> "Chosen":
        return Chosen(*(getattr(self, field.name)[rows] for field in fields(self)))

    def cut_out(self) -> "Chosen":
        """Returns them with segments that keep no pool alive."""
        return replace(self, left=self.left.cut_out(), right=self.right.cut_out())

    @staticmethod
    def concatenate(parts: Sequence["Chosen"]) -> "Chosen":
        """Joins queries that are cut out."""
        if len(parts) == 1:
            return parts[0]
        left, right = (
            SegmentBatch.concatenate([getattr(part, side) for part in parts])
            for side in ("left", "right")
        )
        is_audit, objective = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("is_audit", "objective")
        )
        return Chosen(left, right, is_audit, objective)


@dataclass
class Chooser:
    """Finds queries that are worth asking.

    Args:
        source: the segments that may be asked about.
        strategy: chooses pairs once there is a fitted model; before that they are uniform.
        predictor: the reward model that strategies consult.
        streams: the run's random streams.
        spread_factor: so many times the pool is drawn, and those are kept that lie farthest apart;
            where the source has fewer segments, all are drawn. 1 keeps a plain draw.
        audit_share: share of all queries that are drawn at random from what was drawn plainly,
            before any spreading and choosing, so that what is measured on them is unbiased.
        num_objectives: M; where there are several, queries are about one each, in turns, and a pair
            can be asked about once for each.
    """

    source: Source
    strategy: QueryStrategy
    predictor: Predictor
    streams: Streams
    spread_factor: int = 1
    audit_share: float = 0.0
    num_objectives: int = 1
    select_s: float = field(default=0.0, init=False)
    """Seconds that strategies have taken so far."""
    _has_warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.strategy = as_strategy(self.strategy)
        instance("streams", self.streams, Streams)
        self.spread_factor = whole_number("spread_factor", self.spread_factor, least=1)
        self.num_objectives = whole_number("num_objectives", self.num_objectives, least=1)
        if not isinstance(self.audit_share, (int, float)) or not 0 <= self.audit_share <= 1:
            raise ArgumentError(not_a("audit_share", self.audit_share, "a number from 0 to 1"))
        if not callable(getattr(self.source, "draw", None)):
            raise ArgumentError(not_a("source", self.source, "a FixedSource or a StoreSource"))

    def num_segments(self) -> int:
        """Counts the different segments that may be asked about now."""
        return self.source.num_segments()

    def draw(self, num_segments: int, *, rng: np.random.Generator) -> SegmentBatch:
        """Returns different segments, drawn plainly, or all where there are fewer."""
        return self.source.draw(num_segments, rng=rng)

    def choose(
        self,
        num_queries: int,
        *,
        asked: Asked,
        num_before: int,
        num_audits_before: int,
        is_fitted: bool,
        show: Callable[[SegmentBatch], object] | None = None,
    ) -> Chosen | None:
        """Returns queries that were not put before, at most so many.

        What is missing is asked for again by whoever calls.

        Args:
            num_queries: B.
            asked: what was put so far.
            num_before: queries by which the random streams are numbered: those put so far.
            num_audits_before: those of them that were drawn at random.
            is_fitted: the predictor has been fitted.
            show: is given each pool as it was drawn plainly.

        Returns:
            None where everything was put that there is.
        """
        session = _Session(asked, num_before, num_audits_before, is_fitted, show)
        # Where most pairs are asked about anyway, all that are left are looked at.
        is_scarce = num_pairs(self.source.num_segments()) < 2 * (num_before + num_queries)
        if is_scarce:
            unasked, segments = self._unasked(session)
            if len(unasked) <= num_queries:
                if show is not None and len(unasked):
                    show(segments[np.arange(len(segments))])
                return self._at_random(len(unasked), session) if len(unasked) else None
        parts: list[Chosen] = []
        for size in _part_sizes(num_queries):
            part = self._chosen(size, session)
            if part is None:
                break
            parts.append(part)
            session = session.after(part)
        missing = num_queries - sum(map(len, parts))
        if missing and (is_scarce or not parts or num_queries > LARGE_SESSION):
            if not (is_scarce or parts):
                self._warn_of_repeats()
            parts.append(self._at_random(missing, session))
        return Chosen.concatenate(parts)

    def _chosen(self, num_queries: int, session: "_Session") -> Chosen | None:
        """Returns new queries of the strategy's, at most so many; None where it finds none."""
        size = min(self.source.pool_size(num_queries), self.source.num_segments())
        most = num_pairs(size)
        num_queries = min(num_queries, most)
        num_before = session.num_before
        num_audits = self._num_audits(num_queries, session)
        # Of so large a batch as the second some are new, if any pair of its candidates is; but not
        # every strategy can choose so many.
        large = min(num_queries + num_before, most)
        if large > LARGE_SESSION:
            large = num_queries
        for draw, count in enumerate([num_queries, large, *[num_queries] * (MAX_DRAWS - 2)]):
            drawn = self._drawn(size, draw, num_before)
            if session.show is not None:
                session.show(drawn[np.arange(len(drawn))])  # What it writes into is its own.
            try:
                found = self._found(drawn, size, count, num_audits, draw, session)
            except Exception:  # whatever a strategy of one's own does when it runs out of segments
                if count <= num_queries:
                    raise
                continue
            is_new = are_new(found.left, found.right, before=session.asked.windows)
            new = np.flatnonzero(is_new)[:num_queries]
            if len(new):
                objective = objectives_in_turns(num_before, len(new), self.num_objectives)
                return replace(found[new].cut_out(), objective=objective)
        return None

    def _at_random(self, num_queries: int, session: "_Session") -> Chosen:
        """Returns new queries drawn from all there are, as many as asked for if there are."""
        unasked, segments = self._unasked(session)
        rng = self.streams.generator(redrawn(UNASKED, 1), session.num_before)
        rows, objective = unasked.drawn(num_queries, rng=rng)
        rows = sides_drawn(rows, rng=rng)
        left, right = equally_long(segments[rows[:, 0]], segments[rows[:, 1]])
        is_audit = np.arange(len(left)) < self._num_audits(len(left), session)
        return Chosen(left, right, is_audit, objective).cut_out()

    def _unasked(self, session: "_Session") -> tuple[Unasked, SegmentBatch]:
        rng = self.streams.generator(UNASKED, session.num_before)
        segments = self.source.draw(max(self.source.num_segments(), 1), rng=rng)
        return Unasked(segments, session.asked, self.num_objectives), segments

    def _num_audits(self, num_queries: int, session: "_Session") -> int:
        # Over the whole run, so that small sessions round neither way.
        wanted = int((session.num_before + num_queries) * self.audit_share)
        return min(max(wanted - session.num_audits_before, 0), num_queries)

    def _warn_of_repeats(self) -> None:
        if not self._has_warned:
            warnings.warn(
                f"the query strategy {strategy_name(self.strategy)} chose in {MAX_DRAWS} pools "
                "nothing but pairs that were asked about before; others are drawn at random",
                stacklevel=2,
            )
        self._has_warned = True

    def _drawn(self, size: int, draw: int, num_before: int) -> SegmentBatch:
        rng = self.streams.generator(redrawn(CANDIDATES, draw), num_before)
        return self.source.draw(self.spread_factor * size, rng=rng)

    def _found(
        self,
        drawn: SegmentBatch,
        size: int,
        count: int,
        num_audits: int,
        draw: int,
        session: "_Session",
    ) -> Chosen:
        """Returns audit queries, then those of the strategy."""
        num_before = session.num_before
        rows = np.zeros((0, 2), dtype=np.int64)  # of what was drawn
        if num_audits:
            rng = self.streams.generator(redrawn(AUDIT, draw), num_before)
            rows = Uniform().select(drawn, num_audits, self.predictor, rng=rng)
        if count > num_audits:
            kept = np.arange(len(drawn))
            if self.spread_factor > 1:
                rng = self.streams.generator(redrawn(SPREAD, draw), num_before)
                kept = farthest_apart(drawn, size, rng=rng)
            strategy = self.strategy if session.is_fitted else Uniform()
            rng = self.streams.generator(redrawn(STRATEGY, draw), num_before)
            began_s = time.perf_counter()
            pool = drawn[kept]
            with calling(f"select of the query strategy {strategy_name(strategy)}"):
                pairs = strategy.select(pool, count - num_audits, self.predictor, rng=rng)
            self.select_s += time.perf_counter() - began_s
            pairs = checked_pairs(pairs, len(pool), count - num_audits)
            rows = np.concatenate([rows, kept[pairs]])
        left, right = equally_long(drawn[rows[:, 0]], drawn[rows[:, 1]])
        is_audit = np.arange(len(left)) < num_audits
        return Chosen(left, right, is_audit, np.zeros(len(left), dtype=np.int64))


@dataclass(frozen=True)
class _Session:
    """Arguments of `Chooser.choose`, as they stand between the parts of a session."""

    asked: Asked
    num_before: int
    num_audits_before: int
    is_fitted: bool
    show: Callable[[SegmentBatch], object] | None

    def after(self, part: Chosen) -> "_Session":
        """Returns what the next part of the session goes by."""
        windows = window_pairs(windows_of(part.left), windows_of(part.right))
        return replace(
            self,
            asked=self.asked.with_more(windows, part.objective),
            num_before=self.num_before + len(part),
            num_audits_before=self.num_audits_before + int(part.is_audit.sum()),
        )


def _part_sizes(num_queries: int) -> list[int]:
    """Divides a session into what is chosen at once; where it is too large, it is not all of it."""
    if num_queries <= LARGE_SESSION:
        return [num_queries]
    num_chosen = min(num_queries, MOST_CHOSEN)
    return [min(PART, num_chosen - start) for start in range(0, num_chosen, PART)]
