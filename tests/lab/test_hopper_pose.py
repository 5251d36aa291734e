from typing import Any

import mujoco
import numpy as np

from lab.hopper_pose import pose_of
from prefrl.envs import make_env

FLOOR, FOOT = "floor", "foot_geom"


def lowest_points_m(model, data):
    """Returns the height of the lowest point of each capsule, by MuJoCo's own geometry."""
    found = {}
    for geom in range(model.ngeom):
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, geom)
        radius, half = model.geom_size[geom][:2]
        found[name] = data.geom_xpos[geom][2] - abs(data.geom_xmat[geom][8]) * half - radius
    del found[FLOOR]
    return found


def test_a_pose_is_what_the_simulator_says_of_it():
    env = make_env("Hopper-v5")
    robot: Any = env.unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(20):
        place = [*rng.uniform(1, 3, 2), rng.uniform(-9, 9), *rng.uniform(-2.5, 0, 2)]
        robot.set_state(np.array([*place, rng.uniform(-0.7, 0.7)]), np.zeros(6))
        pose = pose_of(robot._get_obs())
        lowest = lowest_points_m(robot.model, robot.data)
        np.testing.assert_allclose(pose.foot_m, lowest.pop(FOOT), atol=1e-9)
        np.testing.assert_allclose(pose.rest_m, min(lowest.values()), atol=1e-9)
    env.close()


def test_a_head_that_turns_away_from_where_the_hopper_hops_to_turns_backwards():
    env = make_env("Hopper-v5")
    robot: Any = env.unwrapped
    env.reset(seed=0)
    robot.set_state(np.array([0.0, 3.0, -0.5, 0.0, 0.0, 0.0]), np.zeros(6))
    assert pose_of(robot._get_obs()).turned_rad == 0.5
    torso = robot.data.geom("torso_geom")
    head_x_m = torso.xpos[0] + torso.xmat[2] * 0.2  # The foot's toe points to positive x.
    assert head_x_m < torso.xpos[0]
    assert robot.data.geom(FOOT).xpos[0] > robot.data.body("foot").xpos[0] - 0.13
    env.close()
