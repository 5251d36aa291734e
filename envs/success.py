"""Success of episodes, where an environment reports it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANY_STEP = "success"
LAST_STEP = "is_success"
_UNKNOWN, _SUCCEEDED = -1, 1


class SuccessTally:
    """Decides which episodes succeed, by what environments mean when they report it.

    Where `info["is_success"]` is there at an episode's last step, it decides: a goal that was left
    again is not reached (Gymnasium-Robotics, Stable-Baselines3). Otherwise an episode succeeds if
    `info["success"]` was true at any step (Meta-World). Neither: nothing is known.

    Args:
        num_envs: N environments side by side.
    """

    def __init__(self, num_envs: int) -> None:
        self._any_step: NDArray[np.int8] = np.full(num_envs, _UNKNOWN, dtype=np.int8)

    def reset(self) -> None:
        """Forgets the episodes in progress."""
        self._any_step[:] = _UNKNOWN

    def note(self, infos: Sequence[Mapping[str, Any]]) -> None:
        """Takes note of a step of all environments; needed where some info has `success`."""
        for i, info in enumerate(infos):
            reported = as_success(info.get(ANY_STEP))
            if reported is not None:
                self._any_step[i] = max(self._any_step[i], int(reported))

    def pop(self, env: int, info: Mapping[str, Any]) -> bool | None:
        """Returns whether an episode succeeded; the environment's next one begins.

        Args:
            env: number of the environment.
            info: of the episode's last step.
        """
        any_step, self._any_step[env] = int(self._any_step[env]), _UNKNOWN
        at_end = as_success(info.get(LAST_STEP))
        if at_end is not None:
            return at_end
        return None if any_step == _UNKNOWN else any_step == _SUCCEEDED


def as_success(value: object) -> bool | None:
    """Reads a report of success: a boolean or a number, also as an array of one; 0.5 is reached.

    Returns:
        None where it is something else, or NaN.
    """
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        number = float(np.asarray(value, dtype=np.float64).item())
    except (TypeError, ValueError):
        return None
    return None if np.isnan(number) else number >= 0.5
