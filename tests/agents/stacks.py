"""Small stacks of environments for agents to learn in."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from prefrl.envs import RewardVecEnv, make_env, make_vec_env
from prefrl.segments import EpisodeStore

SMALL: dict[str, Any] = {"net_arch": [8]}
SMALL_PPO: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 32,
    "n_epochs": 1,
    "policy_kwargs": SMALL,
}
SMALL_SAC: dict[str, Any] = {"buffer_size": 60, "batch_size": 16, "policy_kwargs": SMALL}


def stack(
    num_envs: int = 1,
    env_id: str = "Pendulum-v1",
    *,
    length: int = 25,
    store: EpisodeStore | None = None,
) -> RewardVecEnv:
    """Environments with episodes of `length` steps."""
    return stack_of(partial(make_env, env_id, max_episode_steps=length), num_envs, store=store)


def stack_of(
    make: Callable[[], Any], num_envs: int = 1, *, store: EpisodeStore | None = None
) -> RewardVecEnv:
    """Environments of one's own."""
    return make_vec_env(make, num_envs, EpisodeStore() if store is None else store)


def constant(value: float) -> Any:
    """A reward function that always says the same."""
    return lambda obs, action, next_obs, done: np.full(len(obs), value, dtype=np.float32)
