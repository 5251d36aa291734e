"""A pool of segments with everything that acquisitions and selectors may know of it.

Axes: S segments, K heads, F features, M segments asked about before, O observation dims.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import generator, instance
from prefrl.errors import calling, name_of
from prefrl.queries.coverage import standardised
from prefrl.queries.predictor import Predictor
from prefrl.segments import FloatArray, SegmentBatch


@dataclass
class Candidates:
    """All pairs of these segments are candidates; a reward model is asked about each segment once.

    Args:
        segments: the pool.
        predictor: the reward model; asked only for what is needed.
        rng: the strategy's own stream, for draws and ties.
    """

    segments: SegmentBatch
    predictor: Predictor
    rng: np.random.Generator

    def __post_init__(self) -> None:
        instance("segments", self.segments, SegmentBatch)
        generator("rng", self.rng)

    def __len__(self) -> int:
        return len(self.segments)

    def _said(self, method: str, *arguments: SegmentBatch) -> FloatArray:
        with calling(f"{method} of {name_of(self.predictor)}"):
            said: FloatArray = getattr(self.predictor, method)(*arguments)
        return said

    @cached_property
    def scores(self) -> FloatArray:
        """(S, K) each head's score of each segment, in nats."""
        return self._said("score_segments", self.segments)

    @cached_property
    def embeddings(self) -> FloatArray:
        """(S, F) segments as points of the reward model's feature space."""
        return self._said("embed_segments", self.segments)

    @cached_property
    def asked(self) -> FloatArray:
        """(M, F) the same of those that were asked about before."""
        return self._said("asked_embeddings")

    @cached_property
    def observation_points(self) -> tuple[FloatArray, FloatArray]:
        """(S, 2 O) and (M, 2 O) mean and last observation of segments, and of those asked about.

        Each dim is divided by its standard deviation over both together.
        """
        pool, asked = (
            self.segments.observation_embeddings(),
            self._said("asked_observation_embeddings"),
        )
        points = standardised(np.concatenate([pool, asked]) if len(asked) else pool)
        return points[: len(pool)], points[len(pool) :]

    @cached_property
    def age(self) -> NDArray[np.int64]:
        """(S,) the number of episodes in the pool that are newer than a segment's."""
        _, rank = np.unique(-self.segments.episode, return_inverse=True)
        return rank.reshape(-1).astype(np.int64)
