"""Tells wrappers that transform what a reward model sees from wrappers that only look on.

Wrappers are judged by kind: one transforms if it changes a space, or is Gymnasium's kind for
observations, actions or rewards, or changes values on their way through `step`, which is known of
it or reads in its source.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from prefrl.envs.encoding import ActionsFromZero, FlatObservation
from prefrl.envs.wrapper_arguments import plain
from prefrl.envs.wrapper_source import changes_in_step

if TYPE_CHECKING:
    from prefrl.config import WrapperRecord

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


def record_of(wrapper: Any) -> "WrapperRecord":
    """Writes down a wrapper's class and what its constructor was given."""
    from prefrl.config import WrapperRecord  # as in `describe`

    arguments = getattr(wrapper, "_saved_kwargs", None)  # Gymnasium's `RecordConstructorArgs`
    if not isinstance(arguments, Mapping):
        arguments = dict(_kept_arguments(wrapper))
    known = {name: plain(given) for name, given in arguments.items() if name not in _WRAPPED}
    return WrapperRecord(name=type(wrapper).__name__, arguments=known)


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
