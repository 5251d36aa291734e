"""Decides what a run's settings left to the presets, and whether all of it fits together."""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from prefrl.agents.presets import Preset
from prefrl.agents.settings import (
    check_rollouts,
    checked_settings,
    fit_minibatches,
    steps_at_once,
)
from prefrl.agents.table import DEFAULT_AGENT, agent_kind, preset_for
from prefrl.config import PaceConfig, ResolvedQueries, ResolvedRun, RunConfig, from_yaml
from prefrl.config.labelling import OPEN_AHEAD, REPEAT_SHARE
from prefrl.config.queries import MAX_CANDIDATES
from prefrl.config.ranges import LARGEST
from prefrl.envs.description import time_limit
from prefrl.envs.fixed_horizon import fixed_horizon_settings, takes_setting, was_told
from prefrl.envs.registry import episode_steps, find_spec, make_env, making, prepared
from prefrl.errors import ConfigError, StorageError, at_least, at_most, one_line, option, shown
from prefrl.own_modules import check_is_elsewhere
from prefrl.plan import Phase, plan_more, plan_run
from prefrl.queries import make_strategy, with_ease
from prefrl.records import run_folder
from prefrl.records.files import is_there
from prefrl.runs.sizes import check_sizes

MakeEnv = Callable[[], gym.Env[Any, Any]]
"""Makes one environment."""

# What `make_env` takes by itself: what to say to somebody who put it into env_kwargs.
_NOT_FOR_GYMNASIUM = {
    "env_id": "env names the environment",
    "max_episode_steps": "there is a setting of that name for it",
    "fixed_horizon": "there is a setting of that name for it",
    "render_mode": "a run shows nothing; prefrl eval films it",
}


def resolve(config: RunConfig, *, own_env: gym.Env[Any, Any] | None = None) -> ResolvedRun:
    """Decides everything that settings left to the presets.

    Args:
        config: the settings.
        own_env: one of the environments, where they are not made by Gymnasium's registry;
            `config.env` is then only their name.

    Raises:
        ConfigError: the agent or the strategy is unknown, or settings do not fit each other.
    """
    for name, instead in _NOT_FOR_GYMNASIUM.items():
        if name in config.env_kwargs:
            raise ConfigError(f"{option(f'env_kwargs.{name}')} was given, but {instead}")
    strategy = make_strategy(config.strategy)
    if config.queries.ease:
        with_ease(strategy)
    _check_objectives(config)
    agent = config.agent or DEFAULT_AGENT
    preset = preset_for(config.env, agent)
    limit = _time_limit(config, own_env)
    steps = config.steps or preset.steps
    num_envs = config.num_envs or preset.num_envs
    segment_length = config.segment_length or preset.segment_length
    window = min(segment_length, limit)
    explore = config.explore_steps
    if explore is None:
        explore = usual_exploration(preset, steps, num_envs, window)
    decided = {
        **vars(config),
        **_episode_lengths(config, preset, window, limit, own_env),
        "agent": agent,
        "steps": steps,
        "segment_length": segment_length,
        "num_envs": num_envs,
        "explore_steps": explore,
        "checkpoint_every": config.checkpoint_every or preset.checkpoint_every,
        "max_episode_steps": limit,
        "device": usable_device(config.device),
        "agent_settings": _agent_settings(agent, preset, config.agent_settings, num_envs),
        "teacher": config.teacher.decided(),
        "reward_model": config.reward_model.decided(),
        "queries": _decided_queries(config, preset),
        **_decided_pace(config),
    }
    resolved = ResolvedRun(**decided)
    check_sizes(resolved)
    _check_exploration(resolved)
    return resolved


