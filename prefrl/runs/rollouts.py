"""Episodes that a policy played, kept so that any reward can score them later.

Axes: N transitions of all episodes, E episodes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.errors import DataError
from prefrl.segments import FloatArray
from prefrl.segments.stored import check_arrays, check_finite
from prefrl.types import RewardFunction, State

_MAX_BATCH = 32  # episodes that a policy is asked about at once

Transitions = tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]
"""Arguments of a reward function: (N, O), (N, A), (N, O), (N,)."""


@dataclass(frozen=True)
class Rollouts:
    """Whole episodes, transition by transition, one episode after the other.

    Args:
        episode: (N,) int64, the episode each transition belongs to, 0 to E - 1, ascending.
        true_rewards: (N,) the environment's own.
        learned_rewards: (N,) what a reward function says of them; None without one.
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

    def rewarded_by(self, reward_function: RewardFunction) -> "Rollouts":
        """Returns the same episodes with what a reward says of them, each scored by itself."""
        starts = np.flatnonzero(np.diff(self.episode)) + 1
        episodes = zip(*(np.split(column, starts) for column in self.transitions), strict=True)
        learned = np.concatenate([reward_function(*episode) for episode in episodes])
        return replace(self, learned_rewards=learned)

    def scored_by(self, reward_function: RewardFunction) -> float:
        """Returns the mean over episodes of the sums of another reward."""
        return self.rewarded_by(reward_function).learned_return_mean()

    def _sums(self, rewards: NDArray[Any]) -> NDArray[np.float64]:
        """Returns (E,) sums over the transitions of each episode."""
        sums: NDArray[np.float64] = np.bincount(self.episode, weights=rewards)  # type: ignore[assignment]
        return sums

    def state(self) -> State:
        """Returns arrays for a checkpoint, each observation once: it is the one before's next."""
        obs, action, next_obs, done = self.transitions
        is_last = np.append(np.diff(self.episode) > 0, True)
        return {
            "episode": self.episode,
            "true_rewards": self.true_rewards,
            "observations": obs,
            "last_observations": next_obs[is_last],
            "actions": action,
            "done": done,
        }

    @classmethod
    def from_state(cls, state: State) -> "Rollouts":
        """Puts together what `state` returned; what the reward said at the time is not in it.

        Raises:
            DataError: an array is missing, or does not fit the others; it is named.
        """
        _check(state)
        episode, obs = state["episode"], state["observations"]
        next_obs = np.roll(obs, -1, axis=0)
        next_obs[np.append(np.diff(episode) > 0, True)] = state["last_observations"]
        transitions = obs, state["actions"], next_obs, state["done"]
        return cls(episode, state["true_rewards"], None, transitions)


def _check(state: State) -> None:
    check_arrays(state, {"episode": ("iu", (None,))})
    episode = state["episode"]
    # Else sums by episode would take memory for every number up to the largest.
    if not len(episode) or episode[0] != 0 or not np.isin(np.diff(episode), (0, 1)).all():
        raise DataError("episode is not 0, 1, ..., in order")
    num = len(episode)
    check_arrays(
        state,
        {
            "true_rewards": ("fiu", (num,)),
            "observations": ("fiu", (num, None)),
            "actions": ("fiu", (num, None)),
            "done": ("b", (num,)),
        },
    )
    last = (int(episode[-1]) + 1, state["observations"].shape[1])
    check_arrays(state, {"last_observations": ("fiu", last)})
    check_finite(state, ("true_rewards", "observations", "actions", "last_observations"))


class _Tape:
    """A reward function that keeps what it is given, and pays nothing."""

    def __init__(self) -> None:
        self.last: tuple[Any, ...] = ()

    def __call__(
        self, obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
    ) -> FloatArray:
        # The arrays may be written to again.
        self.last = tuple(column.copy() for column in (obs, action, next_obs, done))
        return np.zeros(len(obs), dtype=np.float32)


class _Batches:
    """A policy that is always asked about equally many observations.

    The last digits of a matrix product follow from how many rows it has. With a row of its own for
    every episode the same ones are played however many environments stand side by side.
    """

    def __init__(self, predict: Callable[[Any], Any], num_episodes: int) -> None:
        self._predict = predict
        self._size = min(num_episodes, _MAX_BATCH)

    def __call__(self, observations: Any, episode: NDArray[np.int64]) -> Any:
        """Returns an action for each observation; those of an episode past the last are any."""
        batch, row = np.divmod(episode, self._size)
        actions: Any = None
        for number in np.unique(batch).tolist():
            asked = np.zeros((self._size, *observations.shape[1:]), dtype=observations.dtype)
            is_in = batch == number
            asked[row[is_in]] = observations[is_in]
            answered = np.asarray(self._predict(asked))
            if actions is None:
                actions = np.empty((len(episode), *answered.shape[1:]), dtype=answered.dtype)
            actions[is_in] = answered[row[is_in]]
        return actions


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
        seed: of the first episode; each further one has the next. With other environments
            side by side the same episodes are played.
        reward_function: the learned reward, where there is one.

    Raises:
        SpaceError: the reward model does not fit the environments.
        EnvironmentFault: an environment went wrong.
    """
    venv.set_reward(reward_function)  # It is refused where it does not fit.
    tape = _Tape()
    venv.set_reward(tape)
    policy = _Batches(predict, num_episodes)
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
            observations, _, dones, infos = venv.step(policy(observations, number))
            true = np.array([info["true_reward"] for info in infos])
            numbers.append(number[is_playing])
            rows.append(tuple(column[is_playing] for column in (true, *tape.last)))
            for i, ended in zip(np.flatnonzero(dones).tolist(), venv.pop_finished(), strict=True):
                if is_playing[i] and ended.has_succeeded is not None:
                    successes[number[i]] = ended.has_succeeded
            is_playing &= ~dones
    order = np.argsort(np.concatenate(numbers), kind="stable")
    true_rewards, *transitions = (
        np.concatenate(column)[order] for column in zip(*rows, strict=True)
    )
    rollouts = Rollouts(
        episode=np.concatenate(numbers)[order],
        true_rewards=true_rewards,
        learned_rewards=None,
        transitions=tuple(transitions),  # type: ignore[arg-type]
        successes=None if np.isnan(successes).all() else successes,
    )
    return rollouts if reward_function is None else rollouts.rewarded_by(reward_function)
