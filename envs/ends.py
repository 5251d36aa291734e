"""Ends of episodes in SB3's vector environments, which reset within the step that ends one."""

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from prefrl.envs.encoding import Encoder, batch_of_one
from prefrl.envs.outcomes import observation_check
from prefrl.errors import ContractError, EnvironmentFault
from prefrl.segments import FloatArray

# SB3's name for it, and those that Gymnasium's vector environments have had.
_LAST_OBSERVATION = ("terminal_observation", "final_observation", "final_obs")


def is_terminated(info: Mapping[str, Any]) -> bool:
    """Tells whether an episode that ended was terminated; a time limit alone is no termination.

    Args:
        info: of the environment's last step.
    """
    return not info.get("TimeLimit.truncated", False)


def last_observation(
    info: Mapping[str, Any], space: spaces.Space[Any], encode: Encoder, name: str
) -> FloatArray:
    """Returns (O,) what the last step of an episode led to.

    What the step itself returned is the first observation of the next episode.

    Args:
        info: of the environment's last step.
        space: the environment's observations.
        encode: makes rows of a batch of them.
        name: of the environment, for errors.

    Raises:
        ContractError: the vector environment does not say it.
        EnvironmentFault: it is no observation of the space.
    """
    for key in _LAST_OBSERVATION:
        if info.get(key) is not None:
            return _row(info[key], space, encode, name)
    raise ContractError(
        f"the vector environment of {name} ended an episode without "
        "infos[i]['terminal_observation']: SB3's put the episode's last observation there, as what "
        "step returns is the next episode's first"
    )


def kept_observation(
    info: Mapping[str, Any], space: spaces.Space[Any], encode: Encoder, name: str
) -> FloatArray | None:
    """Returns (O,) what an episode's last step led to where one environment resets by itself.

    Args:
        info: of the last step.
        space: the environment's observations.
        encode: makes rows of a batch of them.
        name: of the environment.

    Returns:
        None where it says nothing of the kind, as most reset when they are told to.
    """
    for key in _LAST_OBSERVATION:
        if info.get(key) is not None:
            try:
                return _row(info[key], space, encode, name)
            except EnvironmentFault:  # something else of the same name
                continue
    return None


def _row(observation: Any, space: spaces.Space[Any], encode: Encoder, name: str) -> FloatArray:
    observation_check(space, name)(observation)
    row: FloatArray = encode(batch_of_one(space, observation))[0]
    return row
