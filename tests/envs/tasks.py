"""Small environments in which every number tells where it comes from."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv


class Counting(gym.Env[Any, Any]):
    """Observes (which environment, episode, step); earns 100 * episode + step + the actions.

    Args:
        which: the environment's number.
        lengths: of the episodes, over and over.
        is_truncated: episodes are cut off instead of ending by themselves; one for all, or one for
            each of the lengths.
        reuses_array: every observation is the same array, overwritten.
    """

    observation_space: Any = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space: Any = spaces.Box(np.array([-1.0, 0.0], "f"), np.array([3.0, 10.0], "f"))

    def __init__(
        self,
        which: int = 0,
        lengths: Sequence[int] = (5,),
        *,
        is_truncated: bool | Sequence[bool] = False,
        reuses_array: bool = False,
    ) -> None:
        self.lengths = tuple(lengths)
        if isinstance(is_truncated, bool):
            is_truncated = [is_truncated] * len(self.lengths)
        self.is_truncated = tuple(is_truncated)
        self.reuses_array = reuses_array
        self._obs = np.array([which, -1, 0], dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._obs[1] += 1
        self._obs[2] = 0
        return self._seen(), {}

    def step(self, action: Any):
        _, episode, step = self._obs
        reward = float(100 * episode + step + np.sum(action))
        self._obs[2] += 1
        kind = int(episode) % len(self.lengths)
        is_over, is_cut = bool(self._obs[2] >= self.lengths[kind]), self.is_truncated[kind]
        return self._seen(), reward, is_over and not is_cut, is_over and is_cut, {}

    def _seen(self) -> Any:
        return self._obs if self.reuses_array else self._obs.copy()


class Pieces(gym.Env[Any, Any]):
    """A Dict of a vector, a one-of-three and two switches; earns the number of the action.

    Args:
        first: the number of the first of its modes and of its five actions.
    """

    def __init__(self, first: int = 2) -> None:
        self.observation_space = spaces.Dict(
            {
                "where": spaces.Box(-1.0, 1.0, (2,), np.float32),
                "mode": spaces.Discrete(3, start=first),
                "lamps": spaces.MultiBinary(2),
            }
        )
        self.action_space = spaces.Discrete(5, start=first)
        self._first = first
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._step = 0
        return self._seen(), {}

    def step(self, action: Any):
        assert self.action_space.contains(action)
        self._step += 1
        return self._seen(), float(action), False, self._step >= 4, {}

    def _seen(self) -> dict[str, Any]:
        return {
            "where": self.np_random.uniform(-1, 1, size=2).astype(np.float32),
            "mode": np.int64(self._first + self._step % 3),
            "lamps": np.array([self._step % 2, 1], dtype=np.int8),
        }


class Failing(gym.Env[Any, Any]):
    """Goes wrong in the third step of its first episode.

    Args:
        how: "observation", "last observation" or "reward" is not finite; or "raises".
    """

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, how: str) -> None:
        self.how = how
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        if self.how == "raises on reset":
            raise OSError("the arm\nis unplugged")
        self._step = 0
        return np.zeros(1), {}

    def step(self, action: Any):
        self._step += 1
        is_wrong = self._step == 3
        if is_wrong and self.how == "raises":
            raise RuntimeError("the arm\nis stuck")
        obs = np.full(1, np.inf if is_wrong and "observation" in self.how else 0.0)
        reward = np.nan if is_wrong and self.how == "reward" else 1.0
        return obs, reward, is_wrong and self.how == "last observation", False, {}


class Camera(Counting):
    """Claims to observe images."""

    observation_space = spaces.Box(0, 255, (8, 8, 3), np.uint8)


def side_by_side(makers: Iterable[Callable[[], Any]]) -> DummyVecEnv:
    """SB3's own vector environment in this process."""
    return DummyVecEnv(list(makers))


def looking_ahead(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    """A reward in which every argument has its own digits."""
    total = next_obs.sum(axis=1) + 1e3 * obs.sum(axis=1) + 0.125 * action.sum(axis=1)
    return (total + 1e5 * done).astype(np.float32)


def pickled(thing: Any) -> Any:
    """Returns what comes back of it after pickling."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own, made a moment ago
