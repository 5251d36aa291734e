"""Recorded simulator states are shown only where they are those of the environment.

Axes: L steps, Q simulator-state dims, A action dims, O observation dims.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from prefrl.envs.probing import why_no_states
from prefrl.envs.sim_state import state_reader
from prefrl.errors import DataError


def check_states(
    env: gym.Env[Any, Any],
    name: str,
    *,
    states: NDArray[Any],
    actions: NDArray[Any],
    following: NDArray[Any],
    place: str = "sim_states",
) -> None:
    """Refuses states of another environment.

    Args:
        env: one that has been reset; it is left in the middle of an episode.
        name: of the environment.
        states: (L, Q), before each action.
        actions: (L, A); where A or L is 0, dims alone are compared.
        following: (L, O) what was observed after each action.
        place: names the states in an error.

    Raises:
        DataError: they are of other dims; or, put back, lead elsewhere than they did.
    """
    reader = state_reader([env])
    dim = 0 if reader is None else reader.dim
    if dim != states.shape[1]:
        raise DataError(f"{place} has {states.shape[1]} dims, but the states of {name} have {dim}")
    if not actions.size:
        return
    why_not = why_no_states(
        env,
        following=following.astype(np.float32),
        actions=actions.astype(np.float32),
        sim_states=states.astype(np.float32),
    )
    if why_not:
        raise DataError(f"{place} does not fit {name}: {why_not}")
