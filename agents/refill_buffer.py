"""A replay buffer filled anew from recorded episodes, where it was not saved itself."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents.relabel_buffer import mark_cut
from prefrl.segments import EpisodeStore, FloatArray


def refill(buffer: ReplayBuffer, store: EpisodeStore) -> int:
    """Fills an empty replay buffer with the newest steps of a store, at their true rewards.

    Each of the buffer's environments gets whole stretches of time, one episode after the other; an
    episode that was cut, or whose rest the next environment got, ends in a truncation.

    Args:
        buffer: SB3's, whose Box actions are stored scaled to [-1, 1].
        store: episodes of the same environment.

    Returns:
        how many steps were put in: as many as fit, in multiples of the number of environments.
    """
    episodes = list(store.episodes)
    num_steps = sum(len(e) for e in episodes)
    rows = min(num_steps // buffer.n_envs, buffer.buffer_size)
    if rows == 0:
        return 0
    ends = np.cumsum([len(e) for e in episodes]) - 1
    dones, timeouts = np.zeros(num_steps), np.zeros(num_steps)
    timeouts[ends] = [not e.terminated for e in episodes]
    dones[ends] = 1
    columns: dict[str, NDArray[Any]] = {
        "observations": _observed(buffer, [e.observations[:-1] for e in episodes]),
        "next_observations": _observed(buffer, [e.observations[1:] for e in episodes]),
        "actions": _as_stored(buffer, np.concatenate([e.actions for e in episodes])),
        "rewards": np.concatenate([e.true_rewards for e in episodes]),
        "dones": dones,
        "timeouts": timeouts,
    }
    for name, column in columns.items():
        newest = column[num_steps - rows * buffer.n_envs :]
        side_by_side = newest.reshape(buffer.n_envs, rows, *newest.shape[1:]).swapaxes(0, 1)
        target = getattr(buffer, name)
        target[:rows] = side_by_side.reshape(target[:rows].shape)
    buffer.pos, buffer.full = rows % buffer.buffer_size, rows == buffer.buffer_size
    mark_cut(buffer)
    return rows * buffer.n_envs


def _observed(buffer: ReplayBuffer, parts: list[FloatArray]) -> NDArray[Any]:
    """Returns (N, O) rows as the space's own observations."""
    rows, space = np.concatenate(parts), buffer.observation_space
    if isinstance(space, spaces.Box):
        return rows
    return np.array([spaces.utils.unflatten(space, row) for row in rows])


def _as_stored(buffer: ReplayBuffer, actions: FloatArray) -> NDArray[Any]:
    space = buffer.action_space
    if isinstance(space, spaces.Box):
        low, high = space.low.reshape(-1), space.high.reshape(-1)
        scaled: NDArray[Any] = 2.0 * (actions - low) / (high - low) - 1.0
        return scaled
    return np.array([spaces.utils.unflatten(space, row) for row in actions])
