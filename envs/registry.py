"""Makes any Gymnasium id ready for preferences."""

import difflib
import re
import warnings
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, registry
from gymnasium.wrappers import TimeLimit

from prefrl.envs.encoding import FlatObservation, action_encoder, check_observation_space
from prefrl.envs.fixed_horizon import fixed_horizon_settings
from prefrl.errors import ConfigError

# Gymnasium announces that v4 tasks have a successor. Who asks for v4 by name wants v4: the
# literature's figures are for it.
_OUT_OF_DATE = r".*The environment .* is out of date.*"


def find_spec(env_id: str) -> EnvSpec:
    """The registered environment of that name; a `module:Name-v0` id imports its module first.

    Raises:
        ConfigError: there is none; the nearest names are offered.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _OUT_OF_DATE)
            return gym.spec(env_id)
    except (gym.error.Error, ImportError, ValueError) as error:
        near = difflib.get_close_matches(env_id, list(registry), n=4, cutoff=0.5)
        stem = re.sub(r"-v\d+$", "", env_id)
        near = list(dict.fromkeys([i for i in registry if re.sub(r"-v\d+$", "", i) == stem] + near))
        if near:
            hint = f"the nearest names are {', '.join(near[:5])}"
        else:
            hint = f"{' '.join(str(error).split())}"
        raise ConfigError(f"unknown environment {env_id!r}; {hint}") from None


def episode_steps(spec: EnvSpec, max_episode_steps: int | None) -> int:
    """The episode's time limit, in steps.

    Raises:
        ConfigError: neither the environment nor the caller sets one.
    """
    limit = max_episode_steps or spec.max_episode_steps
    if not limit or limit < 0:
        raise ConfigError(
            f"{spec.id} has no time limit; choose one with --max-episode-steps (1000 is usual)"
        )
    return int(limit)


def make_env(
    env_id: str,
    *,
    fixed_horizon: bool = True,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    **settings: Any,
) -> gym.Env[Any, Any]:
    """An environment with flat float observations and, where it allows it, a fixed horizon.

    Args:
        env_id: any Gymnasium id.
        fixed_horizon: switch off early termination where the environment allows it.
        max_episode_steps: the time limit; None keeps the environment's own.
        render_mode: as Gymnasium's.
        **settings: handed to the environment.

    Raises:
        ConfigError: the environment is unknown, needs something that is not installed, or has no
            time limit.
        SpaceError: its observations or actions do not flatten to numbers.
    """
    spec = find_spec(env_id)
    limit = episode_steps(spec, max_episode_steps)
    if fixed_horizon:
        settings = {**fixed_horizon_settings(spec), **settings}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _OUT_OF_DATE)
            env = gym.make(
                env_id, render_mode=render_mode, max_episode_steps=limit, **settings
            )
    except (gym.error.Error, ImportError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{env_id} could not be made: {reason}") from error
    check_observation_space(env.observation_space, env_id)
    action_encoder(env.action_space, env_id)
    if not (isinstance(env.observation_space, spaces.Box) and len(env.observation_space.shape) == 1):
        env = FlatObservation(env)
    if not _has_time_limit(env):
        env = TimeLimit(env, limit)
    return env


def _has_time_limit(env: gym.Env[Any, Any]) -> bool:
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            return True
        env = env.env
    return False
