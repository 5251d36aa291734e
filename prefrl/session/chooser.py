"""The choice of queries: a pool is drawn and spread, a strategy chooses, old ones are left out.

Axes: B queries, S segments.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, calling
from prefrl.queries.pairs import checked_pairs, num_pairs
from prefrl.queries.predictor import Predictor, QueryStrategy
from prefrl.queries.strategies import Uniform, strategy_name
from prefrl.seeding import AUDIT, CANDIDATES, SPREAD, STRATEGY, Streams, redrawn
from prefrl.segments import SegmentBatch, equally_long
from prefrl.session.pool import Source, farthest_apart

# Pools drawn in search of a query that was not put before.
MAX_DRAWS = 5

IsNew = Callable[[SegmentBatch, SegmentBatch], NDArray[np.bool_]]
"""Tells which of B pairs were not put before."""


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
        may_repeat: whether queries are put once more when nothing new is left to ask; otherwise
            that is an error.
    """

    source: Source
    strategy: QueryStrategy
    predictor: Predictor
    streams: Streams
    spread_factor: int = 1
    audit_share: float = 0.0
    may_repeat: bool = True
    select_s: float = field(default=0.0, init=False)
    """Seconds that strategies have taken so far."""

    def choose(
        self,
        num_queries: int,
        *,
        num_before: int,
        num_audits_before: int,
        is_new: IsNew,
        is_fitted: bool,
        show: Callable[[SegmentBatch], object] | None = None,
    ) -> Chosen:
        """Returns queries that were not put before, at least one, and at most so many.

        What is missing is asked for again by whoever calls. If of several pools nothing new was
        chosen, there is little else to ask, and old queries are put once more; but a window is
        compared with itself only where there is no other.

        Args:
            num_queries: B.
            num_before: queries put so far, by which the random streams are numbered.
            num_audits_before: those of them that were drawn at random.
            is_new: tells pairs that were not put before.
            is_fitted: the predictor has been fitted.
            show: is given each pool as it was drawn plainly.

        Raises:
            DataError: there is nothing new, and queries may not be put twice.
        """
        size = self.source.pool_size(num_queries)
        # Over the whole run, so that small sessions round neither way.
        wanted = int((num_before + num_queries) * self.audit_share) - num_audits_before
        num_audits = min(max(wanted, 0), num_queries)
        # Of so large a batch as the second some are new, if any pair of its candidates is; but not
        # every strategy can choose so many.
        large = min(num_queries + num_before, num_pairs(size))
        old: Chosen | None = None
        for draw, count in enumerate([num_queries, large, *[num_queries] * (MAX_DRAWS - 2)]):
            drawn = self._drawn(size, draw, num_before)
            if show is not None:
                show(drawn[np.arange(len(drawn))])  # What it writes into is its own.
            try:
                found = self._found(drawn, size, count, num_audits, draw, num_before, is_fitted)
            except Exception:  # whatever a strategy of one's own does when it runs out of segments
                if count <= num_queries:
                    raise
                continue
            new = np.flatnonzero(is_new(found.left, found.right))[:num_queries]
            if len(new):
                return found[new].cut_out()
            # Where windows are few, a pool has some of them more than once.
            left, right = found.left, found.right
            is_pair = (left.episode != right.episode) | (left.start != right.start)
            if is_pair.any():
                old = found[np.flatnonzero(is_pair)[:num_queries]]
        if not self.may_repeat:
            raise DataError(
                f"of {size} segments no pair was chosen that was not asked about before, in "
                f"{MAX_DRAWS} pools and after {num_before} queries; there must be more segments"
            )
        return (old or found[:num_queries]).cut_out()

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
        num_before: int,
        is_fitted: bool,
    ) -> Chosen:
        """Returns audit queries, then those of the strategy."""
        rows = np.zeros((0, 2), dtype=np.int64)  # of what was drawn
        if num_audits:
            rng = self.streams.generator(redrawn(AUDIT, draw), num_before)
            rows = Uniform().select(drawn, num_audits, self.predictor, rng=rng)
        if count > num_audits:
            kept = np.arange(len(drawn))
            if self.spread_factor > 1:
                rng = self.streams.generator(redrawn(SPREAD, draw), num_before)
                kept = farthest_apart(drawn, size, rng=rng)
            strategy = self.strategy if is_fitted else Uniform()
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
