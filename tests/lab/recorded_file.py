"""A tiny recorded file: one-step segments, the better of which has the larger weighted sum."""

from pathlib import Path
from typing import Any

import numpy as np

from lab.recorded import Recorded
from prefrl.feedback.interchange import dataset_of


def linear_arrays(num: int = 60, *, seed: int = 0) -> dict[str, Any]:
    """N comparisons of segments of their own, the last third to test on, answered without error."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(2 * num, 3)).astype(np.float32)
    left, right = np.arange(num), np.arange(num, 2 * num)
    value = observations @ np.array([2.0, -1.0, 0.5])
    return {
        "observations": observations,
        "actions": np.zeros((2 * num, 0), dtype=np.float32),
        "left_start": left,
        "right_start": right,
        "segment_length": np.int64(1),
        "p_left": (value[left] > value[right]).astype(np.float32),
        "split": np.where(np.arange(num) < num * 2 // 3, "train", "test"),
    }


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def recorded(**arrays: Any) -> Recorded:
    return Recorded(dataset_of({name: np.asarray(array) for name, array in arrays.items()}))
