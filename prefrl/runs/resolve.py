"""Decides what a run's settings left to the presets, and whether all of it fits together."""

import dataclasses
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch
from gymnasium.wrappers import TimeLimit

from prefrl.agents.presets import preset_for
from prefrl.config import RunConfig, TeacherConfig, checked
from prefrl.envs.fixed_horizon import fixed_horizon_settings
from prefrl.envs.registry import episode_steps, find_spec, make_env, making
from prefrl.errors import ConfigError
from prefrl.feedback.teachers import TeacherSettings
from prefrl.feedback.teachers import preset as teacher_preset
from prefrl.plan import Phase, plan_run
from prefrl.queries import make_strategy

MakeEnv = Callable[[], gym.Env[Any, Any]]
"""Makes one environment."""

# What `make_env` takes by itself: what to say to somebody who put it into env_kwargs.
_NOT_FOR_GYMNASIUM = {
    "env_id": "env names the environment",
    "max_episode_steps": "there is a setting of that name for it",
    "fixed_horizon": "there is a setting of that name for it",
    "render_mode": "a run shows nothing; prefrl eval films it",
}


def resolve(config: RunConfig, *, own_env: MakeEnv | None = None) -> RunConfig:
    """The settings with everything decided that was left to the presets.

    Args:
        config: the settings.
        own_env: makes the environment, in place of Gymnasium's registry; `config.env` is then only
            its name.

    Raises:
        ConfigError: a setting is out of range, unknown, or does not fit the others.
    """
    config = checked(config)
    for name, instead in _NOT_FOR_GYMNASIUM.items():
        if name in config.env_kwargs:
            raise ConfigError(f"env_kwargs has {name}, but {instead}")
    limit = _time_limit(config, own_env)
    agent = config.agent or "ppo"
    preset = preset_for(config.env, agent)
    queries = config.queries
    teacher = teacher_settings(config.teacher)
    make_strategy(config.strategy)
    steps = config.steps or preset.steps
    num_envs = config.num_envs or preset.num_envs
    segment_length = config.segment_length or preset.segment_length
    if segment_length > limit:
        raise ConfigError(
            f"segment_length is {segment_length}, but an episode of {config.env} has {limit} steps"
        )
    # Where a robot that falls lies there for the rest of its episode, it should not lie long.
    explore_episode, train_episode = config.explore_episode_steps, config.train_episode_steps
    if preset.starts_short or _never_ends_early(config, own_env):
        explore_episode = explore_episode or min(2 * segment_length, limit)
        train_episode = train_episode or min(4 * segment_length, limit)
    # A short run must not spend itself on exploring, but every environment needs a segment.
    explore = max(min(preset.explore_steps, steps // 10), num_envs * segment_length)
    resolved = dataclasses.replace(
        config,
        agent=agent,
        steps=steps,
        segment_length=segment_length,
        num_envs=num_envs,
        explore_steps=explore if config.explore_steps is None else config.explore_steps,
        checkpoint_every=config.checkpoint_every or preset.checkpoint_every,
        max_episode_steps=limit,
        explore_episode_steps=_checked_episode(
            "explore_episode_steps", explore_episode, segment_length
        ),
        train_episode_steps=_checked_episode("train_episode_steps", train_episode, segment_length),
        device=usable_device(config.device),
        agent_settings=_merged(preset.agent_settings, config.agent_settings),
        teacher=TeacherConfig(name=config.teacher.name, **dataclasses.asdict(teacher)),
        reward_model=config.reward_model.decided(),
        queries=dataclasses.replace(
            queries,
            num_sessions=queries.num_sessions or preset.num_sessions,
            newest_steps=queries.newest_steps or preset.newest_steps,
        ),
    )
    if config.reward == "learned" and not resolved.explore_steps:
        raise ConfigError("explore_steps is 0; the first queries need steps to ask about")
    phases = plan(resolved)
    longest = (
        max((phase.num_steps for phase in phases if phase.is_exploration), default=0) // num_envs
    )
    if config.reward == "learned" and longest < segment_length:
        raise ConfigError(
            f"segment_length is {segment_length}, but before the first queries no environment "
            f"takes more than {longest} steps in a row (explore_steps {resolved.explore_steps}, "
            f"checkpoint_every {resolved.checkpoint_every}, num_envs {num_envs})"
        )
    return resolved


def _time_limit(config: RunConfig, own_env: MakeEnv | None) -> int:
    if own_env is None:
        return episode_steps(find_spec(config.env), config.max_episode_steps)
    made = env = own_env()
    limit = config.max_episode_steps
    while isinstance(env, gym.Wrapper):
        if isinstance(env, TimeLimit):
            limit = env._max_episode_steps
            break
        env = env.env
    made.close()
    if limit is None:
        raise ConfigError(f"{config.env} has no time limit; choose one with max_episode_steps")
    return limit


def _checked_episode(name: str, steps: int | None, segment_length: int) -> int | None:
    """A setting that cuts episodes short; None leaves them whole."""
    if steps is not None and steps < segment_length:
        raise ConfigError(
            f"{name} is {steps}; queries need segments of {segment_length} steps, within an episode"
        )
    return steps


def _never_ends_early(config: RunConfig, own_env: MakeEnv | None) -> bool:
    """Whether the environment would end early by itself, and was told not to."""
    if own_env is not None or not config.fixed_horizon:
        return False
    spec, asked = find_spec(config.env), config.env_kwargs
    with making(config.env):
        settings = fixed_horizon_settings(spec)
    return bool(settings) and all(
        asked.get(name, value) == value for name, value in settings.items()
    )


def usable_device(name: str) -> str:
    """A device that torch can work on here; `auto` is a GPU where there is one, else the CPU.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split(". ")[0].split())
        raise ConfigError(f"device is {name!r}: {reason}; choose cpu, cuda or auto") from None
    return name


def _merged(preset: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    policy = own.get("policy_kwargs", {})
    if not isinstance(policy, dict):
        raise ConfigError(f"agent_settings.policy_kwargs is {policy!r}; expected a mapping")
    return {**preset, **own, "policy_kwargs": {**preset.get("policy_kwargs", {}), **policy}}


def teacher_settings(config: TeacherConfig) -> TeacherSettings:
    """The named teacher with what was overridden."""
    own = {k: v for k, v in dataclasses.asdict(config).items() if k != "name" and v is not None}
    return dataclasses.replace(teacher_preset(config.name), **own)


def plan(config: RunConfig, *, stride: int | None = None) -> tuple[Phase, ...]:
    """The phases of a run whose settings are resolved.

    Args:
        config: the settings.
        stride: steps the agent takes at once; None reads it from the settings.
    """
    queries = config.queries
    assert config.steps and config.num_envs and config.checkpoint_every and queries.num_sessions
    assert config.explore_steps is not None
    if stride is None:
        # An off-policy model takes its steps in strides; phases must not cut them.
        train_freq = config.agent_settings.get("train_freq", 1) if config.agent == "sac" else 1
        stride = config.num_envs * (train_freq if isinstance(train_freq, int) else 1)
    return plan_run(
        steps=config.steps,
        explore_steps=config.explore_steps if config.reward == "learned" else 0,
        budget=config.budget,
        queries=queries,
        checkpoint_every=config.checkpoint_every,
        multiple=stride,
    )


def make_configured_env(config: RunConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """One environment as the settings describe it."""
    return make_env(
        config.env,
        fixed_horizon=config.fixed_horizon,
        max_episode_steps=config.max_episode_steps,
        render_mode=render_mode,
        **config.env_kwargs,
    )
