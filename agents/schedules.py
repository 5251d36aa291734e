"""Settings that change over a run, written as RL Baselines3 Zoo writes them."""

from dataclasses import dataclass

SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")
"""The settings that may be schedules."""

_PREFIX = "lin_"


@dataclass(frozen=True)
class LinearSchedule:
    """A value that falls to 0 in proportion to what remains of a run.

    Args:
        start: the value at its beginning.
    """

    start: float

    def __call__(self, remaining: float) -> float:
        """Returns the value where `remaining` (1 to 0) of the run is left."""
        return remaining * self.start


def schedule_start(text: str) -> float | None:
    """Returns the first value of a schedule such as `lin_3e-4`; None where it is none."""
    if not text.startswith(_PREFIX):
        return None
    try:
        return float(text.removeprefix(_PREFIX))
    except ValueError:
        return None
