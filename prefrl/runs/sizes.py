"""Settings that no machine of this memory can carry out are refused before anything is made."""

import os
from typing import Any

from prefrl.config import ResolvedRun
from prefrl.errors import ConfigError, option

MOST_THREADS = 1_024
MOST_PHASES = 100_000

# Bytes that one takes at the very least: estimates are low, so that what could work is tried.
_ENVIRONMENT = 20_000
_EPISODE = 100
_SESSION = 100
_ROW = 16  # of a step: a float each of observation, the next one, action and reward
_WEIGHT = 16  # with its gradient and the two moments of Adam


def check_sizes(config: ResolvedRun) -> None:
    """Refuses what takes more memory than this machine has, however small the environment is.

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
    memory = _memory()
    for name, num_bytes in _least_bytes(config).items():
        if num_bytes > memory:
            raise ConfigError(
                f"{option(name)} asks for at least {num_bytes / 1e9:,.0f} GB of memory, and this "
                f"machine has {memory / 1e9:,.0f}; choose less"
            )


def _least_bytes(config: ResolvedRun) -> dict[str, float]:
    """Returns what each setting takes, at least."""
    model, agent = config.reward_model, config.agent_settings
    width = float(model.hidden_dim)
    return {
        "num_envs": float(config.num_envs) * _ENVIRONMENT,
        "eval_episodes": float(config.eval_episodes) * _EPISODE,
        "store_transitions": float(min(config.store_transitions, config.steps)) * _ROW,
        "queries.num_sessions": float(config.queries.num_sessions) * _SESSION,
        "reward_model.hidden_dim": width * width * _WEIGHT,
        "reward_model.num_layers": model.num_layers * width * width * _WEIGHT,
        "reward_model.num_reward_heads": model.num_reward_heads * width * width * _WEIGHT,
        "reward_model.bank_size": model.bank_size * width * _ROW / 4,
        "agent_settings.n_steps": _number(agent.get("n_steps")) * config.num_envs * _ROW,
        "agent_settings.buffer_size": _number(agent.get("buffer_size")) * _ROW,
    }


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _memory() -> float:
    """Returns this machine's memory in bytes; inf where that is not said."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")
