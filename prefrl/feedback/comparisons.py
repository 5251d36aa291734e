"""Answered queries as a reward model is fitted to them.

Axes: B comparisons, T steps, D = O + A input dims.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.segments import FloatArray


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Comparisons:
    """B queries, each with what the teacher said.

    Args:
        left: (B, T, D) observations and actions of the left segments.
        right: (B, T, D) of the right segments.
        p_left: (B,) 1 left, 0 right, 0.5 tie, or the share of votes for left; never NaN.
        query: (B,) number of each query in its dataset; by default they are counted from 0.
        objective: (B,) which objective each answer is about; by default the first.
        length: (B,) steps of each pair's segments, the rest of T is padding; by default T.

    Raises:
        DataError: an array has another shape or range; it is named.
    """

    left: FloatArray
    right: FloatArray
    p_left: FloatArray
    query: NDArray[np.int64] = field(default_factory=_none)
    objective: NDArray[np.int64] = field(default_factory=_none)
    length: NDArray[np.int64] = field(default_factory=_none)

    def __post_init__(self) -> None:
        num = len(self.p_left)
        if self.left.ndim != 3 or self.left.shape != self.right.shape:
            raise DataError(
                f"left has shape {self.left.shape} and right {self.right.shape}; "
                "expected the same (comparisons, steps, dims)"
            )
        usual: dict[str, NDArray[Any]] = {
            "query": np.arange(num),
            "objective": np.zeros(num, np.int64),
            "length": np.full(num, self.left.shape[1], np.int64),
        }
        for name, default in usual.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, default)
            if getattr(self, name).shape != (num,):
                raise DataError(f"{name} has shape {getattr(self, name).shape}; expected ({num},)")
        if self.p_left.shape != self.left.shape[:1]:
            raise DataError(f"p_left has shape {self.p_left.shape}; expected {self.left.shape[:1]}")
        if not ((self.p_left >= 0) & (self.p_left <= 1)).all():
            raise DataError("p_left must lie in [0, 1]; leave skipped queries out")

    def __len__(self) -> int:
        return len(self.p_left)

    def mask(self) -> NDArray[np.bool_]:
        """Returns (B, T), True at the segments' own steps and False at padding."""
        return np.arange(self.left.shape[1]) < self.length[:, None]

    def segment_numbers(self) -> NDArray[np.int64]:
        """Returns (B, 2) the same number for segments of the same content, left and right."""
        both = np.concatenate([self.left, self.right])
        rows = np.ascontiguousarray(both.reshape(len(both), math.prod(both.shape[1:])))
        whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
        _, numbers = np.unique(whole, return_inverse=True)
        return numbers.reshape(2, len(self)).T.astype(np.int64)
