import mujoco
import pytest

from prefrl.envs import make_env
from prefrl.envs.cameras import (
    fitting_camera,
    reach_m,
    render_settings,
    robot_of,
    surroundings,
    travelling_body,
)


@pytest.mark.parametrize(
    "task", ["HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant", "Humanoid"]
)
def test_a_robot_that_runs_away_is_followed(task):
    env = make_env(f"{task}-v4")
    settings = render_settings(env, 64)
    assert settings == {"width": 64, "height": 64, "camera_name": "track"}
    make_env(f"{task}-v4", render_mode="rgb_array", **settings).close()
    env.close()


@pytest.mark.parametrize("task", ["Reacher", "InvertedPendulum"])
def test_a_robot_that_stays_is_filmed_from_where_gymnasium_stands(task):
    env = make_env(f"{task}-v4")
    settings = render_settings(env, 32)
    assert settings == {"width": 32, "height": 32}
    make_env(f"{task}-v4", render_mode="rgb_array", **settings).close()
    env.close()


def test_what_is_not_mujocos_is_rendered_as_it_likes():
    assert render_settings(make_env("CartPole-v1"), 64) == {}


def model_of(body: str, more: str = "") -> mujoco.MjModel:
    text = f"<mujoco><worldbody>{body}</worldbody>{more}</mujoco>"
    return mujoco.MjModel.from_xml_string(text)


GEOM = '<geom size="0.1" mass="1"/>'
FREE = f'<body name="free"><freejoint/>{GEOM}{{}}</body>'
ARM = f'<body name="arm"><joint name="elbow"/>{GEOM}</body>'
MOTOR = '<actuator><motor joint="elbow"/></actuator>'


@pytest.mark.parametrize(
    ("body", "more", "robot", "travels"),
    [
        (FREE.format(""), "", "free", True),
        # A heavy ball beside an arm is no robot.
        (FREE.format("") + ARM, MOTOR, "arm", False),
        (f'<body name="cart"><joint type="slide"/>{GEOM}</body>', "", "cart", True),
        (f'<body name="cart"><joint type="slide" range="-1 1"/>{GEOM}</body>', "", "world", False),
        (GEOM, "", "world", False),
    ],
)
def test_the_robot_is_what_motors_move_and_travels_where_nothing_holds_it(
    body, more, robot, travels
):
    model = model_of(body, more)
    assert model.body(robot_of(model)).name == robot
    found = travelling_body(model)
    assert (found is not None) == travels
    assert found in (None, robot_of(model))


@pytest.mark.parametrize(
    ("body", "more", "camera"),
    [
        (FREE.format('<camera name="a"/><camera name="b" mode="trackcom"/>'), "", "b"),
        (FREE.format('<camera name="a" mode="trackcom"/><camera name="track"/>'), "", "track"),
        (FREE.format('<camera name="wrist"/>') + '<camera name="room"/>', "", None),
        (ARM + '<camera name="room"/>', MOTOR, "room"),
        (ARM, MOTOR, None),
    ],
)
def test_a_camera_of_the_models_own_is_taken_where_it_keeps_the_robot_in_sight(body, more, camera):
    model = model_of(body, more)
    found = fitting_camera(model)
    assert (None if found is None else model.camera(found).name) == camera


def test_the_reach_of_a_robot_is_that_of_its_farthest_part():
    rod = '<geom type="capsule" fromto="-1 0 0 1 0 0" size="0.1"/>'
    model = model_of(f"<body><freejoint/>{rod}</body>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert reach_m(model, data, 1) == pytest.approx(1.1)


def test_around_a_cart_on_a_rail_is_as_far_as_the_rail_goes():
    rail = '<joint name="elbow" type="slide" range="-2 3"/>'
    model = model_of(f'<body pos="1 0 0">{rail}{GEOM}</body>', MOTOR)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    place, radius_m = surroundings(model, data)
    assert place.tolist() == [1, 0, 0]
    assert radius_m == pytest.approx(3.1)
