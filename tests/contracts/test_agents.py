from typing import Any

import pytest
from stable_baselines3 import A2C, DQN, PPO

from prefrl.agents import make_agent, make_model, sac
from prefrl.agents.base import SB3Agent
from prefrl.types import Agent
from tests.agents.stacks import SMALL, stack
from tests.contracts.agent_contract import AgentContract, MakeAgent


@pytest.fixture
def short_exploration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploration that is random, then seeks novelty, within 40 steps."""
    monkeypatch.setattr(sac, "RANDOM_STEPS", 15)
    monkeypatch.setattr(sac, "REFERENCE_EVERY", 20)
    monkeypatch.setattr(sac, "CATCH_UP_UPDATES", 5)


class TestPPO(AgentContract):
    """As it is by default: both normalisations, rollouts shorter than a phase."""

    stride = 3

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        settings = {
            "n_steps": 32,
            "batch_size": 32,
            "n_epochs": 2,
            "normalize_observations": True,
            "normalize_reward": True,
            "policy_kwargs": SMALL,
        }
        return lambda seed: make_agent(
            make_model("ppo", stack(3), settings, seed=seed, device="cpu")
        )


class TestPPOWithDiscreteActions(AgentContract):
    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        settings = {"n_steps": 32, "batch_size": 16, "n_epochs": 1, "policy_kwargs": SMALL}
        return lambda seed: make_agent(
            make_model("ppo", stack(1, "CartPole-v1"), settings, seed=seed, device="cpu")
        )


class TestPPOWithSchedules(AgentContract):
    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        def make(seed: int) -> Agent:
            model = PPO(
                "MlpPolicy",
                stack(1),
                n_steps=32,
                batch_size=16,
                n_epochs=1,
                learning_rate=lambda left: 1e-3 * left,
                clip_range=lambda left: 0.2 * left,
                policy_kwargs={**SMALL},
                seed=seed,
                device="cpu",
            )
            return make_agent(model, total_steps=500)

        return make


class TestA2C(AgentContract):
    stride = 2

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        return lambda seed: make_agent(
            A2C(
                "MlpPolicy",
                stack(2),
                policy_kwargs={**SMALL},
                seed=seed,
                device="cpu",
                use_sde=True,
            )
        )


@pytest.mark.usefixtures("short_exploration")
class TestSAC(AgentContract):
    """With a replay buffer that wraps within the test."""

    settings: dict[str, Any] = {  # noqa: RUF012
        "buffer_size": 60,
        "batch_size": 16,
        "ent_coef": "auto_0.1",
        "policy_kwargs": SMALL,
    }

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        return lambda seed: make_agent(
            make_model("sac", stack(1), self.settings, seed=seed, device="cpu")
        )


@pytest.mark.usefixtures("short_exploration")
class TestSACInStrides(AgentContract):
    """Two environments, trained every third step, with a fixed temperature."""

    stride = 6

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        settings = {
            "buffer_size": 5_000,
            "batch_size": 16,
            "train_freq": 3,
            "gradient_steps": 1,
            "ent_coef": 0.1,
            "policy_kwargs": SMALL,
        }
        return lambda seed: make_agent(
            make_model("sac", stack(2), settings, seed=seed, device="cpu")
        )


@pytest.mark.usefixtures("short_exploration")
class TestDQN(AgentContract):
    stride = 2

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        def make(seed: int) -> SB3Agent:
            model = DQN(
                "MlpPolicy",
                stack(1, "CartPole-v1"),
                buffer_size=60,
                batch_size=16,
                train_freq=2,
                target_update_interval=30,
                policy_kwargs={**SMALL},
                seed=seed,
                device="cpu",
            )
            return make_agent(model, total_steps=1_000)

        return make
