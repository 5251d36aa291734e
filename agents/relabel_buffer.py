"""Rewards of a replay buffer computed anew, so that none is stale after a reward update."""

from typing import Any

from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents.reward_stage import RewardStage
from prefrl.types import RewardFunction

# A multiple of what reward models score at once; copies of a whole buffer would be another buffer.
_ROWS_AT_ONCE = 65_536


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
    filled, at_once = buffer.size(), max(_ROWS_AT_ONCE // buffer.n_envs, 1)
    for start in range(0, filled, at_once):
        _relabel_rows(buffer, slice(start, min(start + at_once, filled)), reward_function, venv)


def _relabel_rows(
    buffer: ReplayBuffer, rows: slice, reward_function: RewardFunction, venv: RewardStage
) -> None:
    def side_by_side(column: NDArray[Any]) -> NDArray[Any]:
        part = column[rows]
        return part.reshape(-1, *part.shape[2:])

    actions = side_by_side(buffer.actions)
    space = venv.action_space
    if isinstance(space, spaces.Box):
        low, high = space.low.reshape(-1), space.high.reshape(-1)  # as they are stored: flat
        actions = low + 0.5 * (actions + 1.0) * (high - low)
    # SB3 keeps time limits apart, and `dones` counts them as ends all the same.
    terminated = side_by_side(buffer.dones) * (1 - side_by_side(buffer.timeouts))
    # Rows of `flat` are copies: whatever the function writes to, experience stays as it is.
    rewards = reward_function(
        venv.flat(side_by_side(buffer.observations)),
        venv.encode_actions(actions),
        venv.flat(side_by_side(buffer.next_observations)),
        terminated.astype(bool),
    )
    buffer.rewards[rows] = rewards.reshape(-1, buffer.n_envs)


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
