"""Rewards of a replay buffer computed anew, so that none is stale after a reward update."""

from typing import Any

from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents.base import RewardStage
from prefrl.types import RewardFunction


def stored_rows(buffer: ReplayBuffer, column: NDArray[Any]) -> NDArray[Any]:
    """Returns (N, ...) the filled part of one of a buffer's columns, environments side by side."""
    filled = buffer.size()
    return column[:filled].reshape(filled * buffer.n_envs, *column.shape[2:])


def relabel(buffer: ReplayBuffer, reward_function: RewardFunction, venv: RewardStage) -> None:
    """Rewrites every stored reward, the wrapped part of a full buffer included.

    As PEBBLE does after each update of the reward model (Lee et al. 2021, algorithm 2).

    Args:
        buffer: SB3's, whose Box actions are stored scaled to [-1, 1].
        reward_function: the new reward.
        venv: knows how observations and actions become rows.
    """
    filled = buffer.size()
    if filled == 0:
        return
    actions = stored_rows(buffer, buffer.actions)
    space = venv.action_space
    if isinstance(space, spaces.Box):
        low, high = space.low.reshape(-1), space.high.reshape(-1)  # as they are stored: flat
        actions = low + 0.5 * (actions + 1.0) * (high - low)
    # SB3 keeps time limits apart, and `dones` counts them as ends all the same.
    terminated = stored_rows(buffer, buffer.dones) * (1 - stored_rows(buffer, buffer.timeouts))
    rewards = reward_function(
        venv.flat(stored_rows(buffer, buffer.observations)),
        venv.encode_actions(actions),
        venv.flat(stored_rows(buffer, buffer.next_observations)),
        terminated.astype(bool),
    )
    buffer.rewards[:filled] = rewards.reshape(filled, buffer.n_envs)


def mark_cut(buffer: ReplayBuffer) -> None:
    """Notes that the newest step of every environment is followed by a reset, not by the next one.

    The learner resets environments itself, of which their infos say nothing: a truncation like one
    at a time limit, for returns over several steps as well.
    """
    if buffer.size() == 0:
        return
    newest = (buffer.pos - 1) % buffer.buffer_size
    is_open = buffer.dones[newest] == 0
    buffer.dones[newest][is_open] = buffer.timeouts[newest][is_open] = 1
