"""`StepBlocks`: steps of environments side by side, from which episodes are cut.

Axes: S rows, N environments, O observation dims, A action dims, Q simulator-state dims, M
objectives.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import Episode, EpisodeStore, FloatArray

NUM_ROWS = 1024


class StepBlocks:
    """Preallocated arrays with a row for each moment, of all environments.

    A row has what was seen and the reward that led there, then the simulators' states and the
    actions that were taken in them. Where an episode ended, what was seen is the next one's first.

    Args:
        num_envs: N.
        observation_dim: O.
        action_dim: A.
        state_dim: Q.
        num_objectives: M.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        observation_dim: int,
        action_dim: int,
        state_dim: int,
        num_objectives: int,
    ) -> None:
        def block(dims: int, dtype: Any = np.float32) -> NDArray[Any]:
            return np.empty((NUM_ROWS, num_envs, dims), dtype=dtype)

        self.row = 0
        """The present moment's."""
        # The row in which each environment saw the first of its episode.
        self._start = np.zeros(num_envs, dtype=np.int64)
        self._use(
            outcomes=block(1 + observation_dim).reshape(NUM_ROWS, -1),
            actions=block(action_dim),
            sim_states=block(state_dim, np.float64),
            objective_rewards=block(num_objectives),
        )

    def _use(self, **blocks: NDArray[Any]) -> None:
        self._blocks = blocks
        num_envs = len(self._start)
        # Side by side, as whether they are finite is looked at in every step, at once.
        self.outcomes = outcomes = blocks["outcomes"]  # (S, N + N * O)
        self.true_rewards = outcomes[:, :num_envs]  # (S, N)
        self.observations = outcomes[:, num_envs:].reshape(len(outcomes), num_envs, -1)  # (S, N, O)
        self.actions = blocks["actions"]  # (S, N, A)
        self._states = blocks["sim_states"].reshape(-1).data.cast("B")  # (S * N * Q * 8,)
        self.objective_rewards = blocks["objective_rewards"]  # (S, N, M)

    def write_states(self, states: bytes) -> None:
        """Writes the simulators' present states, (N, Q) float64."""
        size = len(states)
        self._states[self.row * size : (self.row + 1) * size] = states

    def start_over(self) -> None:
        """Goes back to the first row, where every environment begins an episode."""
        self.row = 0
        self._start[:] = 0

    def length(self, env: int) -> int:
        """Returns how many steps an environment's present episode has."""
        return self.row - int(self._start[env])

    def make_room(self) -> None:
        """Moves unfinished episodes to the front, and doubles the blocks where they fill them."""
        first = int(self._start.min())
        moved = {}
        for name, block in self._blocks.items():
            unfinished = block[first : self.row + 1]
            if 2 * len(unfinished) > len(block):
                block = np.empty((2 * len(block), *block.shape[1:]), dtype=block.dtype)
            block[: len(unfinished)] = unfinished.copy()
            moved[name] = block
        self._use(**moved)
        self.row -= first
        self._start -= first

    def hand_over(
        self,
        env: int,
        store: EpisodeStore,
        *,
        reached: FloatArray | None,
        terminated: bool,
        is_complete: bool,
    ) -> None:
        """Cuts out an environment's present episode; the next one begins.

        Args:
            env: number of the environment.
            store: receives the episode.
            reached: (O,) what its last action led to; None where that is what was seen last.
            terminated: as in `Episode`.
            is_complete: likewise.
        """
        first, last = int(self._start[env]), self.row
        self._start[env] = last
        before, after = slice(first, last), slice(first + 1, last + 1)
        observations = self.observations[first : last + 1, env]
        begins_with = observations[-1].copy()
        if reached is not None:
            observations[-1] = reached  # Only until the store has its copy.
        store.add(
            Episode(
                observations=observations,
                actions=self.actions[before, env],
                true_rewards=self.true_rewards[after, env],
                sim_states=self._blocks["sim_states"][before, env],
                objective_rewards=self.objective_rewards[after, env],
                is_complete=is_complete,
                terminated=terminated,
                truncated=not terminated,
            )
        )
        observations[-1] = begins_with
