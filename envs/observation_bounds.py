"""Bounds of observations: real robots leave them, and whoever trains on one should know.

Axes: N rows, O observation dims.
"""

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces

from prefrl.segments import FloatArray


def bounds_watch(space: spaces.Space[Any], name: str) -> "BoundsWatch | None":
    """Makes a watch of a space's bounds; None where it has none, and there is nothing to watch."""
    watch = BoundsWatch(space, name)
    return watch if watch.has_bounds else None


class BoundsWatch:
    """Warns of an observation outside of the bounds that its space declares.

    Args:
        space: the environment's observations.
        name: of the environment.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        flat: Any = spaces.utils.flatten_space(space)
        # As observations are rounded, so that one that lies on its bound stays there.
        with np.errstate(over="ignore"):
            self._low, self._high = flat.low.astype(np.float32), flat.high.astype(np.float32)
        self._name = name
        self.has_bounds = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def has_warned_of(self, rows: FloatArray) -> bool:
        """Looks at (N, O) observations, and warns of the first that is outside."""
        if np.count_nonzero((rows < self._low) | (rows > self._high)) == 0:
            return False
        row, dim = np.argwhere((rows < self._low) | (rows > self._high))[0].tolist()
        warnings.warn(
            f"{self._name} observed {rows[row, dim]:g} in place {dim} (from 0), outside of its "
            f"space's bounds [{self._low[dim]:g}, {self._high[dim]:g}]; it is used as it is, and "
            "this is said once",
            stacklevel=2,
        )
        return True
