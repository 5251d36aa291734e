"""Episodes that a policy played, kept so that any reward can score them later.

Axes: N transitions of all episodes, E episodes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.segments import FloatArray
from prefrl.types import RewardFunction, State

Transitions = tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]
"""Arguments of a reward function: (N, O), (N, A), (N, O), (N,)."""


@dataclass(frozen=True)
class Rollouts:
    """Whole episodes, transition by transition; those of an episode are in order.

    Args:
        episode: (N,) int64, the episode each transition belongs to, 0 to E - 1.
        true_rewards: (N,) the environment's own.
        learned_rewards: (N,) what the reward function said at the time; None without one.
        transitions: what any other reward function takes.
        successes: (E,) 1 or 0, NaN where the environment did not say; None: it never does.
    """

    episode: NDArray[np.int64]
    true_rewards: NDArray[np.float64]
    learned_rewards: FloatArray | None
    transitions: Transitions
    successes: NDArray[np.float64] | None = None

    @property
    def num_episodes(self) -> int:
        """E."""
        return int(self.episode.max()) + 1

    def true_returns(self) -> NDArray[np.float64]:
        """Returns (E,) sums of the true reward."""
        return self._sums(self.true_rewards)

    def learned_return_mean(self) -> float:
        """Returns the mean over episodes of the learned reward's sums; NaN without one."""
        if self.learned_rewards is None:
            return math.nan
        return float(self._sums(self.learned_rewards).mean())

    def success_rate(self) -> float:
        """Returns the share of episodes that succeeded; NaN where none said so or not."""
        if self.successes is None:
            return math.nan
        return float(np.nanmean(self.successes))

    def scored_by(self, reward_function: RewardFunction) -> float:
        """Returns the mean over episodes of the sums of another reward."""
        return float(self._sums(reward_function(*self.transitions)).mean())

    def _sums(self, rewards: NDArray[Any]) -> NDArray[np.float64]:
        """Returns (E,) sums over the transitions of each episode."""
        sums: NDArray[np.float64] = np.bincount(self.episode, weights=rewards)  # type: ignore[assignment]
        return sums

    def state(self) -> State:
        """Returns arrays for a checkpoint, each observation once: it is the one before's next."""
        order = np.argsort(self.episode, kind="stable")
        obs, action, next_obs, done = (column[order] for column in self.transitions)
        is_last = np.append(np.diff(self.episode[order]) > 0, True)
        return {
            "episode": self.episode[order],
            "true_rewards": self.true_rewards[order],
            "observations": obs,
            "last_observations": next_obs[is_last],
            "actions": action,
            "done": done,
        }

    @classmethod
    def from_state(cls, state: State) -> "Rollouts":
        """Puts together what `state` returned; what the reward said at the time is not in it."""
        episode, obs = state["episode"], state["observations"]
        next_obs = np.roll(obs, -1, axis=0)
        next_obs[np.append(np.diff(episode) > 0, True)] = state["last_observations"]
        transitions = obs, state["actions"], next_obs, state["done"]
        return cls(episode, state["true_rewards"], None, transitions)


class _Tape:
    """A reward function that keeps what it is given; 0 where there is no other to ask."""

    def __init__(self, reward_function: RewardFunction | None) -> None:
        self._reward_function = reward_function
        self.last: tuple[Any, ...] = ()

    def __call__(
        self, obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
    ) -> FloatArray:
        # The arrays may be written to again.
        self.last = tuple(column.copy() for column in (obs, action, next_obs, done))
        if self._reward_function is None:
            return np.zeros(len(obs), dtype=np.float32)
        return self._reward_function(obs, action, next_obs, done)


def play(
    predict: Callable[[Any], Any],
    venv: RewardVecEnv,
    *,
    num_episodes: int,
    seed: int,
    reward_function: RewardFunction | None = None,
) -> Rollouts:
    """Plays episodes, as many side by side as there are environments.

    Args:
        predict: (N, O) observations -> actions.
        venv: the environments; left in the middle of an episode, with a reward of their own.
        num_episodes: how many.
        seed: of the environments; with other environments side by side the same episodes begin.
        reward_function: the learned reward, where there is one.

    Raises:
        SpaceError: the reward model does not fit the environments.
        EnvironmentFault: an environment went wrong.
    """
    venv.set_reward(reward_function)  # It is refused where it does not fit.
    tape = _Tape(reward_function)
    venv.set_reward(tape)
    successes = np.full(num_episodes, np.nan)
    venv.pop_finished()
    numbers: list[Any] = []
    rows: list[tuple[Any, ...]] = []
    for first in range(0, num_episodes, venv.num_envs):
        venv.seed(seed + first)
        observations: Any = venv.reset()
        number = first + np.arange(venv.num_envs)
        is_playing = number < num_episodes
        while is_playing.any():
            observations, rewards, dones, infos = venv.step(predict(observations))
            true = np.array([info["true_reward"] for info in infos])
            numbers.append(number[is_playing])
            rows.append(tuple(column[is_playing] for column in (true, rewards, *tape.last)))
            for i, ended in zip(np.flatnonzero(dones).tolist(), venv.pop_finished(), strict=True):
                if is_playing[i] and ended.has_succeeded is not None:
                    successes[number[i]] = ended.has_succeeded
            is_playing &= ~dones
    true_rewards, learned, *transitions = (
        np.concatenate(column) for column in zip(*rows, strict=True)
    )
    return Rollouts(
        episode=np.concatenate(numbers),
        true_rewards=true_rewards,
        learned_rewards=None if reward_function is None else learned,
        transitions=tuple(transitions),  # type: ignore[arg-type]
        successes=None if np.isnan(successes).all() else successes,
    )
