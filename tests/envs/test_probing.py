from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from prefrl.envs import make_env
from prefrl.envs.probing import Probe, probe, why_no_replay, why_no_states
from prefrl.errors import EnvironmentFault
from tests.envs.tasks import Failing

LOCOMOTION = ("HalfCheetah", "Hopper", "Walker2d", "Ant", "Humanoid", "Swimmer", "HumanoidStandup")
OTHERS = ("Reacher", "InvertedPendulum", "InvertedDoublePendulum")
OWN = ("tests.labelling.robots:Crawler-v0", "tests.labelling.robots:Standard-v0")
SUITE = ("walker-walk", "cheetah-run", "hopper-hop", "humanoid-walk", "cartpole-swingup")
needs_dm_control = pytest.mark.skipif(
    find_spec("shimmy") is None or find_spec("dm_control") is None,
    reason="needs shimmy and dm_control",
)


def tried(env_id: str, **settings: Any) -> tuple[str | None, Probe]:
    env = make_env(env_id, **settings)
    try:
        recorded = probe(env)
        return why_not(env, recorded), recorded
    finally:
        env.close()


def why_not(env: Any, recorded: Probe) -> str | None:
    return why_no_states(
        env,
        sim_states=recorded.sim_states,
        actions=recorded.actions,
        following=recorded.observations[1:],
    )


@pytest.mark.parametrize("version", ["v4", "v5"])
@pytest.mark.parametrize("task", LOCOMOTION + OTHERS)
def test_a_restored_state_of_gymnasiums_leads_to_the_recorded_observation(task, version):
    assert tried(f"{task}-{version}")[0] is None


@pytest.mark.parametrize("env_id", OWN)
def test_a_restored_state_of_ones_own_robot_leads_to_the_recorded_observation(env_id):
    assert tried(env_id)[0] is None


@needs_dm_control
@pytest.mark.parametrize("task", SUITE)
def test_a_restored_state_of_dm_control_leads_to_the_recorded_observation(task):
    assert tried(f"dm_control/{task}-v0")[0] is None


@needs_dm_control
@pytest.mark.parametrize("task", ["reacher-easy", "fish-swim", "swimmer-swimmer6"])
def test_targets_that_a_reset_draws_are_in_no_state(task):
    assert "depends on more than MuJoCo's positions" in str(tried(f"dm_control/{task}-v0")[0])


def test_what_an_environment_keeps_beside_its_simulation_is_noticed():
    why, _ = tried("tests.labelling.robots:Crawler-v0", drift=True)
    assert "depends on more than MuJoCo's positions" in str(why)


@pytest.mark.parametrize("shift", [1, 5])
def test_states_of_other_moments_are_not_taken_for_the_right_ones(shift):
    env = make_env("HalfCheetah-v4")
    recorded = probe(env)
    states = np.roll(recorded.sim_states, shift, axis=0)
    assert why_not(env, Probe(**{**vars(recorded), "sim_states": states})) is not None
    env.close()


def test_states_of_another_model_are_refused_by_name():
    env = make_env("Hopper-v4")
    recorded = probe(env)
    wide = Probe(**{**vars(recorded), "sim_states": np.zeros((60, 18), np.float32)})
    assert why_not(env, wide) == "a state has shape (18,); this simulation's have (12,)"
    env.close()


def test_without_mujoco_there_is_no_state():
    assert tried("CartPole-v1")[0] == "it has no MuJoCo state"


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Pendulum-v1", "HalfCheetah-v4", "tests.labelling.robots:Dot-v0"]
)
def test_an_episode_is_played_again_from_its_actions(env_id):
    env = make_env(env_id)
    recorded = probe(env)
    env.reset(seed=99)
    assert why_no_replay(env, recorded) is None
    env.close()


def test_an_episode_that_comes_out_differently_is_noticed():
    env = make_env("tests.labelling.robots:Dot-v0", is_repeatable=False)
    why = why_no_replay(env, probe(env))
    assert why == "played again from the same actions, it is another episode from step 1 on"


def test_an_environment_that_fails_is_named():
    with pytest.raises(EnvironmentFault, match=r"^Failing failed while it was tried out: "):
        probe(Failing("raises"))
