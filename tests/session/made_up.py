"""Segments of numbers that are told apart, for questions."""

import numpy as np

from prefrl.segments import SegmentBatch


def segments(num, *, seed=0, length=3):
    """Windows of episodes seed * 1000, seed * 1000 + 1, ..., each with a return of its own."""
    rng = np.random.default_rng(seed)
    return SegmentBatch(
        observations=rng.normal(size=(num, length, 2)).astype(np.float32),
        actions=rng.normal(size=(num, length, 1)).astype(np.float32),
        true_rewards=rng.normal(size=(num, length)).astype(np.float32),
        sim_states=np.zeros((num, length, 0)),
        episode=np.arange(num) + 1_000 * seed,
        start=np.zeros(num, np.int64),
    )
