"""Candidates: the pool of segments that a session's queries are chosen from.

Axes: S segments, T steps, O observation dims.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import generator, instance, whole_number
from prefrl.config import SessionSettings
from prefrl.feedback.pairs import window_numbers, windows_of
from prefrl.queries.coverage import farthest_points, standardised
from prefrl.segments import EpisodeStore, SegmentBatch


class Source(Protocol):
    """Segments that may be asked about."""

    def pool_size(self, num_queries: int) -> int:
        """Returns how many candidates a batch of queries is chosen from."""
        ...

    def num_segments(self) -> int:
        """Counts the different segments that can be drawn now."""
        ...

    def draw(self, num_segments: int, *, rng: np.random.Generator) -> SegmentBatch:
        """Returns different segments drawn uniformly, or all where there are fewer."""
        ...


@dataclass(frozen=True)
class StoreSource:
    """Windows of the episodes in a store.

    Args:
        store: the episodes; more may come between draws.
        settings: how candidates are drawn.
        among: numbers of the episodes that may be asked about; None: all may.
    """

    store: EpisodeStore
    settings: SessionSettings
    among: Collection[int] | None = None

    def __post_init__(self) -> None:
        instance("store", self.store, EpisodeStore)
        instance("settings", self.settings, SessionSettings)

    def pool_size(self, num_queries: int) -> int:
        """Returns the settings' pool size."""
        return self.settings.pool_size(num_queries)

    def num_segments(self) -> int:
        """Counts the windows that there are."""
        newest, length = self.settings.newest_steps, self.settings.segment_length
        return self.store.num_windows(length, max_newest=newest, among=self.among)

    def draw(self, num_segments: int, *, rng: np.random.Generator) -> SegmentBatch:
        """Returns `num_segments` windows, or all where there are fewer.

        Raises:
            DataError: there is none.
        """
        num_segments = whole_number("num_segments", num_segments, least=1)
        return self.store.sample(
            max(min(num_segments, self.num_segments()), 1),
            self.settings.segment_length,
            rng=rng,
            max_newest=self.settings.newest_steps,
            among=self.among,
        )


@dataclass(frozen=True)
class FixedSource:
    """A batch of segments that stays as it is.

    Args:
        segments: all that may be asked about.
        size: candidates for each batch of queries, or all segments where there are fewer.
    """

    segments: SegmentBatch
    size: int

    def __post_init__(self) -> None:
        instance("segments", self.segments, SegmentBatch)
        whole_number("size", self.size, least=1)

    def pool_size(self, num_queries: int) -> int:
        """Returns the size, whatever the number of queries."""
        return min(self.size, len(self.segments))

    def num_segments(self) -> int:
        """Counts the different windows among the segments."""
        return len(np.unique(window_numbers(windows_of(self.segments))))

    def draw(self, num_segments: int, *, rng: np.random.Generator) -> SegmentBatch:
        """Returns different segments: `num_segments` of them, or all in another order."""
        generator("rng", rng)
        size = min(whole_number("num_segments", num_segments), len(self.segments))
        return self.segments[rng.choice(len(self.segments), size=size, replace=False)]


def farthest_apart(
    drawn: SegmentBatch, size: int, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Chooses the segments of a draw that lie farthest apart by their observations.

    Greedy k-center over standardised embeddings (see `farthest_points`); our choice, not in
    Christiano et al. 2017.

    Args:
        drawn: S segments.
        size: how many are kept; all of them, in another order, where it is S or more.
        rng: draws the first one.

    Returns:
        their indices.
    """
    points = standardised(drawn.observation_embeddings())
    return farthest_points(points, min(size, len(drawn)), rng=rng)
