import pytest
from gymnasium.envs.registration import registry

from prefrl.agents import make_agent, make_model
from prefrl.agents.table import AGENTS, preset_for
from prefrl.errors import ConfigError
from tests.agents.stacks import stack

TASKS = [
    "HalfCheetah",
    "Hopper",
    "Walker2d",
    "Ant",
    "Swimmer",
    "Reacher",
    "InvertedPendulum",
    "InvertedDoublePendulum",
    "Pusher",
    "Humanoid",
]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("task", TASKS)
def test_a_preset_fits_its_task(task, agent):
    limit = registry[f"{task}-v4"].max_episode_steps
    preset = preset_for(f"{task}-v4", agent)
    assert limit is not None
    assert preset.segment_length <= limit
    assert preset.explore_steps >= preset.segment_length * preset.num_envs
    assert preset.explore_steps < preset.steps
    assert preset.steps % preset.num_envs == 0
    assert preset == preset_for(f"{task}-v5", agent)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("task", ["HalfCheetah", "Reacher", "Swimmer"])
def test_sb3_takes_the_settings_of_a_preset(task, agent):
    preset = preset_for(f"{task}-v4", agent)
    venv = stack(preset.num_envs, f"{task}-v4")
    make_agent(make_model(agent, venv, preset.agent_settings, seed=0, device="cpu"))


def test_an_unknown_task_gets_the_common_settings():
    common = preset_for("Lab/Arm-v0", "ppo")
    assert common == preset_for("lab:Hand-v3", "ppo")
    assert common.agent_settings["gamma"] == 0.99
    assert preset_for("lab:Swimmer-v3", "ppo") == preset_for("Swimmer-v4", "ppo")


def test_a_preset_can_be_changed_without_changing_the_next():
    preset_for("Ant-v4", "sac").agent_settings["gamma"] = 0.0
    preset_for("Ant-v4", "ppo").agent_settings["gamma"] = 0.0
    assert preset_for("Ant-v4", "sac").agent_settings["gamma"] == 0.99
    assert preset_for("Ant-v4", "ppo").agent_settings["gamma"] == 0.98


def test_an_unknown_agent_is_refused_with_those_there_are():
    with pytest.raises(ConfigError) as refused:
        preset_for("Ant-v4", "td3")
    assert str(refused.value) == "unknown agent 'td3'; choose from ppo, sac, crossq"
