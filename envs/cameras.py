"""The cameras that MuJoCo tasks are filmed with."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

# Modes of MuJoCo's cameras that go along with a body, without turning as it turns.
_FOLLOWS = (1, 2)  # mjCAMLIGHT_TRACK, mjCAMLIGHT_TRACKCOM
_FREE, _SLIDE = 0, 2  # mjJNT_FREE, mjJNT_SLIDE
_OF_JOINTS = (0, 1)  # mjTRN_JOINT, mjTRN_JOINTINPARENT


def render_settings(env: gym.Env[Any, Any], size: int) -> dict[str, Any]:
    """Returns settings for `gymnasium.make` with which a clip shows the robot, at a chosen size.

    Gymnasium's own choice is a camera that stands still, and a cheetah that has learned to run is
    out of its sight within a second. The locomotion tasks all define a camera that follows.

    Args:
        env: the task.
        size: width and height, in pixels.

    Returns:
        keyword arguments, empty for an environment that is not MuJoCo's.
    """
    model: Any = getattr(env.unwrapped, "model", None)
    if not hasattr(model, "ncam"):
        return {}
    settings: dict[str, Any] = {"width": size, "height": size}
    try:
        model.camera("track")
    except KeyError:
        return settings
    return {**settings, "camera_name": "track"}


def fitting_camera(model: Any) -> int | None:
    """Returns the number of a camera of the model's own that shows the robot wherever it goes.

    It is the one called "track", else the first that goes along with the robot; of a robot that
    cannot go anywhere, the first that stands still.
    """
    names = [model.camera(i).name for i in range(model.ncam)]
    if "track" in names:
        return names.index("track")
    robot = travelling_body(model)
    for i in range(model.ncam):
        body = int(model.cam_bodyid[i])
        if robot is None:
            fits = body == 0
        else:
            fits = model.cam_mode[i] in _FOLLOWS and model.body_rootid[body] == robot
        if fits:
            return i
    return None


def robot_of(model: Any) -> int:
    """Returns the number of the body that the robot hangs on: the tree that most motors move.

    A target or a ball may be able to go anywhere, and weigh more; 0 is a model without motors in
    which nothing goes anywhere.
    """
    motors = np.zeros(model.nbody)
    for kind, (joint, _) in zip(model.actuator_trntype, model.actuator_trnid, strict=True):
        if kind in _OF_JOINTS:
            motors[model.body_rootid[model.jnt_bodyid[joint]]] += 1
    if not motors.any():  # They pull at tendons, or there are none.
        motors = np.where(_goes(model), model.body_subtreemass, 0)
    return int(motors.argmax())


def travelling_body(model: Any) -> int | None:
    """Returns `robot_of` the model where it can go anywhere.

    Returns:
        None where it is fixed to the ground, as an arm is, or runs on a rail that ends.
    """
    robot = robot_of(model)
    return robot if _goes(model)[robot] else None


def _goes(model: Any) -> NDArray[np.bool_]:
    """Returns (bodies,) which of them can leave for good."""
    goes = np.zeros(model.nbody, dtype=bool)
    for body, kind, is_limited in zip(
        model.jnt_bodyid, model.jnt_type, model.jnt_limited, strict=True
    ):
        is_root = body == model.body_rootid[body]
        goes[body] |= kind == _FREE or (is_root and kind == _SLIDE and not is_limited)
    return goes


def reach_m(model: Any, data: Any, body: int) -> float:
    """Returns how far a robot reaches from its centre of mass, as it stands now.

    Args:
        model: MuJoCo's.
        data: of the model, with positions computed.
        body: that the rest of the robot hangs on.
    """
    of_robot = model.body_rootid[model.geom_bodyid] == body
    return _radius_m(model, data, of_robot, data.subtree_com[body])


def surroundings(model: Any, data: Any) -> tuple[NDArray[np.float64], float]:
    """Returns where a robot that cannot leave is fixed, and how far from there anything moves.

    Args:
        model: MuJoCo's.
        data: of the model, with positions computed.

    Returns:
        (3,) a place, and metres; as far as the robot's rails let it go is in it.
    """
    robot = robot_of(model)
    moves = model.body_weldid[model.geom_bodyid] != 0
    is_rail = (model.jnt_type == _SLIDE) & (model.jnt_limited != 0)
    rails = model.jnt_range[is_rail & (model.body_rootid[model.jnt_bodyid] == robot)]
    place = np.array(data.xpos[robot])
    return place, _radius_m(model, data, moves, place) + float(abs(rails).max(initial=0))


def _radius_m(model: Any, data: Any, geoms: NDArray[np.bool_], centre: Any) -> float:
    distances = np.linalg.norm(data.geom_xpos[geoms] - centre, axis=1)
    return float((distances + model.geom_rbound[geoms]).max(initial=0.1))
