"""Who answers.

Axes: B queries.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import SegmentBatch


class Teacher(Protocol):
    """Whoever answers: a person or a simulation."""

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Shows the present candidates before a session; returns figures worth logging."""
        ...

    def answer(
        self, left: SegmentBatch, right: SegmentBatch, *, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """(B,) 1 left, 0 right, 0.5 tie, NaN skipped."""
        ...
