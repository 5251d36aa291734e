"""`Stage`: a MuJoCo model, lit and before a camera, that shows any of its states.

Axes: Q simulator-state dims.
"""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from prefrl.envs.cameras import fitting_camera, reach_m, surroundings, travelling_body
from prefrl.envs.sim_state import write_state
from prefrl.errors import ConfigError, DataError, SpaceError, with_type
from prefrl.labelling.clips.scenery import draw_backdrop, floor_lines, floor_of, has_sky, light_up

SHADOW_SIZE = 1024
NUM_SAMPLES = 0
# Of MuJoCo's cameras: to the side of what moves along x, seen a little from above.
_AZIMUTH_DEG, _ELEVATION_DEG = 90.0, -15.0
_DISTANCE = 3.0  # as a multiple of how far things reach


class Stage:
    """A model that is kept ready to be rendered.

    Args:
        model: MuJoCo's; how finely it is rendered is set in it.
        name: of its environment, for errors.
        size: height and width of the pictures.
        shadow_size: pixels of the shadow map's sides, 0 for no shadows. MuJoCo's 4096 take three
            quarters of the time in software, and change one pixel in 200.
        num_samples: a pixel, against jagged edges; 0 in a fifth less time than 4.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        *,
        size: int,
        shadow_size: int = SHADOW_SIZE,
        num_samples: int = NUM_SAMPLES,
    ) -> None:
        quality, buffer = model.vis.quality, model.vis.global_
        quality.shadowsize, quality.offsamples = shadow_size, num_samples
        buffer.offwidth, buffer.offheight = max(buffer.offwidth, size), max(buffer.offheight, size)
        light_up(model)
        self.name = name
        self.model = model
        self._data = mujoco.MjData(model)
        mujoco.mj_forward(model, self._data)
        self._camera = mujoco.MjvCamera()
        self._followed: int | None = None
        self._look()
        self._robot = travelling_body(model)
        self._floor = floor_of(model, self._data)
        self._lines = floor_lines(model, self._data)
        self._renderer = mujoco.Renderer(model, size, size)

    def _look(self) -> None:
        """Places the camera."""
        model, camera = self.model, self._camera
        own = fitting_camera(model)
        if own is not None:
            camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, own
            return
        mujoco.mjv_defaultFreeCamera(model, camera)
        self._followed = travelling_body(model)
        if self._followed is None:
            middle, radius_m = surroundings(model, self._data)
            if _DISTANCE * radius_m < camera.distance:  # Else the whole of the model is less.
                camera.lookat[:], camera.distance = middle, _DISTANCE * radius_m
        else:
            camera.azimuth, camera.elevation = _AZIMUTH_DEG, _ELEVATION_DEG
            camera.distance = _DISTANCE * reach_m(model, self._data, self._followed)

    def picture(self, state: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Renders a state.

        Args:
            state: (Q,) as `StateReader` copies them.

        Returns:
            (size, size, 3).

        Raises:
            DataError: the state is none of this model's.
            ConfigError: the graphics fail.
        """
        try:
            write_state(self._data, state)
        except SpaceError as error:
            raise DataError(f"{self.name}: {error}") from None
        mujoco.mj_forward(self.model, self._data)
        if self._followed is not None:
            self._camera.lookat[:] = self._data.subtree_com[self._followed]
        self._renderer.update_scene(self._data, self._camera)
        scene = self._renderer.scene
        if self._robot is not None:
            where = self._data.subtree_com[self._robot]
            self._floor.move(scene, self._floor.below(where))
            if self._lines is not None:
                self._lines.draw(where, scene)
        if not has_sky(self.model):
            draw_backdrop(scene)
        try:
            picture: NDArray[np.uint8] = self._renderer.render()
        except Exception as error:  # every graphics stack fails in its own way
            raise ConfigError(f"{self.name} cannot be rendered here: {with_type(error)}") from error
        return picture

    def close(self) -> None:
        """Gives back what the graphics hold."""
        self._renderer.close()
