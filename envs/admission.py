"""Conditions on environments before their first step: one, usable, and of one kind side by side."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

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


def check_one_kind(envs: Sequence[gym.Env[Any, Any]]) -> None:
    """Refuses environments of several kinds side by side: what is learned of one fits no other.

    Raises:
        SpaceError: two differ; they are named, and so is in what.
    """
    if not envs or not all(isinstance(env, gym.Env) for env in envs):
        return
    first = envs[0]
    kind = _kind(first)
    for number, env in enumerate(envs[1:], start=1):
        for what, value in _kind(env).items():
            if value != kind[what]:
                raise SpaceError(
                    f"environments side by side are of several kinds: {env_name(first)} is the "
                    f"first, {env_name(env)} is number {number} (from 0), and its {what} is "
                    f"{value}, not {kind[what]}; make environments of one kind"
                )


def _kind(env: gym.Env[Any, Any]) -> dict[str, Any]:
    return {
        "name": env_name(env),
        "class": type(env.unwrapped).__qualname__,
        "observation space": env.observation_space,
        "action space": env.action_space,
        "time limit": _time_limit(env),
    }


def _time_limit(env: gym.Env[Any, Any]) -> int | None:
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            return env._max_episode_steps
        env = env.env
    return None
