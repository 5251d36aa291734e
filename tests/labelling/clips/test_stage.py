"""Pictures of robots: what is looked for in them is what people have to see."""

from importlib.util import find_spec
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs import make_env
from prefrl.envs.sim_state import simulation_of, state_reader
from prefrl.errors import DataError
from prefrl.labelling.clips.scenery import Floor, floor_lines, has_sky
from prefrl.labelling.clips.stage import Stage
from tests.labelling.robots import HOPPING, PLANE

SIZE = 160
CRAWLER = "tests.labelling.robots:Crawler-v0"
ROBOTS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4", "Ant-v4", CRAWLER)
SUITE = ("dm_control/walker-walk-v0", "dm_control/cheetah-run-v0")
has_suite = find_spec("shimmy") is not None and find_spec("dm_control") is not None
MOVING = [
    *ROBOTS,
    *(
        pytest.param(name, marks=pytest.mark.skipif(not has_suite, reason="needs dm_control"))
        for name in SUITE
    ),
]


class Filmed:
    """An environment's simulation on a stage."""

    def __init__(self, env_id: str, **settings: Any) -> None:
        self.env = make_env(env_id, **settings)
        self.env.reset(seed=0)
        simulation = simulation_of(self.env)
        self.model = simulation.model
        reader = state_reader([self.env])
        assert reader is not None
        self.state = np.frombuffer(reader())
        self.stage = Stage(self.model, env_id, size=SIZE)

    def __enter__(self) -> "Filmed":
        return self

    def __exit__(self, *_: object) -> None:
        self.stage.close()
        self.env.close()

    def moved(self, metres: float) -> Any:
        """The picture of the robot so far along x; its first joint is the one that goes there."""
        state = self.state.copy()
        first = 0 if self.model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE else _slide_x(self.model)
        state[first] += metres
        return self.stage.picture(state).astype(int)


def _slide_x(model: Any) -> int:
    is_slide = model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    along_x = np.abs(model.jnt_axis[:, 0]) > 0.9
    return int(model.jnt_qposadr[np.flatnonzero(is_slide & along_x)[0]])


def where_the_robot_is(filmed: Filmed) -> np.ndarray:
    """(SIZE, SIZE) True where a pixel shows the robot, by MuJoCo's own segmentation."""
    renderer = filmed.stage._renderer
    filmed.stage.picture(filmed.state)
    renderer.enable_segmentation_rendering()
    seen = renderer.render()
    renderer.disable_segmentation_rendering()
    is_geom = seen[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM)
    moves = filmed.model.body_weldid[filmed.model.geom_bodyid] != 0
    return is_geom & moves[np.where(is_geom, seen[..., 0], 0)]


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("env_id", MOVING)
def test_the_whole_robot_is_in_the_picture_and_large_enough(env_id):
    with Filmed(env_id) as filmed:
        robot = where_the_robot_is(filmed)
    rows, columns = np.flatnonzero(robot.any(axis=1)), np.flatnonzero(robot.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) > 0.3 * SIZE
    assert robot.mean() > 0.005
    border = np.concatenate([robot[0], robot[-1], robot[:, 0], robot[:, -1]])
    assert border.mean() < 0.01


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("env_id", MOVING)
def test_a_robot_stands_out_and_is_well_lit(env_id):
    with Filmed(env_id) as filmed:
        robot = where_the_robot_is(filmed)
        picture = filmed.moved(0.0)
    assert 40 < picture[robot].mean() < 230
    assert picture.mean() > 30
    assert picture.std() > 20


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("env_id", MOVING)
def test_the_camera_goes_along_and_the_floor_shows_how_fast(env_id):
    with Filmed(env_id) as filmed:
        here, near, far = filmed.moved(0.0), filmed.moved(0.3), filmed.moved(50.3)
        robot = where_the_robot_is(filmed)
    assert abs(near - here)[~robot].max() > 40, "the floor passes by"
    assert (abs(near - here).max(axis=2)[~robot] > 15).mean() > 0.01
    # The robot itself stays where it was, on the screen.
    assert abs(far - near)[robot].mean() < 40


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Ant-v4", "Hopper-v4"])
def test_a_robot_never_runs_off_the_floor_whose_squares_stay_where_they_were(env_id):
    with Filmed(env_id) as filmed:
        period_m = float(filmed.stage._floor.period_m[0])
        here, half = filmed.moved(0.0), filmed.moved(period_m / 2)
        far = filmed.moved(300 * period_m)  # Gymnasium's floor ends after 30 of them.
    shift = abs(half - here).mean()
    assert shift > 20
    # A lamp that stands at the origin throws no shadow there.
    assert abs(far - here).mean() < 0.2 * shift


