"""Outcomes of an environment's `reset` and `step`, checked as they come.

Axes: N environments.
"""

import numbers
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from prefrl.errors import EnvironmentFault

ObservationCheck = Callable[[Any], None]
"""Takes an observation, or a batch, and raises where it is not as the space declares."""

_STEP = "(observation, reward, terminated, truncated, info)"
_BOOLS = frozenset({bool, np.bool_})
_FLOATS = frozenset({float, np.float64, np.float32})


def reset_outcome(outcome: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Returns an observation and an info.

    Args:
        outcome: what `reset` returned.
        name: of the environment, for errors.

    Raises:
        EnvironmentFault: it is anything else.
    """
    if not isinstance(outcome, (tuple, list)) or len(outcome) != 2:
        raise EnvironmentFault(
            f"{name} returned {_shown(outcome)} from reset; expected (observation, info)"
        )
    observation, info = outcome
    if not isinstance(info, dict):
        _refuse_info(info, name, "reset")
    return observation, info


def step_outcome(outcome: Any, name: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """Returns an observation, a reward, two booleans and an info.

    Args:
        outcome: what `step` returned.
        name: of the environment, for errors.

    Raises:
        EnvironmentFault: it is anything else.
    """
    if not isinstance(outcome, (tuple, list)) or len(outcome) != 5:
        raise EnvironmentFault(f"{name} returned {_shown(outcome)} from step; expected {_STEP}")
    observation, reward, terminated, truncated, info = outcome
    if type(reward) not in _FLOATS:
        reward = _number(reward, name)
    if type(terminated) not in _BOOLS:
        terminated = _claim(terminated, f"{name} returned terminated")
    if type(truncated) not in _BOOLS:
        truncated = _claim(truncated, f"{name} returned truncated")
    if not isinstance(info, dict):
        _refuse_info(info, name, "step")
    return observation, reward, terminated, truncated, info


def _refuse_info(info: Any, name: str, method: str) -> NoReturn:
    raise EnvironmentFault(f"{name} returned {_shown(info)} as info from {method}; expected a dict")


def _number(reward: Any, name: str) -> float:
    number = _of_one(reward)
    if not isinstance(number, numbers.Real):
        raise EnvironmentFault(f"{name} returned {_shown(reward)} as reward; expected a number")
    return float(number)


def _of_one(value: Any) -> Any:
    """Returns the number in an array or tensor of one, which what is computed by them often is."""
    try:
        return value.item()
    except (AttributeError, ValueError, RuntimeError, TypeError):  # no array, or one of more
        return value


def _claim(value: Any, what: str) -> bool:
    claim = _of_one(value)
    if not isinstance(claim, numbers.Real) or claim not in (0, 1):
        raise EnvironmentFault(f"{what} as {_shown(value)}; expected True or False")
    return bool(claim)


def _shown(value: Any) -> str:
    """Describes what was returned, in a few words."""
    if value is None or isinstance(value, (bool, numbers.Number, str)):
        text = repr(value)
        return text if len(text) <= 40 else f"a {type(value).__name__}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def observation_check(
    space: spaces.Space[Any], name: str, *, batch: tuple[int, ...] = ()
) -> ObservationCheck:
    """Makes a check of shape, type and discrete values; bounds of a Box are not looked at.

    Args:
        space: the environment's observations.
        name: of the environment, for errors.
        batch: shape before the space's own: (N,) for a vector environment.

    Returns:
        a function that raises an EnvironmentFault.
    """
    return _check(space, f"{name} returned an observation", batch)


def _check(space: spaces.Space[Any], what: str, batch: tuple[int, ...]) -> ObservationCheck:
    if isinstance(space, spaces.Dict):
        by_key = {k: _check(s, f"{what}[{k!r}]", batch) for k, s in space.spaces.items()}
        return partial(_check_dict, by_key, what)
    if isinstance(space, spaces.Tuple):
        parts = [_check(s, f"{what}[{i}]", batch) for i, s in enumerate(space.spaces)]
        return partial(_check_tuple, parts, what)
    shape = (*batch, *(space.shape or ()))
    if isinstance(space, spaces.Box) and space.dtype is not None and space.dtype.kind == "f":
        return partial(_check_floats, shape, what)
    return partial(_check_whole, space, _range(space), shape, what)


def _check_floats(shape: tuple[int, ...], what: str, value: Any) -> None:
    # The first two settle it for nearly everything there is.
    if type(value) is not np.ndarray or value.shape != shape or value.dtype.kind != "f":
        _as_declared(value, shape, "fiub", what)


def _check_whole(
    space: spaces.Space[Any], limits: tuple[Any, Any], shape: tuple[int, ...], what: str, value: Any
) -> None:
    whole = _as_declared(value, shape, "iub", what)
    if np.any(whole < limits[0]) or np.any(whole > limits[1]):
        raise EnvironmentFault(
            f"{what} of {np.ravel(whole)[:8].tolist()}; its space declares {space}"
        )


def _range(space: spaces.Space[Any]) -> tuple[Any, Any]:
    """Returns the least and the greatest value, of whole numbers."""
    if isinstance(space, spaces.Discrete):
        return space.start, space.start + space.n - 1
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    limits = np.iinfo(space.dtype)  # A Box's bounds may be left; what its type holds may not.
    return limits.min, limits.max


def _as_declared(value: Any, shape: tuple[int, ...], kinds: str, what: str) -> NDArray[Any]:
    try:
        array = value if type(value) is np.ndarray else np.asarray(value)
    except Exception as error:  # lists of unequal lengths, and objects that are no arrays
        raise EnvironmentFault(f"{what} that is no array; its space declares {shape}") from error
    if array.dtype.kind in "OSU":
        raise EnvironmentFault(f"{what} that is {_shown(value)}; its space declares {shape}")
    if array.shape != shape:
        raise EnvironmentFault(f"{what} of shape {array.shape}; its space declares {shape}")
    if array.dtype.kind not in kinds:
        expected = "numbers" if "f" in kinds else "whole numbers"
        raise EnvironmentFault(f"{what} of type {array.dtype}; its space declares {expected}")
    return array


def _check_dict(by_key: dict[str, ObservationCheck], what: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise EnvironmentFault(f"{what} that is {_shown(value)}; its space declares a dict")
    for key, check in by_key.items():
        if key not in value:
            raise EnvironmentFault(f"{what} without {key!r}, which its space declares")
        check(value[key])


def _check_tuple(parts: list[ObservationCheck], what: str, value: Any) -> None:
    if not isinstance(value, (tuple, list)) or len(value) != len(parts):
        raise EnvironmentFault(
            f"{what} that is {_shown(value)}; its space declares a tuple of {len(parts)}"
        )
    for check, part in zip(parts, value, strict=True):
        check(part)
