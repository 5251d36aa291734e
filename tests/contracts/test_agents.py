"""Each kind of agent keeps to the contract of agents."""

from typing import Any

import pytest
from stable_baselines3 import A2C, DQN, PPO

from prefrl.agents import make_agent, make_model, off_policy
from prefrl.testing import check_agent
from prefrl.types import Agent
from tests.agents.stacks import SMALL, stack


@pytest.fixture
def short_exploration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploration that is random, then seeks novelty, within 40 steps."""
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 15)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 20)
    monkeypatch.setattr(off_policy, "CATCH_UP_UPDATES", 5)


def ppo(seed: int) -> Agent:
    """As it is by default: both normalisations, rollouts shorter than a phase."""
    settings = {
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 2,
        "normalize_observations": True,
        "normalize_reward": True,
        "policy_kwargs": SMALL,
    }
    return make_agent(make_model("ppo", stack(3), settings, seed=seed, device="cpu"))


def ppo_with_discrete_actions(seed: int) -> Agent:
    settings = {"n_steps": 32, "batch_size": 16, "n_epochs": 1, "policy_kwargs": SMALL}
    venv = stack(1, "CartPole-v1")
    return make_agent(make_model("ppo", venv, settings, seed=seed, device="cpu"))


def ppo_with_schedules(seed: int) -> Agent:
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


def a2c(seed: int) -> Agent:
    return make_agent(
        A2C("MlpPolicy", stack(2), policy_kwargs={**SMALL}, seed=seed, device="cpu", use_sde=True)
    )


def sac_whose_buffer_wraps(seed: int) -> Agent:
    settings: dict[str, Any] = {
        "buffer_size": 60,
        "batch_size": 16,
        "ent_coef": "auto_0.1",
        "policy_kwargs": SMALL,
    }
    return make_agent(make_model("sac", stack(1), settings, seed=seed, device="cpu"))


def sac_in_strides(seed: int) -> Agent:
    """Two environments, trained every third step, with a fixed temperature."""
    settings = {
        "buffer_size": 5_000,
        "batch_size": 16,
        "train_freq": 3,
        "gradient_steps": 1,
        "ent_coef": 0.1,
        "policy_kwargs": SMALL,
    }
    return make_agent(make_model("sac", stack(2), settings, seed=seed, device="cpu"))


def dqn(seed: int) -> Agent:
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


@pytest.mark.usefixtures("short_exploration")
@pytest.mark.parametrize(
    ("make", "stride"),
    [
        (ppo, 3),
        (ppo_with_discrete_actions, 1),
        (ppo_with_schedules, 1),
        (a2c, 2),
        (sac_whose_buffer_wraps, 1),
        (sac_in_strides, 6),
        (dqn, 2),
    ],
)
def test_it_keeps_to_the_contract(make: Any, stride: int) -> None:
    check_agent(make, stride=stride)
