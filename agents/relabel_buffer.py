"""Rewards of a replay buffer computed anew, so that none is stale after a reward update."""

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents.base import RewardStage
from prefrl.types import RewardFunction


def relabel(buffer: ReplayBuffer, reward_function: RewardFunction, venv: RewardStage) -> None:
    """Rewrites every stored reward, the wrapped part of a full buffer included (PEBBLE, Lee et al. 2021).

    Args:
        buffer: SB3's, whose Box actions are stored scaled to [-1, 1].
        reward_function: the new reward.
        venv: knows how observations and actions become rows.
    """
    filled = buffer.size()
    if filled == 0:
        return
    obs = buffer.observations[:filled]
    if getattr(buffer, "optimize_memory_usage", False):
        next_obs = np.roll(buffer.observations, -1, axis=0)[:filled]
    else:
        next_obs = buffer.next_observations[:filled]

    def rows(array: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return array.reshape(filled * buffer.n_envs, *array.shape[2:])

    actions = rows(buffer.actions[:filled])
    space = venv.action_space
    if isinstance(space, spaces.Box):
        actions = space.low + 0.5 * (actions + 1.0) * (space.high - space.low)
    rewards = reward_function(
        venv.flat(rows(obs)),
        venv.encode_actions(actions),
        venv.flat(rows(next_obs)),
        rows(buffer.dones[:filled]).astype(bool),
    )
    buffer.rewards[:filled] = rewards.reshape(filled, buffer.n_envs)