def usual_exploration(preset: Preset, steps: int, num_envs: int, window: int) -> int:
    """Returns how many steps a run explores that is not told.

    A short one must not spend itself on it, but every environment needs a segment, an episode where
    those are shorter; and a single environment needs several, as one makes no pair.

    Args:
        preset: of its agent and environment.
        steps: of the run.
        num_envs: side by side.
        window: steps of a segment, or of an episode.
    """
    least = num_envs * window
    if num_envs == 1:
        least += min(window, max(steps - window, 0) // 2)
    return max(min(preset.explore_steps, steps // 10), min(least, LARGEST))


def _check_objectives(config: RunConfig) -> None:
    """Refuses objectives, or weights of them, that make no sense together."""
    names, weights = config.objectives, config.objective_weights
    if not names:
        if weights is not None:
            raise ConfigError(
                f"{option('objective_weights')} is {weights}, but there are no objectives"
            )
        return
    if len(set(names)) != len(names) or len(names) < 2:
        raise ConfigError(
            f"{option('objectives')} is {names}; expected two different names or more, or none"
        )
    if weights is not None and (len(weights) != len(names) or not any(weights)):
        raise ConfigError(
            f"{option('objective_weights')} is {weights}; expected a number for each of "
            f"{', '.join(names)}, and not all of them 0"
        )
    if config.reward != "learned":
        raise ConfigError(
            f"{option('objectives')} are learned from answers; leave them out with "
            f"{option('reward', 'true')}"
        )
    if config.reward_model.bank_alpha != 0:
        raise ConfigError(
            f"{option('reward_model.bank_alpha')} is {config.reward_model.bank_alpha}; expected "
            f"0 with "
            "several objectives, as the bank remembers one number a segment"
        )


def _episode_lengths(
    config: RunConfig, preset: Preset, window: int, limit: int, own_env: Any
) -> dict[str, int | None]:
    """Decides how long episodes are while exploring and at first; None leaves them whole."""
    lengths = {
        "explore_episode_steps": config.explore_episode_steps,
        "train_episode_steps": config.train_episode_steps,
    }
    for name, steps in lengths.items():
        if steps is not None and steps > limit:
            raise ConfigError(
                f"{option(name)} is {steps}, but episodes end after {limit} steps; leave it out"
            )
    # Where a robot that falls lies there for the rest of its episode, it should not lie long.
    if preset.starts_short or _never_ends_early(config, own_env):
        for name, num_segments in (("explore_episode_steps", 2), ("train_episode_steps", 4)):
            lengths[name] = lengths[name] or min(num_segments * window, limit)
    for name, steps in lengths.items():
        if config.reward == "learned" and steps is not None and steps < window:
            raise ConfigError(
                f"{option(name)} is {steps}; queries need segments of {window} steps, within an "
                f"episode"
            )
    return lengths


def _decided_queries(config: RunConfig, preset: Preset) -> ResolvedQueries:
    queries, share = config.queries, config.queries.repeat_share
    if queries.min_candidates > MAX_CANDIDATES:
        raise ConfigError(at_most("queries.min_candidates", queries.min_candidates, MAX_CANDIDATES))
    if share is None:
        share = REPEAT_SHARE if config.teacher.are_people else 0.0
    decided = {
        "num_sessions": queries.num_sessions or preset.num_sessions,
        "newest_steps": queries.newest_steps or preset.newest_steps,
        "repeat_share": share,
    }
    return ResolvedQueries(**{**vars(queries), **decided})


def _decided_pace(config: RunConfig) -> dict[str, Any]:
    """Decides how a run goes on while questions are open: people are not waited for at once."""
    is_slow = config.teacher.are_people and not config.sync_feedback
    return {
        "pace": config.pace or ("answers" if is_slow else PaceConfig.pace),
        "open_ahead": config.open_ahead or (OPEN_AHEAD if is_slow else None),
    }


def _check_exploration(config: ResolvedRun) -> None:
    """Refuses a run whose first queries would find no segment to ask about."""
    if config.reward != "learned":
        return
    if not config.explore_steps:
        raise ConfigError(
            f"{option('explore_steps')} is 0; the first queries need steps to ask about"
        )
    exploring = [phase.num_steps for phase in plan(config) if phase.is_exploration]
    longest = max(exploring, default=0) // config.num_envs
    if longest < min(config.segment_length, config.max_episode_steps):
        raise ConfigError(
            f"{option('segment_length')} is {config.segment_length}, but before the first "
            f"queries no "
            f"environment takes more than {longest} steps in a row ("
            f"{option('explore_steps')} is {config.explore_steps}, {option('checkpoint_every')} is "
            f"{config.checkpoint_every}, {option('num_envs')} is {config.num_envs})"
        )
    # The newest steps are those of the environments' last pieces, any of which may be a short one.
    least = config.num_envs * min(config.segment_length, config.max_episode_steps)
    if config.store_transitions < min(least, config.steps):
        raise ConfigError(
            f"{at_least('store_transitions', config.store_transitions, least)}: a segment of each "
            f"environment ({option('segment_length')} is {config.segment_length}, "
            f"{option('num_envs')} is {config.num_envs})"
        )


def _time_limit(config: RunConfig, own_env: gym.Env[Any, Any] | None) -> int:
    if own_env is None:
        return episode_steps(find_spec(config.env), config.max_episode_steps)
    asked, limit = config.max_episode_steps, time_limit(own_env)
    if limit is not None:
        if asked not in (None, limit):
            raise ConfigError(
                f"{option('max_episode_steps')} is {asked}, but {config.env} ends its episodes "
                f"after {limit} steps by itself; leave one of the two out"
            )
        return limit
    if asked is None:
        raise ConfigError(
            f"{config.env} has no time limit; choose one with {option('max_episode_steps')}"
        )
    return asked


def _never_ends_early(config: RunConfig, own_env: Any) -> bool:
    """Says whether the environment would end early by itself, and its settings forbid it."""
    if own_env is not None or not config.fixed_horizon:
        return False
    spec, asked = find_spec(config.env), config.env_kwargs
    with making(config.env):
        settings, is_taken = fixed_horizon_settings(spec), takes_setting(spec)
    if not settings or any(asked.get(name, value) != value for name, value in settings.items()):
        return False
    if is_taken is not None:
        return is_taken
    with contextlib.closing(make_configured_env(config)) as env:
        return was_told(env)


def usable_device(name: str) -> str:
    """Returns a device that torch can work on here; `auto` is a GPU if there is one, else the CPU.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()  # which `meta` does not do
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = one_line(str(error).split(". ")[0])
        if reason.startswith("Expected one of"):  # It lists twenty, of which hardly any is there.
            reason = "torch knows none of that name"
        raise ConfigError(
            f"{option('device')} is {name!r}: {reason}; choose cpu, cuda or auto"
        ) from None
    # There is one, whatever its number; Stable-Baselines3 would take cpu:3 for another.
    return "cpu" if torch.device(name).type == "cpu" else name


def _agent_settings(
    agent: str, preset: Preset, own: dict[str, Any], num_envs: int
) -> dict[str, Any]:
    """Returns an agent's settings, its preset's where the user has none; all are checked."""
    policy = own.get("policy_kwargs", {})
    if not isinstance(policy, dict):
        raise ConfigError(
            f"{option('agent_settings.policy_kwargs')} is {shown(policy)}; expected a mapping "
            f"such as "
            "{net_arch: [64, 64], activation_fn: ReLU}"
        )
    policy = {**preset.agent_settings.get("policy_kwargs", {}), **policy}
    settings = {**preset.agent_settings, **own, "policy_kwargs": policy}
    checked_settings(agent, agent_kind(agent), settings)
    if "batch_size" not in own:
        fit_minibatches(settings, num_envs)
    check_rollouts(settings, num_envs)
    return settings


def plan(config: ResolvedRun, *, stride: int | None = None) -> tuple[Phase, ...]:
    """Lays out the phases of a run.

    Args:
        config: the settings.
        stride: steps the agent takes at once; None reads it from the settings.
    """
    if stride is None:
        # An off-policy model takes its steps in strides; phases must not cut them.
        stride = config.num_envs * steps_at_once(config.agent_settings)
    common: dict[str, Any] = {
        "queries": config.queries,
        "checkpoint_every": config.checkpoint_every,
        "multiple": stride,
    }
    is_learned = config.reward == "learned"
    ends = config.ends()
    explore_steps = config.explore_steps if is_learned else 0
    phases = plan_run(
        steps=ends[0].steps, explore_steps=explore_steps, budget=ends[0].budget, **common
    )
    for before, after in itertools.pairwise(ends):
        budget = after.budget - before.budget if is_learned else 0
        phases += plan_more(start=before.steps, steps=after.steps, budget=budget, **common)
    return phases


def check_is_run(folder: Path) -> None:
    """Refuses a folder that holds no run.

    Raises:
        StorageError: it does not, or cannot be looked into.
    """
    if not is_there(folder / run_folder.CONFIG):
        raise StorageError(f"{folder} holds no run: there is no {run_folder.CONFIG} in it")


def settings_of(folder: Path) -> RunConfig:
    """Reads the settings of a run folder, which may be somebody else's.

    Raises:
        StorageError: they cannot be read.
        ConfigError: they are wrong, or name a module that lies in the folder.
    """
    config = from_yaml(folder / run_folder.CONFIG)
    for name in (config.env, config.strategy):
        check_is_elsewhere(name, folder)
    return config


def make_configured_env(config: RunConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Makes one environment as the settings describe it."""
    return make_env(
        config.env,
        fixed_horizon=config.fixed_horizon,
        max_episode_steps=config.max_episode_steps,
        render_mode=render_mode,
        **config.env_kwargs,
    )


def env_maker(config: RunConfig, own: MakeEnv | None) -> MakeEnv:
    """Returns what makes a run's environments: as the settings describe them, or by `own`.

    Args:
        config: the settings, with `max_episode_steps` decided.
        own: makes one as its user has it.
    """
    if own is None:
        return lambda: make_configured_env(config)

    def make() -> gym.Env[Any, Any]:
        with making(config.env):
            env = own()
        limit = config.max_episode_steps
        assert limit is not None
        return prepared(env, env_id=config.env, max_episode_steps=limit)

    return make
