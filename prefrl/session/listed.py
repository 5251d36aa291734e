"""Pairs that are there already, put to the teacher in their order.

Axes: N pairs, B queries.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from prefrl.errors import DataError
from prefrl.feedback.pairs import are_new
from prefrl.seeding import Streams
from prefrl.segments import SegmentBatch
from prefrl.session.chooser import Chosen
from prefrl.session.unasked import Asked


@dataclass
class ListedPairs:
    """Finds the next of recorded pairs, in the place of a `Chooser`: nothing is drawn or weighed.

    Args:
        left: N segments.
        right: N segments, as long.
        streams: the random streams of whoever asks.
    """

    left: SegmentBatch
    right: SegmentBatch
    streams: Streams
    num_objectives: int = 1

    def __post_init__(self) -> None:
        if len(self.left) != len(self.right):
            raise DataError(f"there are {len(self.left)} left and {len(self.right)} right segments")

    def num_segments(self) -> int:
        """Counts the segments that may be asked about."""
        return 2 * len(self.left)

    def draw(self, num_segments: int, *, rng: np.random.Generator) -> SegmentBatch:
        """Returns segments of different pairs, or all where there are fewer; see `Chooser.draw`."""
        num = min(num_segments, len(self.left))
        return self.left[rng.choice(len(self.left), size=num, replace=False)]

    @property
    def num_pairs(self) -> int:
        """Counts the different pairs; one that comes again, or is of one segment, is none."""
        nothing = np.zeros((0, 4), dtype=np.int64)
        return int(are_new(self.left, self.right, before=nothing).sum())

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
        """Returns the next pairs that were not put before; see `Chooser.choose`."""
        is_new = are_new(self.left, self.right, before=asked.windows)
        rows = np.flatnonzero(is_new)[:num_queries]
        if not len(rows):
            return None
        if show is not None:
            show(SegmentBatch.concatenate([self.left[rows], self.right[rows]]))
        nothing = np.zeros(len(rows), dtype=np.int64)
        return Chosen(self.left[rows], self.right[rows], nothing.astype(bool), nothing)
