import dataclasses

import pytest
from stable_baselines3 import TD3

from prefrl.agents import AGENTS, OffPolicyAgent, make_agent, make_model
from prefrl.agents.kinds import AgentKind
from prefrl.agents.presets import Preset
from prefrl.agents.table import DEFAULT_AGENT, agent_kind, agent_title
from prefrl.config import RunConfig
from prefrl.errors import ConfigError
from prefrl.runs.resolve import plan, resolve
from tests.agents.stacks import stack


def td3_preset(task: str) -> Preset:
    settings = {"train_freq": 5, "gamma": 0.9 if task == "Pendulum" else 0.99}
    return dataclasses.replace(AGENTS["sac"].preset_for_task(task), agent_settings=settings)


@pytest.fixture
def td3(monkeypatch):
    """A line in the table, and nothing else."""
    monkeypatch.setitem(AGENTS, "td3", AgentKind(TD3, td3_preset))


def test_the_default_agent_is_one_of_the_table():
    assert DEFAULT_AGENT in AGENTS


def test_an_unknown_agent_is_refused_with_those_there_are_and_the_nearest():
    with pytest.raises(ConfigError) as refused:
        agent_kind("pppo")
    assert (
        str(refused.value)
        == "unknown agent 'pppo'; choose from ppo, sac, crossq; did you mean ppo?"
    )


def test_headings_call_agents_what_the_literature_calls_them():
    assert [agent_title(name) for name in AGENTS] == ["PPO", "SAC", "CrossQ"]


@pytest.mark.usefixtures("td3")
class TestNewLine:
    def test_headings_call_it_what_its_class_is_called(self):
        assert agent_title("td3") == "TD3"

    def test_it_can_be_asked_for_by_name(self):
        resolved = resolve(RunConfig(env="Pendulum-v1", agent="td3", steps=1_000))
        assert resolved.agent_settings["gamma"] == 0.9

    def test_phases_do_not_cut_its_strides(self):
        resolved = resolve(RunConfig(env="Pendulum-v1", agent="td3", steps=1_000))
        assert all(phase.num_steps % 5 == 0 for phase in plan(resolved))
        with pytest.raises(ConfigError, match="steps is 1001, but they are taken 5 at a time"):
            resolve(RunConfig(env="Pendulum-v1", agent="td3", steps=1_001))

    def test_its_model_is_made_and_trained(self):
        venv = stack(1, "Pendulum-v1")
        model = make_model("td3", venv, {"train_freq": 5}, seed=0, device="cpu")
        agent = make_agent(model)
        assert isinstance(agent, OffPolicyAgent)
        agent.begin_phase(0)
        agent.explore(10)
        assert agent.num_steps == 10

    def test_it_refuses_what_it_cannot_do_and_names_who_can(self):
        settings = {"normalize_observations": True}
        with pytest.raises(ConfigError, match=r"normalize_observations is for ppo; td3 takes"):
            make_model("td3", stack(1, "Pendulum-v1"), settings, seed=0, device="cpu")
        with pytest.raises(
            ConfigError, match=r"^td3 needs continuous actions, .* use agent='ppo'$"
        ):
            make_model("td3", stack(1, "CartPole-v1"), {}, seed=0, device="cpu")
