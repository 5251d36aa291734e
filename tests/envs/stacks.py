"""Gymnasium's own wrappers, to be stacked in any order, around an environment that keeps a log."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers

Wrap = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


class Logged(gym.Env[Any, Any]):
    """Keeps what it showed, what was done in it and what it paid, before it was transformed."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-2.0, np.array([2.0, 3.0, 4.0], "f"), dtype=np.float32)
        self.action_space = spaces.Box(np.array([-2.0, -1.0], "f"), np.array([3.0, 1.0], "f"))
        self.log: list[tuple[Any, Any, float]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._shown = self._drawn()
        return self._shown.copy(), {}

    def step(self, action: Any):
        reward = float(self.np_random.normal(5.0, 2.0))
        self.log.append((self._shown, np.array(action, "f"), reward))
        self._shown = self._drawn()
        return self._shown.copy(), reward, False, False, {}

    def _drawn(self) -> Any:
        return self.np_random.uniform(-2.0, 2.0, 3).astype(np.float32)


class Kept(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps the rewards that pass it, the learned and the true: of steps and of resets."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.rewards: list[tuple[float, float]] = []
        self.of_resets: list[tuple[float, float]] = []

    def step(self, action: Any):
        raw: Any = self.unwrapped
        num_before = len(raw.log)
        outcome = self.env.step(action)
        kept = self.of_resets if len(raw.log) == num_before else self.rewards
        kept.append((float(outcome[1]), outcome[4]["true_reward"]))
        return outcome


def halved(value: Any) -> Any:
    """Half of it."""
    return value / 2


def half_the_space(space: Any) -> Any:
    """The space of halved values."""
    return spaces.Box(space.low / 2, space.high / 2, dtype=space.dtype)


def _transform_observation(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    space = [half_the_space(env.observation_space)] if IS_NEW else []
    return wrappers.TransformObservation(env, halved, *space)


def _transform_action(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return wrappers.TransformAction(env, halved, env.action_space)


def _time_aware(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return wrappers.TimeAwareObservation(wrappers.TimeLimit(env, 5))


IS_NEW = hasattr(wrappers, "Autoreset")
"""Gymnasium 1.0 or newer."""

_ONE = np.float32(1.0)
_GIVEN: dict[str, dict[str, Any] | Wrap] = {
    "AutoResetWrapper": {},
    "Autoreset": {},
    "ClipAction": {},
    "ClipReward": {"min_reward": -1.0, "max_reward": 1.0},
    "DelayObservation": {"delay": 1},
    "DiscretizeAction": {"bins": 3},
    "DiscretizeObservation": {"bins": 3},
    "DtypeObservation": {"dtype": np.float32},
    "FlattenObservation": {},
    "FrameStack": {"num_stack": 2},
    "FrameStackObservation": {"stack_size": 2},
    "MaxAndSkipObservation": {"skip": 2},
    "NormalizeObservation": {},
    "NormalizeReward": {},
    "OrderEnforcing": {},
    "PassiveEnvChecker": {},
    "RecordEpisodeStatistics": {},
    "RepeatAction": {"num_repeats": 2},
    "RescaleAction": {"min_action": -_ONE, "max_action": _ONE},
    "RescaleObservation": {"min_obs": -_ONE, "max_obs": _ONE},
    "ReshapeObservation": {"shape": (3, 1)},
    "StickyAction": {"repeat_action_probability": 0.5},
    "TimeAwareObservation": _time_aware,
    "TimeLimit": {"max_episode_steps": 5},
    "TransformAction": _transform_action,
    "TransformObservation": _transform_observation,
    "TransformReward": {"func" if IS_NEW else "f": halved},
}
HARMLESS = {
    "AutoResetWrapper",
    "Autoreset",
    "DtypeObservation",
    "FlattenObservation",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "ReshapeObservation",
    "TimeLimit",
}
FAULTY = {"NormalizeObservation", "NormalizeReward"}
"""What normalises by statistics of its own."""


def _made_by(name: str, given: dict[str, Any] | Wrap) -> Wrap:
    return partial(getattr(wrappers, name), **given) if isinstance(given, dict) else given


# Which of Gymnasium's there are depends on its version; what needs pictures is left out.
WRAPPERS = {name: _made_by(name, given) for name, given in _GIVEN.items() if name in dir(wrappers)}


def stacked(names: Sequence[str], env: gym.Env[Any, Any] | None = None) -> gym.Env[Any, Any]:
    """Wraps an environment, by default one that keeps a log, in each; the last is outermost."""
    env = Logged() if env is None else env
    for name in names:
        env = WRAPPERS[name](env)
    return env


def walk(env: gym.Env[Any, Any], num_steps: int = 8) -> list[Any]:
    """Steps an environment with actions of its own, and returns what it said."""
    env.action_space.seed(0)
    said: list[Any] = [np.asarray(env.reset(seed=0)[0])]
    for _ in range(num_steps):
        outcome = env.step(env.action_space.sample())
        # The oldest Gymnasium stacks frames lazily.
        said.append((np.asarray(outcome[0]), *outcome[1:4]))
        if (outcome[2] or outcome[3]) and "Autoreset" not in str(env):
            said.append(env.reset())
    return said
