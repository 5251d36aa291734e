"""Checks that something is an environment that can be used, before its first step."""

from typing import Any

import gymnasium as gym
from gymnasium import spaces

from prefrl.envs.encoding import action_encoder, check_observation_space
from prefrl.errors import ArgumentError, SpaceError, not_a, with_type


def check_env(env: Any, name: str | None = None) -> None:
    """Refuses what is no environment, or has no spaces that flatten to numbers.

    Args:
        env: what was handed in.
        name: of the environment, for errors; None takes its own.

    Raises:
        ArgumentError: it is no Gymnasium environment.
        SpaceError: its spaces are missing or cannot be used; the part is named.
    """
    if not isinstance(env, gym.Env):
        hint = "a gymnasium.Env"
        if hasattr(env, "num_envs"):
            hint += " alone, which is put side by side with others here"
        raise ArgumentError(not_a("the environment", env, hint))
    name = name or env_name(env)
    for which in ("observation_space", "action_space"):
        try:
            space = getattr(env, which)
        except Exception as error:  # those of a class that forgot them, and of wrappers around it
            raise SpaceError(f"{name} has no {which}: {with_type(error)}") from error
        if not isinstance(space, spaces.Space):
            expected = "a gymnasium.spaces.Box, Discrete, MultiDiscrete or MultiBinary"
            raise SpaceError(not_a(f"{which} of {name}", space, expected))
    check_observation_space(env.observation_space, name)
    action_encoder(env.action_space, name)


def env_name(env: gym.Env[Any, Any]) -> str:
    """Returns the environment's Gymnasium id, or the name of its class where it has none."""
    spec = getattr(env, "spec", None)
    name = getattr(spec, "id", None)
    return name if isinstance(name, str) else type(getattr(env, "unwrapped", env)).__name__
