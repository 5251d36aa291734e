"""Fixed-length episodes, so that an episode's end tells the learner nothing about its reward."""

import functools
import inspect
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from prefrl.envs.suites import suite_of

_SETTING = "terminate_when_unhealthy"


def fixed_horizon_settings(spec: EnvSpec) -> dict[str, Any]:
    """Returns settings for `gymnasium.make` with which the environment never ends early.

    MuJoCo's locomotion tasks take `terminate_when_unhealthy`; their reward for being healthy stays,
    and is then paid only while they are (Christiano et al. 2017, appendix A, also remove early
    termination, because an agent can read the reward off it).

    Where only trying shows whether it takes them (see `takes_setting`), it may still refuse them.

    Returns:
        keyword arguments, empty where the environment offers no such setting, or is registered with
        a choice of its own.
    """
    return {} if takes_setting(spec) is False else {_SETTING: False}


def takes_setting(spec: EnvSpec) -> bool | None:
    """Says whether an environment can be told not to end early.

    Returns:
        None where only trying shows it: a maker that takes any keyword, as `**kwargs`, may hand
        them on to a task that has the setting.
    """
    entry = spec.entry_point
    if entry is None or _SETTING in spec.kwargs or suite_of(spec) is not None:
        return False  # No suite has it.
    maker: Any = load_env_creator(entry) if isinstance(entry, str) else entry
    if isinstance(maker, functools.partial) and _SETTING in maker.keywords:
        return False  # It was chosen there.
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):  # written in another language than Python
        return None
    named = parameters.get(_SETTING)
    if named is not None and named.kind in (named.POSITIONAL_OR_KEYWORD, named.KEYWORD_ONLY):
        return True
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    # Gymnasium's own tasks name what they take, and hand the rest to the simulator.
    is_gymnasiums = getattr(maker, "__module__", "").startswith("gymnasium.envs.")
    return None if takes_any and not is_gymnasiums else False


def was_told(env: gym.Env[Any, Any]) -> bool:
    """Says whether an environment keeps the setting, as MuJoCo's tasks do, and has it at False."""
    return getattr(env.unwrapped, f"_{_SETTING}", None) is False


class CutEpisodes(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """A time limit that can be moved: from the next step on, `max_steps` is what it is set to.

    Args:
        env: any environment.
        max_steps: episodes are truncated after so many steps.
    """

    def __init__(self, env: gym.Env[Any, Any], max_steps: int) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, max_steps=max_steps)  # for `env.spec`
        gym.Wrapper.__init__(self, env)
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
