from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from prefrl.envs import make_env
from prefrl.envs.sim_state import (
    StateReader,
    restore,
    simulation_of,
    state_reader,
    write_state,
)
from prefrl.errors import SpaceError

# A weight on a muscle, and a target that follows a mocap body.
MODEL = """
<mujoco>
  <worldbody>
    <body name="target" mocap="true" pos="0 0 1"><geom size="0.1"/></body>
    <body><joint name="slide" type="slide" axis="0 0 1"/><geom size="0.1" mass="1"/>
      <site name="a"/></body>
    <site name="b" pos="0 0 1"/>
  </worldbody>
  <tendon><spatial name="t"><site site="a"/><site site="b"/></spatial></tendon>
  <actuator><muscle tendon="t" lengthrange="0.2 2"/></actuator>
</mujoco>
"""


def test_a_state_holds_positions_velocities_activations_and_mocap_poses():
    model = mujoco.MjModel.from_xml_string(MODEL)
    data, fresh = mujoco.MjData(model), mujoco.MjData(model)
    data.ctrl[:] = 0.7
    data.mocap_pos[0] = (0.1, 0.2, 0.3)
    data.mocap_quat[0] = (0.0, 1.0, 0.0, 0.0)
    mujoco.mj_step(model, data, 20)
    reader = StateReader([SimpleNamespace(data=data)])
    assert reader.dim == 1 + 1 + 1 + 3 + 4
    write_state(fresh, np.frombuffer(reader()))
    for name in ("qpos", "qvel", "act", "mocap_pos", "mocap_quat"):
        np.testing.assert_array_equal(getattr(fresh, name), getattr(data, name))
    assert data.act[0] > 0


def test_a_reader_follows_simulations_side_by_side_through_resets():
    envs: list[Any] = [make_env("HalfCheetah-v4") for _ in range(2)]
    reader = state_reader(envs)
    assert reader is not None
    for seed in range(3):
        for i, env in enumerate(envs):
            env.reset(seed=10 * i + seed)
        rows = np.frombuffer(reader()).reshape(2, reader.dim)
        for row, env in zip(rows, envs, strict=True):
            np.testing.assert_array_equal(row[:9], env.unwrapped.data.qpos)
            np.testing.assert_array_equal(row[9:], env.unwrapped.data.qvel)
    for env in envs:
        env.close()


def test_states_of_somebodys_own_object_may_be_of_any_numbers():
    own = SimpleNamespace(
        qpos=np.arange(6, dtype=np.float32)[::2],
        qvel=np.array([[1, 2]]),
        act=None,
        mocap_pos=np.zeros((0, 3)),
        mocap_quat=None,
    )
    reader = StateReader([SimpleNamespace(data=own)])
    assert np.frombuffer(reader()).tolist() == [0, 2, 4, 1, 2]
    own.qpos[0] = 9
    assert np.frombuffer(reader())[0] == 9


def test_simulations_of_different_models_are_not_read_together():
    envs = [make_env("HalfCheetah-v4"), make_env("Hopper-v4")]
    with pytest.raises(SpaceError, match=r"HalfCheetahEnv .* states of \[12, 18\] dims"):
        state_reader(envs)


def test_a_simulation_in_which_nothing_moves_has_an_empty_state():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><geom size='1'/></worldbody></mujoco>"
    )
    reader = StateReader([SimpleNamespace(data=mujoco.MjData(model))])
    assert reader.dim == 0
    assert reader() == b""


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_an_environment_without_mujoco_has_no_state(env_id):
    assert state_reader([make_env(env_id)]) is None


def test_a_state_of_another_size_or_of_no_numbers_is_not_put_back():
    model = mujoco.MjModel.from_xml_string(MODEL)
    data = mujoco.MjData(model)
    for row, said in (
        (np.zeros(9), r"a state has shape \(9,\); this simulation's have \(10,\)"),
        (np.full(10, np.inf), "a state holds NaN or an infinity"),
    ):
        with pytest.raises(SpaceError, match=said):
            write_state(data, row)
    np.testing.assert_array_equal(data.qpos, 0)


def test_what_follows_from_a_restored_state_is_computed():
    env: Any = make_env("HalfCheetah-v4")
    env.reset(seed=0)
    simulation, before = simulation_of(env), env.unwrapped.data.xpos.copy()
    restore(simulation, np.arange(18) / 18)
    assert abs(env.unwrapped.data.xpos - before).max() > 0.1
    assert simulation.model is env.unwrapped.model
    env.close()


def test_the_simulation_of_dm_control_is_found_behind_its_physics():
    pytest.importorskip("shimmy")
    pytest.importorskip("dm_control")
    env: Any = make_env("dm_control/walker-walk-v0")
    env.reset(seed=0)
    reader = state_reader([env])
    assert reader is not None
    physics = env.unwrapped.physics
    expected = np.concatenate([physics.data.qpos, physics.data.qvel])
    np.testing.assert_array_equal(np.frombuffer(reader()), expected)
    env.step(env.action_space.sample())
    assert not np.array_equal(np.frombuffer(reader()), expected)
    assert type(simulation_of(env).model) is mujoco.MjModel
    env.close()
