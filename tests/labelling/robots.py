"""Robots of one's own, from a MJCF each, registered under `tests.labelling.robots:Name-v0`."""

import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco import MujocoEnv

HOPPING = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    {ground}
    <body name="trunk" pos="0 0 0.35">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>
      <joint name="pitch" axis="0 1 0"/>
      <geom type="box" size="0.15 0.08 0.06" mass="1" rgba="0.8 0.4 0.2 1"/>
      <body pos="0.1 0 -0.06"><joint name="front" axis="0 1 0" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.25" size="0.02" mass="0.1"/></body>
      <body pos="-0.1 0 -0.06"><joint name="back" axis="0 1 0" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.25" size="0.02" mass="0.1"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="front" gear="4" ctrlrange="-1 1"/>
    <motor joint="back" gear="4" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
PLANE = '<geom type="plane" size="20 20 1"/>'


class Crawler(gym.Env[Any, Any]):
    """A robot in MuJoCo without Gymnasium's class for it: nothing but `model` and `data`.

    Args:
        ground: what it stands on; "" nothing.
        drift: its motors go wrong in a way that is drawn in each reset, and is in no state.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012

    def __init__(
        self, ground: str = PLANE, drift: bool = False, render_mode: str | None = None
    ) -> None:
        self.model = mujoco.MjModel.from_xml_string(HOPPING.format(ground=ground))
        self.data = mujoco.MjData(self.model)
        self.observation_space = spaces.Box(-np.inf, np.inf, (10,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.dt = 2 * self.model.opt.timestep
        self.drift = drift
        self.render_mode = render_mode

    def _observe(self) -> Any:
        return np.concatenate([self.data.qpos, self.data.qvel]).astype(np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        # Made anew, as many do.
        self.data = mujoco.MjData(self.model)
        self.data.qpos[2:] = self.np_random.uniform(-0.1, 0.1, 3)
        self._wind = float(self.np_random.uniform(-3.0, 3.0))
        mujoco.mj_forward(self.model, self.data)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.data.ctrl[:] = action
        if self.drift:
            self.data.ctrl[:] += self._wind
        mujoco.mj_step(self.model, self.data, 2)
        return self._observe(), float(self.data.qvel[0]), False, False, {}

    def render(self) -> Any:
        brightness = int(np.clip(128 + 100 * self.data.qpos[2], 0, 255))
        return np.full((64, 64, 3), brightness, dtype=np.uint8)


class Dot(gym.Env[Any, Any]):
    """A dot that jumps about a dark picture: nothing of MuJoCo's, and nothing to restore.

    Args:
        is_repeatable: it jumps where its own generator says; else where the clock does.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, is_repeatable: bool = True, render_mode: str | None = None) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.is_repeatable = is_repeatable
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._place = self.np_random.uniform(0.0, 1.0, 2)
        return self._place.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        chance = self.np_random.uniform() if self.is_repeatable else time.perf_counter()
        self._place = (self._place + 0.1 * int(action) + chance) % 1
        return self._place.astype(np.float32), float(self._place[0]), False, False, {}

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        picture = np.full((60, 90, 3), 30, dtype=np.uint8)
        row, column = (self._place * (50, 80)).astype(int)
        picture[row : row + 10, column : column + 10] = (240, 200, 40)
        return picture


def place_in(frame: np.ndarray) -> np.ndarray:
    """(2,) where a `Dot` is, as it observes it, by a picture of it that is 64 pixels wide."""
    middle = np.argwhere(frame[..., 0] > 150).mean(axis=0) + 0.5
    place: np.ndarray = (middle * (60 / 43, 90 / 64) - 5 + 0.5) / (50, 80)
    return place


class Standard(MujocoEnv):
    """The same robot as most people write it: Gymnasium's class, and a file."""

    metadata = {  # noqa: RUF012
        "render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"],
        "render_fps": 50,
    }

    def __init__(self, **settings: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "robot.xml"
            path.write_text(HOPPING.format(ground=PLANE))
            space = spaces.Box(-np.inf, np.inf, (10,), np.float64)
            super().__init__(str(path), 2, observation_space=space, **settings)

    def _observe(self) -> Any:
        return np.concatenate([self.data.qpos, self.data.qvel])

    def reset_model(self) -> Any:
        qpos = self.init_qpos + self.np_random.uniform(-0.05, 0.05, self.model.nq)
        self.set_state(qpos, self.init_qvel)
        return self._observe()

    def step(self, action: Any) -> Any:
        self.do_simulation(action, self.frame_skip)
        return self._observe(), float(self.data.qvel[0]), False, False, {}


gym.register("Tireless-v0", entry_point=f"{__name__}:Crawler")
for name in ("Crawler", "Dot", "Standard"):
    gym.register(f"{name}-v0", entry_point=f"{__name__}:{name}", max_episode_steps=100)
