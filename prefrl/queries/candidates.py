"""A pool of segments with everything that acquisitions and selectors may know of it.

Axes: S segments, K heads, F features, M segments asked about before, O observation dims.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import generator, instance
from prefrl.errors import ContractError, calling, name_of
from prefrl.queries.coverage import standardised
from prefrl.queries.ease import fitted_ease
from prefrl.queries.predictor import Predictor, RemembersPairs
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
    def ease(self) -> FloatArray | None:
        """(S, S) the chance that a pair is answered decisively; None: too few answers to tell.

        Raises:
            ContractError: the predictor does not remember pairs.
        """
        if not callable(getattr(self.predictor, "asked_pairs", None)):
            raise ContractError(
                f"ease is told from the pairs that were put, and {name_of(self.predictor)} has no "
                "method asked_pairs() that returns them"
            )
        with calling(f"asked_pairs of {name_of(self.predictor)}"):
            asked = cast(RemembersPairs, self.predictor).asked_pairs()
        found = fitted_ease(asked)
        if found is None:
            return None
        return found.table(self.scores, self.segments.observation_embeddings())

    @cached_property
    def age(self) -> NDArray[np.int64]:
        """(S,) the number of episodes in the pool that are newer than a segment's."""
        _, rank = np.unique(-self.segments.episode, return_inverse=True)
        return rank.reshape(-1).astype(np.int64)
