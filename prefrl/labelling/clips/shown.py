"""Decides which steps of an episode a clip shows."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_S = 1.0
"""A clip lasts at least so long: of less, people cannot tell how something moves."""
_FRAMES_PER_S = 30


@dataclass(frozen=True)
class ShownSteps:
    """The steps that a clip's frames stand before.

    Args:
        steps: (F,) ascending; the last may come several times, when the picture stands still.
        counts: first frame of the segment, and the first one after it.
        dt: seconds between frames.
    """

    steps: NDArray[np.int64]
    counts: tuple[int, int]
    dt: float


def shown_steps(
    first: int, stop: int, *, num_steps: int, dt: float, least_s: float = LEAST_S
) -> ShownSteps:
    """Chooses the steps of a segment, and of as much around it as makes the clip long enough.

    Context lies on both sides as far as the episode goes; where all of it is too short, the last
    picture stands still. A clip of a simulation with hundreds of steps a second shows about thirty
    of them.

    Args:
        first: the segment's first step.
        stop: the first step after it.
        num_steps: of the episode.
        dt: seconds of a step.
        least_s: seconds that the clip lasts at least.
    """
    stride = max(1, round(1 / (_FRAMES_PER_S * dt)))
    window = np.arange(first, stop, stride)
    missing = max(math.ceil(least_s / (stride * dt) - 1e-9) - len(window), 0)
    most_before, most_after = first // stride, (num_steps - 1 - int(window[-1])) // stride
    after = min(missing - min(missing // 2, most_before), most_after)
    before = min(missing - after, most_before)
    steps = np.arange(-before, len(window) + after) * stride + first
    held = np.full(missing - before - after, steps[-1])
    return ShownSteps(
        np.concatenate([steps, held]), (before, before + len(window)), float(stride * dt)
    )
