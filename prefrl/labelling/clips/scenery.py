"""Makes bare MuJoCo models fit to be looked at: light, a background, lines on a plain floor."""

import math
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from prefrl.envs.cameras import reach_m, travelling_body

_AMBIENT, _DIFFUSE = 0.35, 0.6
_BACKGROUND = (0.3, 0.34, 0.4, 1.0)
_DARK, _BRIGHT = (0.25, 0.27, 0.3, 1.0), (0.62, 0.66, 0.7, 1.0)
_NUM_LINES = 12  # on either side of the robot
_CONTRAST = 0.12  # standard deviation of a floor's brightness that shows motion by itself


def light_up(model: Any) -> None:
    """Gives a model without any lamp a bright one beside the camera."""
    if not model.nlight:
        model.vis.headlight.ambient[:] = _AMBIENT
        model.vis.headlight.diffuse[:] = _DIFFUSE


def has_sky(model: Any) -> bool:
    """Tells whether there is a picture behind everything; else it is black."""
    return bool((model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX).any())


def draw_backdrop(scene: Any) -> None:
    """Puts a wall that shines by itself behind everything that the camera sees."""
    camera = scene.camera[0]
    distance = 0.9 * camera.frustum_far
    half = 1.5 * distance * camera.frustum_top / camera.frustum_near
    right = np.cross(camera.forward, camera.up)
    wall = _add_box(
        scene,
        (half, half, distance / 1000),
        camera.pos + distance * camera.forward,
        _BACKGROUND,
        np.stack([right, camera.up, camera.forward], axis=1),
    )
    if wall is not None:
        wall.emission, wall.specular, wall.category = 1.0, 0.0, mujoco.mjtCatBit.mjCAT_DECOR


def _add_box(
    scene: Any, size: tuple[float, ...], place: Any, colour: tuple[float, ...], turned: Any = None
) -> Any:
    """Adds a box to a scene, and returns it; None where there is no room for more."""
    if scene.ngeom == scene.maxgeom:
        return None
    box = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(
        box,
        mujoco.mjtGeom.mjGEOM_BOX,
        np.array(size),
        np.asarray(place, dtype=np.float64),
        np.asarray(np.eye(3) if turned is None else turned, dtype=np.float64).ravel(),
        np.array(colour, dtype=np.float32),
    )
    box.segid = -1  # It is left as it was: nothing of the model's.
    scene.ngeom += 1
    return box


@dataclass(frozen=True)
class FloorLines:
    """Lines on the floor, without which nobody sees how fast a camera goes along with a robot.

    Args:
        body: of the robot that they lie around.
        height_m: of the floor.
        spacing_m: between lines.
        colour: red, green, blue and alpha, from 0 to 1.
        least: (2,) where the floor begins in x and y.
        most: (2,) where it ends.
    """

    body: int
    height_m: float
    spacing_m: float
    colour: tuple[float, ...] = _DARK
    least: tuple[float, float] = (-math.inf, -math.inf)
    most: tuple[float, float] = (math.inf, math.inf)

    def draw(self, data: Any, scene: Any) -> None:
        """Adds them to a scene."""
        near = np.round(data.subtree_com[self.body][:2] / self.spacing_m)
        numbers = (
            near[:, None] + np.arange(-_NUM_LINES, _NUM_LINES + 1)
        ) * self.spacing_m  # (2, 25)
        first = np.maximum(numbers[:, 0], self.least)
        last = np.minimum(numbers[:, -1], self.most)
        if (first >= last).any():  # The robot is nowhere near the floor.
            return
        middle, long, thin = (first + last) / 2, (last - first) / 2, self.spacing_m / 40
        for axis, across in ((0, 1), (1, 0)):
            size, place = np.full(3, thin), np.full(3, self.height_m)
            size[across], size[2], place[across] = long[across], thin / 10, middle[across]
            for number in numbers[axis]:
                if first[axis] <= number <= last[axis]:
                    place[axis] = number
                    _add_box(scene, tuple(size), place, self.colour)


def floor_lines(model: Any, data: Any) -> FloorLines | None:
    """Returns the lines that a model needs; None where its ground shows motion by itself.

    Args:
        model: MuJoCo's.
        data: of the model, in the state in which the robot stands on the floor.
    """
    robot = travelling_body(model)
    ground = np.flatnonzero(model.body_weldid[model.geom_bodyid] == 0).tolist()
    if robot is None or any(_brightness(model, geom).std() > _CONTRAST for geom in ground):
        return None
    spacing_m = reach_m(model, data, robot)
    is_plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
    floors = [geom for geom in ground if is_plane[geom] and data.geom_xmat[geom, 8] > 0.99]
    if not floors:
        of_robot = model.body_rootid[model.geom_bodyid] == robot
        lowest_m = float((data.geom_xpos[:, 2] - model.geom_rbound)[of_robot].min())
        return FloorLines(robot, lowest_m, spacing_m)
    floor = max(floors, key=lambda geom: float(data.geom_xpos[geom, 2]))
    colour = _BRIGHT if _brightness(model, floor).mean() < 0.5 else _DARK
    place, half = data.geom_xpos[floor], model.geom_size[floor][:2].copy()
    half[half == 0] = math.inf  # as MuJoCo has it
    # One that is turned may reach farther along one axis than along the other.
    half = abs(data.geom_xmat[floor].reshape(3, 3)[:2, :2]) @ np.minimum(half, 1e6)
    least, most = place[:2] - half, place[:2] + half
    return FloorLines(robot, float(place[2]), spacing_m, colour, tuple(least), tuple(most))


def _brightness(model: Any, geom: int) -> NDArray[np.float64]:
    """Returns how bright each point of a geom's texture is, from 0 to 1; one number without."""
    material = model.geom_matid[geom]
    if material < 0:
        return np.array([model.geom_rgba[geom][:3].mean()])
    colour = float(model.mat_rgba[material][:3].mean())
    # One texture of a material, or since MuJoCo 3.2 one for each of its roles.
    textures = np.atleast_1d(model.mat_texid[material])
    if not (textures >= 0).any():
        return np.array([colour])
    texture = int(textures[textures >= 0][0])
    num_channels = int(model.tex_nchannel[texture]) if hasattr(model, "tex_nchannel") else 3
    values = model.tex_data if hasattr(model, "tex_data") else model.tex_rgb
    num = int(model.tex_width[texture]) * int(model.tex_height[texture]) * num_channels
    first = int(model.tex_adr[texture])
    points = values[first : first + num].reshape(-1, num_channels)[:, :3]
    brightness: NDArray[np.float64] = points.mean(axis=1) * (colour / 255)
    return brightness
