"""Tiny environments, registered under `tests.own_envs:Name-v0`."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces


class PointMass(gym.Env[Any, Any]):
    """A point in the plane that is paid for being near the origin, and starts anywhere.

    Args:
        fault: a file such as "nan 300" or "raise 0"; while it exists, the environment observes NaN
            or raises after so many steps, over all episodes.
    """

    def __init__(self, fault: str | None = None) -> None:
        self.observation_space = spaces.Box(-2.0, 2.0, (2,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._fault = Path(fault) if fault else None
        self._num_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place = self.np_random.uniform(-1.0, 1.0, 2)
        return self._place.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._num_steps += 1
        self._place = np.clip(self._place + 0.1 * np.asarray(action), -2.0, 2.0)
        observation = self._place.astype(np.float32)
        reward = -float(np.linalg.norm(self._place))
        if self._fault is not None and self._fault.exists():
            kind, after = self._fault.read_text().split()
            if self._num_steps > int(after):
                if kind == "raise":
                    raise RuntimeError("the motor\nis too hot")
                observation = np.full_like(observation, np.nan)
        return observation, reward, False, False, {}


class Deadly(PointMass):
    """A `PointMass` that kills its own process, as `kill -9` does, after `PREFRL_KILL_AT` steps."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._num_steps == int(os.environ.get("PREFRL_KILL_AT", "-1")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Single(PointMass):
    """A `PointMass` that exists once, as a robot on a serial port does."""

    is_taken = False

    def __init__(self) -> None:
        if Single.is_taken:
            raise RuntimeError("the port\nis in use")
        Single.is_taken = True
        super().__init__()

    def close(self) -> None:
        Single.is_taken = False


class Painted(PointMass):
    """A `PointMass` that can be seen: a dot in a square."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        picture = np.zeros((32, 32, 3), np.uint8)
        row, column = np.clip(16 + 7 * self._place, 0, 31).astype(int)
        picture[row, column] = 255
        return picture


class Drawing(PointMass):
    """A `PointMass` that draws from the global generators, as it should not."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        random.random()
        np.random.random()  # noqa: NPY002
        torch.rand(1)
        return super().step(action)


class Fleeting(PointMass):
    """A `PointMass` whose episodes end by themselves, after 4 to 9 steps."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(seed=seed)
        self._left = int(self.np_random.integers(4, 10))
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, _, truncated, info = super().step(action)
        self._left -= 1
        return observation, reward, self._left == 0, truncated, info


class Arriving(PointMass):
    """A `PointMass` that reports success: in the half of its episodes that begin on the right.

    Args:
        key: under which name it does, at every step.
    """

    def __init__(self, key: str = "is_success") -> None:
        super().__init__()
        self._key = key

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(seed=seed)
        self._arrives = bool(observation[0] > 0)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *step, info = super().step(action)
        return *step, {**info, self._key: np.float32(self._arrives)}


class Kitchen(gym.Env[Any, Any]):
    """Nested observations and discrete actions: paid for standing at the stove with the pan."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(
            {
                "robot": spaces.Dict(
                    {
                        "place": spaces.Box(-1.0, 1.0, (2,), np.float32),
                        "gripper": spaces.Discrete(3),
                    }
                ),
                "lights": spaces.MultiBinary(2),
            }
        )
        self.action_space = spaces.Discrete(5)

    def _observe(self) -> dict[str, Any]:
        robot = {"place": self._place.astype(np.float32), "gripper": self._gripper}
        return {"robot": robot, "lights": np.array([1, 0], dtype=np.int8)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place, self._gripper = self.np_random.uniform(-1.0, 1.0, 2), 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        moves = np.array([[0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1], [0.0, 0.0]])
        self._place = np.clip(self._place + moves[int(action)], -1.0, 1.0)
        self._gripper = (self._gripper + 1) % 3
        return self._observe(), float(self._place[0]), False, False, {}


class Seeing(PointMass):
    """Observes an image, which is no vector of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (16, 16, 3), np.uint8)


class Reading(PointMass):
    """Observes text."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Text(8)


for name in (
    "PointMass",
    "Deadly",
    "Fleeting",
    "Single",
    "Drawing",
    "Arriving",
    "Kitchen",
    "Seeing",
    "Reading",
    "Painted",
):
    gym.register(f"{name}-v0", entry_point=f"{__name__}:{name}", max_episode_steps=50)
gym.register("Endless-v0", entry_point=f"{__name__}:PointMass")
