"""Fixed-length episodes, so that an episode's end tells the learner nothing about its reward."""

import inspect
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator


def fixed_horizon_settings(spec: EnvSpec) -> dict[str, Any]:
    """Returns settings for `gymnasium.make` with which the environment never ends early.

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


class CutEpisodes(gym.Wrapper[Any, Any, Any, Any]):
    """A time limit that can be moved: from the next step on, `max_steps` is what it is set to.

    Args:
        env: any environment.
        max_steps: episodes are truncated after so many steps.
    """

    def __init__(self, env: gym.Env[Any, Any], max_steps: int) -> None:
        super().__init__(env)
        self.max_steps = max_steps
        self._length = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode."""
        self._length = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Truncates the episode where its time is up."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._length += 1
        return obs, reward, terminated, truncated or self._length >= self.max_steps, info
