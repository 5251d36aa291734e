"""Makes bare MuJoCo models fit to be looked at: light, a background, lines on a plain floor."""

import math
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from prefrl.envs.cameras import reach_m, robot_of, travelling_body

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
class Floor:
    """A plane that is drawn wherever the robot is.

    To MuJoCo's physics a plane goes on for ever, but it is drawn as large as it says: a cheetah
    that runs leaves a floor of 40 m behind in three seconds.

    Args:
        geom: its number; None where there is nothing below the robot.
        place: (3,) of its middle.
        turn: (3, 3) its axes, as columns.
        half_m: (2,) half of its size along them; infinite where it is drawn everywhere as it is.
        period_m: (2,) after which its texture repeats.
    """

    geom: int | None
    place: NDArray[np.float64]
    turn: NDArray[np.float64]
    half_m: NDArray[np.float64]
    period_m: NDArray[np.float64]

    def below(self, where: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns (3,) the middle of the floor once it has been moved below a place.

        It is moved by whole periods of its texture, so that nobody sees it move.
        """
        away = (where - self.place) @ self.turn[:, :2]
        periods = np.where(np.isfinite(self.half_m), np.round(away / self.period_m), 0)
        moved: NDArray[np.float64] = self.place + self.turn[:, :2] @ (periods * self.period_m)
        return moved

    def move(self, scene: Any, place: NDArray[np.float64]) -> None:
        """Moves it in a scene."""
        for geom in scene.geoms[: scene.ngeom] if self.geom is not None else ():
            is_of_model = geom.objtype == mujoco.mjtObj.mjOBJ_GEOM
            if is_of_model and geom.objid == self.geom and np.isfinite(self.half_m).all():
                geom.pos[:] = place


@dataclass(frozen=True)
class FloorLines:
    """Lines on the floor, without which nobody sees how fast a camera goes along with a robot.

    Args:
        floor: that they lie on.
        spacing_m: between lines.
        colour: red, green, blue and alpha, from 0 to 1.
    """

    floor: Floor
    spacing_m: float
    colour: tuple[float, ...] = _DARK

    def draw(self, where: NDArray[np.float64], scene: Any) -> None:
        """Adds them to a scene.

        Args:
            where: (3,) the robot is.
            scene: MuJoCo's.
        """
        numbers = np.round(where[:2] / self.spacing_m)[:, None] + np.arange(
            -_NUM_LINES, _NUM_LINES + 1
        )
        numbers *= self.spacing_m  # (2, 25)
        middle_of_floor = self.floor.below(where)
        # One that is turned may reach farther along one axis than along the other.
        half = abs(self.floor.turn[:2, :2]) @ np.minimum(self.floor.half_m, 1e6)
        first = np.maximum(numbers[:, 0], middle_of_floor[:2] - half)
        last = np.minimum(numbers[:, -1], middle_of_floor[:2] + half)
        middle, long, thin = (first + last) / 2, (last - first) / 2, self.spacing_m / 40
        for axis, across in ((0, 1), (1, 0)):
            size, place = np.full(3, thin), np.full(3, self.floor.place[2])
            size[across], size[2], place[across] = long[across], thin / 10, middle[across]
            for number in numbers[axis]:
                if first[axis] <= number <= last[axis]:
                    place[axis] = number
                    _add_box(scene, tuple(size), place, self.colour)


def floor_of(model: Any, data: Any) -> Floor:
    """Returns the floor that a robot stands on: the highest level plane.

    Args:
        model: MuJoCo's.
        data: of the model, in the state in which the robot stands on the floor.
    """
    is_plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
    is_level = data.geom_xmat[:, 8] > 0.99
    floors = [geom for geom in _ground(model) if is_plane[geom] and is_level[geom]]
    if not floors:
        of_robot = model.body_rootid[model.geom_bodyid] == robot_of(model)
        lowest_m = (data.geom_xpos[:, 2] - model.geom_rbound)[of_robot].min(initial=0.0)
        place, endless = np.array([0.0, 0.0, lowest_m]), np.full(2, math.inf)
        return Floor(None, place, np.eye(3), endless, np.ones(2))
    floor = max(floors, key=lambda geom: float(data.geom_xpos[geom, 2]))
    half = model.geom_size[floor][:2].copy()
    half[half == 0] = math.inf  # as MuJoCo has it
    place, turn = data.geom_xpos[floor].copy(), data.geom_xmat[floor].reshape(3, 3).copy()
    return Floor(floor, place, turn, half, _period_m(model, floor, half))


def floor_lines(model: Any, data: Any) -> FloorLines | None:
    """Returns the lines that a model needs; None where its ground shows motion by itself.

    Args:
        model: MuJoCo's.
        data: as in `floor_of`.
    """
    robot = travelling_body(model)
    if robot is None or any(_brightness(model, g).std() > _CONTRAST for g in _ground(model)):
        return None
    floor = floor_of(model, data)
    is_dark = floor.geom is not None and _brightness(model, floor.geom).mean() < 0.5
    return FloorLines(floor, reach_m(model, data, robot), _BRIGHT if is_dark else _DARK)


def _ground(model: Any) -> list[int]:
    """Returns the geoms that never move."""
    fixed: list[int] = np.flatnonzero(model.body_weldid[model.geom_bodyid] == 0).tolist()
    return fixed


def _period_m(model: Any, geom: int, half: NDArray[np.float64]) -> NDArray[np.float64]:
    material = model.geom_matid[geom]
    if material < 0:
        return np.ones(2)
    repeats = np.maximum(model.mat_texrepeat[material], 1e-3)
    # So many times on the whole of it, or on each metre.
    whole = 1.0 if model.mat_texuniform[material] else 2 * half
    period: NDArray[np.float64] = np.where(np.isfinite(half), whole / repeats, 1.0)
    return period


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
