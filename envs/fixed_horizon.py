"""Fixed-length episodes, so that an episode's end tells the learner nothing about its reward."""

import inspect
from typing import Any

from gymnasium.envs.registration import EnvSpec, load_env_creator


def fixed_horizon_settings(spec: EnvSpec) -> dict[str, Any]:
    """What to hand to `gymnasium.make` so that the environment never ends early.

    MuJoCo's locomotion tasks take `terminate_when_unhealthy`; their reward for being healthy stays,
    and is then paid only while they are (Christiano et al. 2017, appendix A, also remove early
    termination, because an agent can read the reward off it).

    Returns:
        keyword arguments, empty where the environment offers no such setting.
    """
    entry = spec.entry_point
    if entry is None:
        return {}
    maker = load_env_creator(entry) if isinstance(entry, str) else entry
    if "terminate_when_unhealthy" in inspect.signature(maker).parameters:
        return {"terminate_when_unhealthy": False}
    return {}
