"""Tests of the two reward wrappers' arguments that are no environment or no reward."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from prefrl import EnhancedRewardModel, RewardVecEnv, RewardWrapper
from prefrl.errors import ArgumentError, ContractError, PrefrlError, not_a
from tests.envs.stacks import Logged
from tests.envs.tasks import looking_ahead


def gymnasiums(number: int = 2) -> Any:
    return gym.vector.SyncVectorEnv([Logged] * number)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            lambda: DummyVecEnv([Logged]),
            "env is a DummyVecEnv; expected a gymnasium.Env; RewardVecEnv is for "
            "Stable-Baselines3's vector environments",
        ),
        (
            gymnasiums,
            "env is a SyncVectorEnv; expected a gymnasium.Env; wrap each of the environments that "
            "it is made of",
        ),
        (lambda: Logged, "env is the class Logged; expected a gymnasium.Env, made already"),
        (
            lambda: partial(gym.make, "Pendulum-v1"),
            "env is a partial; expected a gymnasium.Env, made already",
        ),
        (
            lambda: "Pendulum-v1",
            "env is a str ('Pendulum-v1'); expected a gymnasium.Env, as gymnasium.make returns it",
        ),
        (lambda: None, not_a("env", None, "a gymnasium.Env")),
        (lambda: [Logged()], "env is a list; expected a gymnasium.Env"),
    ],
)
def test_what_is_no_environment_is_refused(env, said):
    with pytest.raises(ArgumentError) as error:
        RewardWrapper(env(), looking_ahead)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("venv", "hint"),
    [
        (Logged, "venv is a Logged; .*; RewardWrapper is for a single one"),
        (gymnasiums, "venv is a SyncVectorEnv; .*wrap each of the environments it is made of in"),
        (lambda: DummyVecEnv, "venv is the class DummyVecEnv; expected one of Stable-Baselines3's"),
        (lambda: None, r"venv is .*None.*; expected one of Stable-Baselines3's"),
        (lambda: [Logged()], "venv is a list; expected one of Stable-Baselines3's"),
        (lambda: "Pendulum-v1", r"venv is a str \('Pendulum-v1'\); expected one of Stable"),
    ],
)
def test_what_is_no_vector_environment_is_refused(venv, hint):
    with pytest.raises(ArgumentError, match=hint) as error:
        RewardVecEnv(venv(), looking_ahead)
    assert "\n" not in str(error.value)


NO_REWARDS = [
    3,
    [0.0],
    np.zeros(3),
    {"reward": 1.0},
    pytest.param(object(), id="an object"),
    EnhancedRewardModel,
    SimpleNamespace(reward_function=None),
]


@pytest.mark.parametrize("reward", NO_REWARDS, ids=str)
@pytest.mark.parametrize(
    "door",
    [
        lambda reward: RewardWrapper(Logged(), reward),
        lambda reward: RewardVecEnv(VecMonitor(DummyVecEnv([Logged])), reward),
        lambda reward: RewardVecEnv(DummyVecEnv([Logged]), None).set_reward(reward),
    ],
)
def test_what_is_no_reward_is_refused_at_both_doors(door, reward):
    with pytest.raises(ArgumentError, match="; expected a reward function, a reward model or the"):
        door(reward)


def test_no_reward_at_all_is_for_vector_environments_alone():
    with pytest.raises(ArgumentError, match=r"reward is .*None.*; expected a reward function"):
        RewardWrapper(Logged(), None)  # type: ignore[arg-type]
    assert RewardVecEnv(DummyVecEnv([Logged]), None).reward_function is None


def of_two(obs: Any, action: Any) -> Any:
    """Takes too little."""
    return obs.sum(1) + action.sum(1)


def of_five(obs: Any, action: Any, next_obs: Any, done: Any, info: Any) -> Any:
    """Takes too much."""
    return obs.sum(1)


@pytest.mark.parametrize("function", [of_two, of_five])
def test_a_function_of_other_arguments_is_refused_by_name_before_the_first_step(function):
    with pytest.raises(ContractError) as error:
        RewardWrapper(Logged(), function)
    assert str(error.value).startswith(
        f"the reward function {function.__name__} cannot be called with "
        "(obs, action, next_obs, done): "
    )


@pytest.mark.parametrize("weights", [(1.0,), (np.nan, 1.0), (1.0, 2.0, 3.0)])
def test_weights_that_are_not_one_an_objective_are_refused(weights):
    model = EnhancedRewardModel(5, hidden_dim=8, observation_dim=3, num_objectives=2)
    with pytest.raises(PrefrlError, match=r"objective_weights is .*; expected 2 finite numbers"):
        RewardWrapper(Logged(), model, objective_weights=weights)
