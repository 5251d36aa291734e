"""Settings that no machine of this memory can carry out are refused before anything is made."""

import os
from collections.abc import Mapping
from typing import Any

from prefrl.config import ResolvedRun, RewardConfig
from prefrl.errors import ConfigError, option

MOST_THREADS = 1_024
MOST_PHASES = 100_000

# Bytes that one takes at the very least: estimates are low, so that what could work is tried.
_ENVIRONMENT = 20_000
_EPISODE = 100
_SESSION = 100
_NUMBER = 4  # of observations, actions and rewards
_ANSWER = 50
_CANDIDATE = 16
_WEIGHT = 16  # with its gradient and the two moments of Adam


def check_sizes(config: ResolvedRun, *, observation_dim: int = 1, action_dim: int = 1) -> None:
    """Refuses what takes more memory than this machine has.

    Args:
        config: the settings.
        observation_dim: O; as little as there may be where it is not known yet.
        action_dim: A, likewise.

    Raises:
        ConfigError: it names the setting, and how much it takes.
    """
    if config.threads > MOST_THREADS:
        raise ConfigError(
            f"{option('threads')} is {config.threads:,}; expected at most {MOST_THREADS:,}"
        )
    phases = config.steps / config.checkpoint_every
    if phases > MOST_PHASES:
        raise ConfigError(
            f"{option('steps')} is {config.steps:,}, which is {phases:,.0f} times "
            f"{option('checkpoint_every')} ({config.checkpoint_every:,}); expected at most "
            f"{MOST_PHASES:,} times"
        )
    agent, row = config.agent_settings, _NUMBER * (observation_dim + action_dim + 1)
    queries, replayed = config.queries, _number(agent.get("buffer_size"))
    _check_memory(
        {
            "num_envs": float(config.num_envs) * (_ENVIRONMENT + row),
            "eval_episodes": float(config.eval_episodes) * _EPISODE,
            "budget": float(config.budget) * _ANSWER,
            "store_transitions": float(min(config.store_transitions, config.steps)) * row,
            "queries.num_sessions": float(queries.num_sessions) * _SESSION,
            "queries.spread_factor": float(queries.spread_factor)
            * queries.pool_size(1)
            * _CANDIDATE,
            "agent_settings.n_steps": _number(agent.get("n_steps")) * config.num_envs * row,
            "agent_settings.buffer_size": min(replayed, config.steps)
            * (row + _NUMBER * observation_dim),
        }
    )
    check_model_size(config.reward_model, observation_dim + action_dim)


def check_model_size(config: RewardConfig, input_dim: int = 1) -> None:
    """Refuses a reward model that takes more memory than this machine has.

    Args:
        config: its settings.
        input_dim: of a row, at least.

    Raises:
        ConfigError: as `check_sizes`.
    """
    width = float(config.hidden_dim)
    weights = width * (width + input_dim) * _WEIGHT
    _check_memory(
        {
            "reward_model.hidden_dim": weights,
            "reward_model.num_layers": config.num_layers * width * width * _WEIGHT,
            "reward_model.num_reward_heads": config.num_reward_heads * weights,
            "reward_model.bank_size": (config.bank_size or 0) * width * _NUMBER,
        }
    )


def _check_memory(wanted: Mapping[str, float]) -> None:
    """Refuses the first setting that takes more bytes than this machine has."""
    memory = _memory()
    for name, num_bytes in wanted.items():
        if num_bytes > memory:
            raise ConfigError(
                f"{option(name)} asks for at least {num_bytes / 1e9:,.0f} GB of memory, and this "
                f"machine has {memory / 1e9:,.0f}; choose less"
            )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _memory() -> float:
    """Returns this machine's memory in bytes; inf where that is not said."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")
