import numpy as np
from numpy.typing import ArrayLike

from prefrl.segments import SegmentBatch


def segments_earning(true_rewards: ArrayLike) -> SegmentBatch:
    """Segments with the given (S, T) true rewards; everything else about them is arbitrary."""
    rewards = np.asarray(true_rewards, dtype=np.float32)
    num_segments, segment_length = rewards.shape
    steps = np.arange(rewards.size, dtype=np.float32).reshape(num_segments, segment_length, 1)
    return SegmentBatch(
        observations=np.concatenate([steps, -steps], axis=2),
        actions=np.sin(steps),
        true_rewards=rewards,
        sim_states=np.zeros((num_segments, segment_length, 0)),
        episode=np.arange(num_segments, dtype=np.int64),
        start=np.zeros(num_segments, dtype=np.int64),
    )
