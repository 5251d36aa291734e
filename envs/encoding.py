"""Observations and actions of any usable space as rows of numbers.

Axes: N rows, O observation dims, A action dims.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from prefrl.errors import SpaceError
from prefrl.segments import FloatArray


def _why_not_flat(space: spaces.Space[Any], name: str) -> str | None:
    """Names the part of a space that is no vector of numbers; None where there is none."""
    if isinstance(space, spaces.Dict):
        parts = [(f"{name}[{key!r}]", part) for key, part in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        parts = [(f"{name}[{i}]", part) for i, part in enumerate(space.spaces)]
    elif isinstance(space, spaces.Box):
        if len(space.shape) >= 2 and space.dtype == np.uint8:
            return f"{name} is an image of shape {space.shape}"
        return None
    elif isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        return None
    else:
        return f"{name} is a {type(space).__name__} space"
    return next((why for why in (_why_not_flat(part, label) for label, part in parts) if why), None)


def check_observation_space(space: spaces.Space[Any], env_id: str) -> None:
    """Refuses observations that do not flatten to a fixed number of numbers.

    Raises:
        SpaceError: the part that cannot be used is named.
    """
    why = _why_not_flat(space, "observation")
    if why:
        raise SpaceError(
            f"{env_id}: {why}, which does not flatten to numbers; usable are Box, Discrete, "
            "MultiDiscrete and MultiBinary, and Dict or Tuple of these"
        )


class FlatObservation(gym.ObservationWrapper[Any, Any, Any]):
    """Observations of any usable space as one float32 vector; dictionaries in key order."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        size = spaces.utils.flatdim(env.observation_space)
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def observation(self, observation: Any) -> FloatArray:
        """(O,) float32."""
        flat = spaces.utils.flatten(self.env.observation_space, observation)
        return np.asarray(flat, dtype=np.float32)


def observation_dim(space: spaces.Space[Any]) -> int:
    """O."""
    return int(spaces.utils.flatdim(space))


def action_dim(space: spaces.Space[Any]) -> int:
    """A: components of a Box, one-hot length of discrete actions."""
    return int(spaces.utils.flatdim(space))


def action_encoder(
    space: spaces.Space[Any], env_id: str
) -> Callable[[NDArray[Any]], FloatArray]:
    """How a batch of the space's actions becomes (N, A) float32 rows, discrete ones one-hot.

    Raises:
        SpaceError: the space is none of Box, Discrete, MultiDiscrete, MultiBinary.
    """
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        size = action_dim(space)
        return lambda actions: np.asarray(actions, dtype=np.float32).reshape(-1, size)
    if isinstance(space, spaces.Discrete):
        first, table = int(space.start), np.eye(int(space.n), dtype=np.float32)
        return lambda actions: table[np.asarray(actions).reshape(-1) - first]
    if isinstance(space, spaces.MultiDiscrete):
        sizes = np.asarray(space.nvec).reshape(-1)
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        total = int(sizes.sum())

        def one_hots(actions: NDArray[Any]) -> FloatArray:
            places = np.asarray(actions).reshape(-1, len(sizes)) + offsets
            rows = np.zeros((len(places), total), dtype=np.float32)
            np.put_along_axis(rows, places, 1.0, axis=1)
            return rows

        return one_hots
    raise SpaceError(
        f"{env_id}: actions are a {type(space).__name__} space; usable are Box, Discrete, "
        "MultiDiscrete and MultiBinary"
    )


def flat_observations(space: spaces.Space[Any], observations: Any) -> FloatArray:
    """(N, O) float32 rows of a batch as SB3's vector environments give it.

    Args:
        space: the space of one observation: Box, Discrete, MultiDiscrete, MultiBinary or Dict.
        observations: an array with N first, or a dictionary of such arrays.
    """
    if isinstance(space, spaces.Dict):
        parts = [flat_observations(part, observations[key]) for key, part in space.spaces.items()]
        return np.concatenate(parts, axis=1)
    return action_encoder(space, "observation")(observations)