@given(
    where=st.tuples(*3 * [st.floats(-1e4, 1e4)]),
    angle=st.floats(-3.2, 3.2),
    period=st.floats(0.1, 10.0),
)
def test_a_floor_is_moved_by_whole_periods_and_lies_below_the_robot(where, angle, period):
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    floor = Floor(0, np.array([1.0, 2.0, 3.0]), turn, np.full(2, 40.0), np.full(2, period))
    moved = floor.below(np.array(where)) - floor.place
    assert abs(moved[2]) < 1e-9
    periods = (moved @ turn)[:2] / period
    np.testing.assert_allclose(periods, np.round(periods), atol=1e-6)
    away = (np.array(where) - floor.place - moved) @ turn[:, :2]
    assert (abs(away) <= period / 2 + 1e-6).all()


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("env_id", ["Reacher-v4", "InvertedPendulum-v4"])
def test_a_robot_that_stays_is_seen_from_a_camera_that_stays(env_id):
    with Filmed(env_id) as filmed:
        robot = where_the_robot_is(filmed)
        rows, columns = np.flatnonzero(robot.any(axis=1)), np.flatnonzero(robot.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) > 0.1 * SIZE
        before = filmed.moved(0.0) if "Pendulum" in env_id else None
        if before is not None:
            after = filmed.moved(0.5)
            is_rail_or_robot = (abs(after - before).max(axis=2) > 15).mean()
            assert 0 < is_rail_or_robot < 0.2, "the background stays"


@pytest.mark.usefixtures("graphics")
def test_where_there_is_no_ground_lines_show_the_motion():
    with Filmed(CRAWLER, ground="") as filmed:
        assert abs(filmed.moved(0.1) - filmed.moved(0.0)).max() > 40


@pytest.mark.parametrize(
    ("ground", "colour"),
    [
        (PLANE, "dark"),
        ('<geom type="plane" size="20 20 1" rgba="0.1 0.1 0.1 1"/>', "bright"),
        ('<geom type="plane" size="20 20 1" rgba="0.9 0.9 0.9 1"/>', "dark"),
    ],
)
def test_lines_on_a_plain_floor_can_be_told_from_it(ground, colour):
    model = mujoco.MjModel.from_xml_string(HOPPING.format(ground=ground))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    lines = floor_lines(model, data)
    assert lines is not None
    assert lines.floor.place[2] == 0.0
    assert (np.mean(lines.colour[:3]) > 0.5) == (colour == "bright")
    assert not has_sky(model)


def test_a_chequered_floor_and_a_robot_that_stays_need_no_lines():
    for env_id in ("HalfCheetah-v4", "Reacher-v4"):
        env = make_env(env_id)
        env.reset(seed=0)
        simulation = simulation_of(env)
        assert floor_lines(simulation.model, simulation.data) is None
        env.close()


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize(
    ("state", "said"),
    [
        (np.zeros(17), r"a state has shape \(17,\); this simulation's have \(18,\)"),
        (np.full(18, np.nan), "a state holds NaN or an infinity"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(state, said):
    with (
        Filmed("HalfCheetah-v4") as filmed,
        pytest.raises(DataError, match="HalfCheetah-v4: " + said),
    ):
        filmed.stage.picture(state)


@pytest.mark.usefixtures("graphics")
def test_a_coarse_shadow_changes_few_pixels():
    env = make_env("HalfCheetah-v4")
    env.reset(seed=0)
    pictures = []
    for shadow_size in (1024, 4096):
        simulation = simulation_of(env)
        stage = Stage(simulation.model, "it", size=SIZE, shadow_size=shadow_size)
        pictures.append(stage.picture(np.frombuffer(state_reader([env])())).astype(int))  # type: ignore[misc]
        stage.close()
    assert (abs(pictures[1] - pictures[0]).max(axis=2) > 20).mean() < 0.02
    env.close()
