"""Observations and actions of any usable space as rows of numbers.

Axes: N rows, O observation dims, A action dims.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from prefrl.envs.outcomes import observation_check
from prefrl.errors import SpaceError, shown
from prefrl.segments import FloatArray

Encoder = Callable[[Any], FloatArray]
"""A batch, N first in each of its arrays, -> (N, dims) float32 rows, never a view of it."""

MAX_ACTION = 1e15
"""Bounds of actions may be as far from 0; sums of squares of more are not finite in float32."""

_LEAVES = "Box, Discrete, MultiDiscrete and MultiBinary"


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
            f"{env_id}: {why}, which does not flatten to numbers; usable are {_LEAVES}, "
            "and Dict or Tuple of these"
        )
    if observation_dim(space) == 0:
        raise SpaceError(f"{env_id}: observations have no dims; expected one number or more")
    flat: Any = spaces.utils.flatten_space(space)
    if not (flat.low <= flat.high).all():
        raise SpaceError(f"{env_id}: an observation's lower bound is NaN, or above its upper one")


def observation_dim(space: spaces.Space[Any]) -> int:
    """Returns O."""
    return int(spaces.utils.flatdim(space))


def action_dim(space: spaces.Space[Any]) -> int:
    """Returns A: components of a Box, one-hot length of discrete actions."""
    return int(spaces.utils.flatdim(space))


def are_rows(space: spaces.Space[Any]) -> bool:
    """Tells whether a batch of a space's values is rows of numbers as it is."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def observation_encoder(space: spaces.Space[Any], env_id: str) -> Encoder:
    """Returns a function from a batch of observations to (N, O) float32 rows, in Gymnasium's order.

    A batch of a Dict space is a dictionary of batches and one of a Tuple space a tuple of batches,
    as SB3's vector environments give them.

    Raises:
        SpaceError: the space does not flatten to numbers.
    """
    check_observation_space(space, env_id)
    return _encoder(space)


def action_encoder(space: spaces.Space[Any], env_id: str) -> Encoder:
    """Returns a function from a batch of actions to (N, A) float32 rows, discrete ones one-hot.

    Raises:
        SpaceError: the space is none of Box, Discrete, MultiDiscrete, MultiBinary, or empty.
    """
    if not isinstance(
        space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    ):
        raise SpaceError(
            f"{env_id}: actions are a {type(space).__name__} space; usable are {_LEAVES}"
        )
    if action_dim(space) == 0:
        raise SpaceError(f"{env_id}: actions have no dims; expected one number or more")
    return _encoder(space)


def check_action_bounds(space: spaces.Space[Any], env_id: str) -> None:
    """Refuses actions that cannot be drawn uniformly from within their bounds.

    Raises:
        SpaceError: there are no bounds, or none that a number between them could be told from.
    """
    if not isinstance(space, spaces.Box):
        return
    if not (space.low <= space.high).all():
        raise SpaceError(f"{env_id}: an action's lower bound is NaN, or above its upper one")
    widest = max(abs(float(space.low.min())), abs(float(space.high.max())))
    if widest > MAX_ACTION:
        raise SpaceError(
            f"{env_id}: actions are bounded by {widest:g}; expected {MAX_ACTION:g} at most, as "
            "exploration draws from between the bounds: give action_space those of the motors"
        )


def _encoder(space: spaces.Space[Any]) -> Encoder:
    # Of module-level functions, so that what holds an encoder can be pickled.
    if isinstance(space, spaces.Dict):
        return partial(_joined, {key: _encoder(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return partial(_joined, dict(enumerate(map(_encoder, space.spaces))))
    if isinstance(space, spaces.Discrete):
        return _one_hots(np.array([space.n]), np.array([space.start]))
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hots(np.ravel(space.nvec), np.ravel(space.start))
    return partial(_as_rows, int(spaces.utils.flatdim(space)))


def _as_rows(size: int, batch: Any) -> FloatArray:
    return np.array(batch, dtype=np.float32).reshape(-1, size)


def _joined(parts: Mapping[Any, Encoder], batch: Any) -> FloatArray:
    return np.concatenate([encode(batch[key]) for key, encode in parts.items()], axis=1)


def _one_hots(sizes: Any, starts: Any) -> Encoder:
    """Turns whole numbers that begin at `starts` into a one-hot block each, of `sizes` dims."""
    first_columns = np.concatenate([[0], np.cumsum(sizes)[:-1]]) - starts
    return partial(_with_ones, sizes, np.asarray(starts), first_columns)


def _with_ones(sizes: Any, starts: Any, first_columns: Any, batch: Any) -> FloatArray:
    values = np.asarray(batch).reshape(-1, len(sizes))
    is_number = values.dtype.kind in "iufb"
    # NaN is in no range.
    if not (is_number and ((values >= starts) & (values < starts + sizes)).all()):
        _refuse(values, sizes, starts)
    columns = values.astype(np.int64, copy=False)
    if not np.array_equal(columns, values):
        _refuse(values, sizes, starts)
    columns = columns + first_columns
    rows = np.zeros((len(columns), int(sizes.sum())), dtype=np.float32)
    np.put_along_axis(rows, columns, 1.0, axis=1)
    return rows


def _refuse(values: Any, sizes: Any, starts: Any) -> None:
    """Raises for values that a Discrete or MultiDiscrete space has not."""
    for each, size, start in zip(values.T, sizes.tolist(), starts.tolist(), strict=True):
        for value in each.tolist():
            is_number = isinstance(value, (int, float))
            if not is_number or not start <= value < start + size or value % 1:
                raise SpaceError(
                    f"a discrete action or observation is {shown(value)}; expected a whole number "
                    f"from {start} to {start + size - 1}"
                )


def batch_of_one(space: spaces.Space[Any], observation: Any) -> Any:
    """Makes a single observation the batch of it that `observation_encoder` takes."""
    if isinstance(space, spaces.Dict):
        return {k: batch_of_one(part, observation[k]) for k, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        pairs = zip(space.spaces, observation, strict=True)
        return tuple(batch_of_one(part, value) for part, value in pairs)
    return np.asarray(observation)[None]


class ActionsFromZero(gym.ActionWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Discrete actions numbered from 0, as SB3 numbers them whatever the space says.

    Args:
        env: one whose actions are Discrete or MultiDiscrete.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)  # for `env.spec`
        gym.ActionWrapper.__init__(self, env)
        space = env.action_space
        if isinstance(space, spaces.Discrete):
            self.action_space = spaces.Discrete(int(space.n))
        elif isinstance(space, spaces.MultiDiscrete):
            self.action_space = spaces.MultiDiscrete(space.nvec)
        else:
            raise TypeError(f"expected discrete actions, got a {type(space).__name__} space")
        self._start = space.start

    def action(self, action: Any) -> Any:
        """Returns the environment's own number of an action."""
        return action + self._start


class FlatObservation(gym.ObservationWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Observations of any usable space as one float32 vector, in Gymnasium's order.

    Args:
        env: any environment whose observations flatten to numbers.

    Raises:
        SpaceError: they do not.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)  # for `env.spec`
        gym.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        self._encode = observation_encoder(space, name)
        self._check = observation_check(space, name)
        self.observation_space = spaces.Box(-np.inf, np.inf, (observation_dim(space),), np.float32)

    def observation(self, observation: Any) -> FloatArray:
        """Returns (O,) float32."""
        self._check(observation)
        row: FloatArray = self._encode(batch_of_one(self.env.observation_space, observation))[0]
        return row
