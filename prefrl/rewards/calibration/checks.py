"""Checks the numbers that metrics are computed from: their shape and range."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError

Floats = NDArray[np.floating[Any]]  # Taken in whatever precision it comes.
Float64Array = NDArray[np.float64]


def check(is_fine: bool, name: str, value: object, expected: object) -> None:
    """Refuses a value by name, with what was expected."""
    if not is_fine:
        raise DataError(f"{name} is {value}; expected {expected}")


def checked_vector(
    name: str, values: Any, length: int | None = None, low: float = -np.inf, high: float = np.inf
) -> Float64Array:
    """Returns a vector of finite numbers in a range, in float64."""
    vector: Float64Array = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or length not in (None, len(vector)):
        expected = "one dimension" if length is None else (length,)
        raise DataError(f"{name} has shape {vector.shape}; expected {expected}")
    is_fine = np.isfinite(vector) & (low <= vector) & (vector <= high)
    if not is_fine.all():
        first = vector[~is_fine][0]
        raise DataError(f"{name} holds {first}; expected finite numbers in [{low:g}, {high:g}]")
    return vector
