"""A task with a known reward, linear in observation and action, for everything that learns one."""

import numpy as np
from numpy.typing import NDArray

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.segments import FloatArray, SegmentBatch

OBSERVATION_DIM = 4
ACTION_DIM = 2
INPUT_DIM = OBSERVATION_DIM + ACTION_DIM
# The last observation and the last action do not matter.
WEIGHTS = np.array([1.0, -0.5, 0.25, 0.0, 2.0, 0.0], dtype=np.float32)


def segments(num: int, *, rng: np.random.Generator, length: int = 5) -> SegmentBatch:
    """(S, T) segments of steps in different units, each about a place of its own."""
    unit = np.array([1.0, 10.0, 0.1, 5.0, 1.0, 1.0])
    place = rng.normal(size=(num, 1, INPUT_DIM))
    steps = place + 0.5 * rng.normal(size=(num, length, INPUT_DIM))
    inputs = (steps * unit).astype(np.float32)
    return SegmentBatch(
        observations=inputs[..., :OBSERVATION_DIM],
        actions=inputs[..., OBSERVATION_DIM:],
        true_rewards=(steps @ WEIGHTS).astype(np.float32),
        sim_states=rng.normal(size=(num, length, 3)),
        episode=rng.integers(0, 50, size=num),
        start=rng.integers(0, 900, size=num),
    )


def oracle(left: SegmentBatch, right: SegmentBatch) -> NDArray[np.float64]:
    """(B,) 1 where the left segment earns more, 0 where the right one does."""
    return (left.true_returns > right.true_returns).astype(np.float64)


def comparisons(
    num: int,
    *,
    rng: np.random.Generator,
    p_left: NDArray[np.float64] | None = None,
    validation_fraction: float = 0.0,
) -> PreferenceDataset:
    """One session of `num` queries with the oracle's answers, or those given."""
    left, right = segments(num, rng=rng), segments(num, rng=rng)
    dataset = PreferenceDataset(validation_fraction)
    answers = oracle(left, right) if p_left is None else p_left
    dataset.add(left, right, answers, session=0, rng=rng)
    return dataset


def transitions(num: int, *, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(N, O) observations and (N, A) actions."""
    batch = segments(num, rng=rng, length=1)
    return batch.observations[:, 0], batch.actions[:, 0]
