"""Made-up segments, transitions, comparisons and predictors that parts are tried on.

Axes: B comparisons, S segments, N transitions, T steps of a segment, K heads, O observation dims,
A action dims.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import whole_number
from prefrl.errors import ArgumentError, shown
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.queries.predictor import AskedPairs
from prefrl.segments import FloatArray, SegmentBatch, observation_embeddings

OBSERVATION_DIM = 4
ACTION_DIM = 2
SEGMENT_LENGTH = 6
LARGEST_DIM = 10_000

Transitions = tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]
"""(N, O) observations, (N, A) actions, (N, O) next observations, (N,) whether they ended it."""


@dataclass(frozen=True)
class Dims:
    """The sizes of what a part is made for.

    Args:
        observation: O.
        action: A.
        segment_length: T.
        objectives: M, where segments are about several; 0 otherwise.
    """

    observation: int = OBSERVATION_DIM
    action: int = ACTION_DIM
    segment_length: int = SEGMENT_LENGTH
    objectives: int = 0

    def checked(self) -> "Dims":
        """Returns them if parts can be made for them.

        Raises:
            PrefrlError: one is no whole number, below 1, or far larger than any part's.
        """
        sizes = {
            "observation_dim": self.observation,
            "action_dim": self.action,
            "segment_length": self.segment_length,
        }
        for name, given in sizes.items():
            size = whole_number(name, given, least=1)
            if size > LARGEST_DIM:
                raise ArgumentError(f"{name} is {shown(size)}; expected at most {LARGEST_DIM:,}")
        return self


def segments(num: int, *, rng: np.random.Generator, dims: Dims | None = None) -> SegmentBatch:
    """Draws segments, each about a place of its own.

    Their true reward is linear in observation and action, in quarters, so that some earn alike.
    """
    dims = dims or Dims()
    size = dims.observation + dims.action
    centres = rng.normal(size=(num, 1, size))
    inputs = centres + 0.5 * rng.normal(size=(num, dims.segment_length, size))
    weights = np.resize([1.0, -0.5, 0.25, 0.0, 2.0, 0.0], size)
    return SegmentBatch(
        observations=inputs[..., : dims.observation].astype(np.float32),
        actions=inputs[..., dims.observation :].astype(np.float32),
        true_rewards=(np.round(4 * inputs @ weights) / 4).astype(np.float32),
        sim_states=rng.normal(size=(num, dims.segment_length, 3)),
        episode=rng.integers(0, 50, size=num),
        start=rng.integers(0, 900, size=num),
        objective_rewards=inputs[..., : dims.objectives].astype(np.float32),
    )


def padded(batch: SegmentBatch, num_steps: int = 3) -> SegmentBatch:
    """Returns the same segments, each followed by steps of padding."""

    def longer(array: NDArray[Any]) -> NDArray[Any]:
        return np.pad(array, [(0, 0), (0, num_steps)] + [(0, 0)] * (array.ndim - 2))

    return SegmentBatch(
        **{
            name: longer(array) if array.ndim > 1 else array
            for name, array in ((f.name, getattr(batch, f.name)) for f in fields(batch))
        }
    )


def transitions(num: int, *, rng: np.random.Generator, dims: Dims | None = None) -> Transitions:
    """Draws transitions, a fifth of which end their episode."""
    dims = dims or Dims()
    return (
        rng.normal(size=(num, dims.observation)).astype(np.float32),
        rng.uniform(-1, 1, size=(num, dims.action)).astype(np.float32),
        rng.normal(size=(num, dims.observation)).astype(np.float32),
        rng.random(num) < 0.2,
    )


def comparisons(
    num: int, *, rng: np.random.Generator, dims: Dims | None = None
) -> PreferenceDataset:
    """Draws two sessions of comparisons; a tenth are ties, another is skipped."""
    dataset = PreferenceDataset(0.2)
    for session in (0, 1):
        size = num // 2 if session == 0 else num - num // 2
        left, right = segments(size, rng=rng, dims=dims), segments(size, rng=rng, dims=dims)
        p_left = (left.true_returns > right.true_returns).astype(np.float64)
        draw = rng.random(size)
        p_left[draw < 0.2] = 0.5
        p_left[draw < 0.1] = np.nan
        dataset.add(left, right, p_left, session=session, rng=rng)
    return dataset


@dataclass(frozen=True)
class LinearPredictor:
    """K heads that weigh a segment's inputs each in its own way; no model is fitted.

    Args:
        num_heads: K.
        scale: of the scores; 0 tells no two segments apart.
        num_asked: segments that it says it was asked about, 30 at most.
    """

    num_heads: int = 3
    scale: float = 1.0
    num_asked: int = 30

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, K) weighted sums."""
        inputs = segments.inputs().sum(1)
        weights = np.random.default_rng(0).normal(size=(inputs.shape[1], self.num_heads))
        scores: FloatArray = (self.scale * inputs @ weights).astype(np.float32)
        return scores

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, O + A) the direction of the mean input."""
        return self._unit(segments.inputs().sum(1))

    def asked_embeddings(self) -> FloatArray:
        """Returns (M, O + A) those of segments that are in no pool."""
        return self._unit(self._asked().inputs().sum(1))

    def asked_observation_embeddings(self) -> FloatArray:
        """Returns (M, 2 O) their mean and last observations."""
        return observation_embeddings(self._asked().observations)

    def asked_pairs(self) -> AskedPairs:
        """Returns as many pairs; of those that earn nearly alike every second one is skipped."""
        left = self._asked()
        right = segments(30, rng=np.random.default_rng(10))[: self.num_asked]
        gap = left.true_returns - right.true_returns
        alike = np.abs(gap).argsort()[: len(gap) // 2]
        p_left = (gap > 0).astype(np.float64)
        p_left[alike[0::2]], p_left[alike[1::2]] = np.nan, 0.5
        return AskedPairs(
            self.score_segments(left),
            self.score_segments(right),
            left.observation_embeddings(),
            right.observation_embeddings(),
            p_left,
        )

    def _asked(self) -> SegmentBatch:
        return segments(30, rng=np.random.default_rng(9))[: self.num_asked]

    def _unit(self, points: FloatArray) -> FloatArray:
        if self.scale == 0.0:
            points = np.ones_like(points)
        unit: FloatArray = points / np.linalg.norm(points, axis=1, keepdims=True)
        return unit


PREDICTORS = {
    "of one head": LinearPredictor(num_heads=1),
    "of eight heads": LinearPredictor(num_heads=8),
    "that tells no two segments apart": LinearPredictor(scale=0.0),
    "of tiny scores": LinearPredictor(scale=1e-30),
    "of huge scores": LinearPredictor(scale=1e30),
    "that was asked nothing before": LinearPredictor(num_asked=0),
}
"""Predictors that a strategy meets, the odd ones among them."""
