"""Tells wrappers that transform what a reward model sees from wrappers that only look on.

Wrappers are judged by kind: one transforms if it changes a space, or is Gymnasium's kind for
observations, actions or rewards, or changes values on their way through `step`, which is known of
it or reads in its source.
"""

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from prefrl.config import WrapperRecord
from prefrl.envs.encoding import ActionsFromZero, FlatObservation
from prefrl.envs.step_source import changes_in_step

# By name, as Gymnasium and Stable-Baselines3 move and rename their modules.
_CHANGE_STEPS = frozenset(
    {
        "AtariPreprocessing",
        "FrameStackObservation",
        "MaxAndSkipEnv",
        "MaxAndSkipObservation",
        "RepeatAction",
        "StickyActionEnv",
        "VecFrameStack",
    }
)
# The rows that a reward model sees are flattened anyway, in the same order.
_ONLY_RESHAPE = frozenset({"FlattenObservation", "ReshapeObservation"})
_LIBRARIES = frozenset({"gymnasium", "stable_baselines3"})
# Arguments of every wrapper; spaces are compared by their bounds.
_WRAPPED = ("env", "venv", "observation_space", "action_space")
_MOST_NUMBERS = 1_000  # of an array that is written down whole


def fault_of(wrapper: Any) -> str | None:
    """Says what is wrong with any reward around a wrapper; None where nothing is.

    Running statistics are another environment's in every environment, and of true rewards that were
    normalised or replaced, none are left to be kept.
    """
    if _is_theirs(wrapper, {"VecNormalize"}):
        shows_observations, changes_rewards = wrapper.norm_obs, wrapper.norm_reward
    else:
        shows_observations = _is_theirs(wrapper, {"NormalizeObservation"})
        changes_rewards = _is_theirs(wrapper, {"NormalizeReward"})
    if shows_observations:
        return "would show normalised observations to the reward function"
    if changes_rewards:
        return "would pass normalised rewards off as the true ones"
    if getattr(type(wrapper), "replaces_reward", False):
        return "would pass its own reward off as the true one"
    return None


def transforms(wrapper: Any, inner: Any) -> bool:
    """Tells whether rows or true rewards of `wrapper` may be others than those of what it wraps.

    Args:
        wrapper: a Gymnasium wrapper or one of Stable-Baselines3's vector environments.
        inner: what it wraps.
    """
    if isinstance(wrapper, (FlatObservation, ActionsFromZero)):
        return False
    if _is_theirs(wrapper, _ONLY_RESHAPE) or _only_casts(wrapper):
        return False
    kinds = (gym.ObservationWrapper, gym.ActionWrapper, gym.RewardWrapper)
    return (
        isinstance(wrapper, kinds)
        or _is_theirs(wrapper, _CHANGE_STEPS)
        or fault_of(wrapper) is not None
        or wrapper.observation_space != inner.observation_space
        or wrapper.action_space != inner.action_space
        or changes_in_step(wrapper)
    )


def record_of(wrapper: Any) -> WrapperRecord:
    """Writes down a wrapper's class and what its constructor was given."""
    arguments = getattr(wrapper, "_saved_kwargs", None)  # Gymnasium's `RecordConstructorArgs`
    if not isinstance(arguments, Mapping):
        arguments = dict(_kept_arguments(wrapper))
    plain = {name: _plain(given) for name, given in arguments.items() if name not in _WRAPPED}
    return WrapperRecord(name=type(wrapper).__name__, arguments=plain)


def _is_theirs(wrapper: Any, names: frozenset[str] | set[str]) -> bool:
    return any(
        cls.__name__ in names and cls.__module__.partition(".")[0] in _LIBRARIES
        for cls in type(wrapper).__mro__
    )


def _only_casts(wrapper: Any) -> bool:
    """Tells whether it changes nothing but how exact floats are, which float32 rows do not show."""
    is_float = wrapper.observation_space.dtype in (np.float32, np.float64)
    return is_float and _is_theirs(wrapper, {"DtypeObservation"})


def _kept_arguments(wrapper: Any) -> Iterator[tuple[str, Any]]:
    """Yields the constructor's arguments that an instance keeps under their own names."""
    kept = vars(wrapper)
    for name in inspect.signature(type(wrapper).__init__).parameters:
        for attribute in (name, f"_{name}"):
            if attribute in kept:
                yield name, kept[attribute]
                break


def _plain(value: Any) -> Any:
    """Returns what JSON can hold of an argument, so that equal ones are equal."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if value is None or value == value else "nan"
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray):
        is_small = value.size <= _MOST_NUMBERS and value.dtype != object
        return _plain(value.tolist()) if is_small else f"an array, {_digest(value.tobytes())}"
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, spaces.Space):
        return " ".join(str(value).split())
    return _named(value)


def _named(value: Any) -> str:
    """Names a function, with a digest of what it does, or an object's class."""
    if isinstance(value, partial):
        return f"{_named(value.func)}{_plain([value.args, value.keywords])}"
    if isinstance(value, MethodType):
        return f"{_named(value.__func__)} of {_named(value.__self__)}"
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        does = repr((_code(value.__code__), _plain(held), _plain(value.__defaults__)))
        return f"{value.__name__}, {_digest(does.encode())}"
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kept = vars(value) if hasattr(value, "__dict__") else {}
    plain = {k: _plain(v) for k, v in kept.items() if isinstance(v, (int, float, str, np.ndarray))}
    return f"{type(value).__qualname__}{plain}"


def _code(code: CodeType) -> list[Any]:
    return [code.co_code, code.co_names, [_constant(part) for part in code.co_consts]]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    # A set is in another order in every process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
