"""A pool of segments with everything that acquisitions and selectors may know of it.

Axes: S segments, K heads, F features, M segments asked about before, O observation dims.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prefrl.queries.coverage import standardised
from prefrl.queries.predictor import Predictor
from prefrl.segments import FloatArray, SegmentBatch, observation_embeddings


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

    def __len__(self) -> int:
        return len(self.segments)

    @cached_property
    def scores(self) -> FloatArray:
        """(S, K) each head's score of each segment, in nats."""
        return self.predictor.score_segments(self.segments)

    @cached_property
    def embeddings(self) -> FloatArray:
        """(S, F) where segments lie in the reward model's feature space."""
        return self.predictor.embed_segments(self.segments)

    @cached_property
    def asked(self) -> FloatArray:
        """(M, F) where segments lie that were asked about before."""
        return self.predictor.asked_embeddings()

    @cached_property
    def places(self) -> tuple[FloatArray, FloatArray]:
        """(S, 2 O) and (M, 2 O) where segments, and those asked about before, lie by observation.

        In one unit, each dim's spread over both together.
        """
        pool, asked = (
            observation_embeddings(self.segments.observations, self.segments.length),
            self.predictor.asked_observation_embeddings(),
        )
        points = standardised(np.concatenate([pool, asked]) if len(asked) else pool)
        return points[: len(pool)], points[len(pool) :]

    @cached_property
    def age(self) -> NDArray[np.int64]:
        """(S,) how many episodes of the pool are newer than a segment's; 0 for the newest."""
        _, rank = np.unique(-self.segments.episode, return_inverse=True)
        return rank.reshape(-1).astype(np.int64)
