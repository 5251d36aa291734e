"""Ends of episodes in SB3's vector environments, which reset within the step that ends one."""

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from prefrl.envs.encoding import Encoder, batch_of_one
from prefrl.segments import FloatArray


def is_terminated(info: Mapping[str, Any]) -> bool:
    """Tells whether an episode that ended was terminated; a time limit alone is no termination.

    Args:
        info: of the environment's last step.
    """
    return not info.get("TimeLimit.truncated", False)


def last_observation(
    info: Mapping[str, Any], space: spaces.Space[Any], encode: Encoder
) -> FloatArray:
    """Returns (O,) what the last step of an episode led to.

    What the step itself returned is the first observation of the next episode.

    Args:
        info: of the environment's last step.
        space: the environment's observations.
        encode: makes rows of a batch of them.
    """
    row: FloatArray = encode(batch_of_one(space, info["terminal_observation"]))[0]
    return row
