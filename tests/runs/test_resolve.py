"""Settings that a run leaves open are decided once, and checked."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from gymnasium.envs.registration import registry

from prefrl.config import ResolvedRun, RunConfig, TeacherConfig
from prefrl.errors import ConfigError
from prefrl.runs.resolve import resolve, usable_device


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert usable_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_there_is_one_cpu_whatever_its_number():
    assert usable_device("cpu:3") == "cpu"


def test_the_saved_settings_name_the_device_that_was_used() -> None:
    assert resolve(RunConfig(env="Pendulum-v1", device="auto")).device != "auto"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match="choose cpu, cuda or auto") as refused:
        usable_device(name)
    assert "\n" not in str(refused.value)
    assert repr(name) in str(refused.value)


def test_a_short_run_explores_a_tenth_of_its_steps_and_never_less_than_a_segment_each() -> None:
    config = RunConfig(env="HalfCheetah-v4", steps=40_000)
    assert resolve(config).explore_steps == 4_000
    tiny = RunConfig(env="HalfCheetah-v4", steps=800, num_envs=8)
    assert resolve(tiny).explore_steps == 8 * 50


def test_a_task_whose_early_end_was_switched_off_is_explored_two_segments_at_a_time() -> None:
    assert resolve(RunConfig(env="Hopper-v4")).explore_episode_steps == 100
    assert resolve(RunConfig(env="HalfCheetah-v4")).explore_episode_steps is None
    assert resolve(RunConfig(env="Hopper-v4", fixed_horizon=False)).explore_episode_steps is None


def test_a_task_whose_early_end_was_switched_off_is_trained_four_segments_at_a_time() -> None:
    assert resolve(RunConfig(env="Hopper-v4")).train_episode_steps == 200
    assert resolve(RunConfig(env="Hopper-v4", segment_length=25)).train_episode_steps == 100
    assert resolve(RunConfig(env="Hopper-v4", max_episode_steps=120)).train_episode_steps == 120
    assert resolve(RunConfig(env="Hopper-v4", train_episode_steps=77)).train_episode_steps == 77
    assert resolve(RunConfig(env="HalfCheetah-v4")).train_episode_steps is None
    assert resolve(RunConfig(env="Hopper-v4", fixed_horizon=False)).train_episode_steps is None


def test_sac_starts_with_short_episodes_where_a_robot_on_its_back_stays_there() -> None:
    short = resolve(RunConfig(env="HalfCheetah-v4", agent="sac"))
    assert (short.explore_episode_steps, short.train_episode_steps) == (100, 200)
    whole = resolve(RunConfig(env="HalfCheetah-v4", agent="sac", train_episode_steps=1_000))
    assert whole.train_episode_steps == 1_000


def test_who_has_early_ends_back_is_trained_in_whole_episodes() -> None:
    asked = resolve(RunConfig(env="Hopper-v4", env_kwargs={"terminate_when_unhealthy": True}))
    assert (asked.explore_episode_steps, asked.train_episode_steps) == (None, None)
    said = resolve(RunConfig(env="Hopper-v4", env_kwargs={"terminate_when_unhealthy": False}))
    assert said.train_episode_steps == 200


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"env_kwargs": {"max_episode_steps": 9}},
            "env_kwargs.max_episode_steps was given, but there is",
        ),
        (
            {"env_kwargs": {"render_mode": "human"}},
            "env_kwargs.render_mode was given, but .*prefrl eval",
        ),
        ({"agent_settings": {"policy_kwargs": None}}, "policy_kwargs is None; expected a mapping"),
    ],
)
def test_settings_in_the_wrong_place_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(RunConfig(env="Pendulum-v1", **wrong))


@pytest.mark.skipif(find_spec("Box2D") is not None, reason="Box2D is installed")
def test_what_an_environment_needs_and_is_not_there_is_told_in_one_line() -> None:
    env_id = next(name for name in registry if name.startswith("LunarLander-"))
    with pytest.raises(ConfigError, match=f"^{env_id} could not be made: .*[bB]ox2") as refused:
        resolve(RunConfig(env=env_id))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["explore_episode_steps", "train_episode_steps"])
def test_episodes_too_short_for_a_segment_are_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 20}
    config = RunConfig(env="Hopper-v4", **settings)
    with pytest.raises(ConfigError, match=rf"^{name} is 20; queries need segments of 50 steps"):
        resolve(config)


def test_a_store_keeps_a_segment_of_each_environment_at_least() -> None:
    small: dict[str, Any] = {"env": "Pendulum-v1", "num_envs": 4, "segment_length": 20}
    with pytest.raises(ConfigError, match="store_transitions is 79; expected 80 or more: a seg"):
        resolve(RunConfig(**small, store_transitions=79))
    resolve(RunConfig(**small, store_transitions=80))
    resolve(RunConfig(**small, store_transitions=1, reward="true"))


def test_what_was_left_open_is_decided_and_what_was_not_stays() -> None:
    config = RunConfig(env="HalfCheetah-v4", teacher=TeacherConfig("mistake", beta=2.0), num_envs=4)
    resolved = resolve(config)
    assert type(resolved) is ResolvedRun
    assert (resolved.agent, resolved.steps, resolved.num_envs) == ("ppo", 1_000_000, 4)
    assert (resolved.queries.num_sessions, resolved.queries.newest_steps) == (12, 50_000)
    assert (resolved.teacher.beta, resolved.teacher.p_mistake, resolved.teacher.gamma) == (
        2,
        0.1,
        1,
    )
    assert resolved.reward_model.learning_rate == 3e-3


def test_what_was_decided_is_not_decided_anew() -> None:
    resolved = resolve(RunConfig(env="HalfCheetah-v4", agent="sac"))
    assert resolve(resolved) == resolved


def test_an_unknown_agent_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^unknown agent 'td3'; choose from ppo, sac, crossq$"):
        resolve(RunConfig(agent="td3"))
