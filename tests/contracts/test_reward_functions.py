"""Every reward function of prefrl's own keeps to the contract of reward functions."""

from typing import Any

import numpy as np
import pytest
import torch

from prefrl import EnhancedRewardModel
from prefrl.agents.exploration import StateEntropyReward, no_reward
from prefrl.testing import check_reward_function
from prefrl.testing.made_up import ACTION_DIM, OBSERVATION_DIM, transitions
from prefrl.types import RewardFunction


def check(reward_function: RewardFunction) -> None:
    assert isinstance(reward_function, RewardFunction)
    check_reward_function(reward_function, observation_dim=OBSERVATION_DIM, action_dim=ACTION_DIM)


@pytest.fixture(
    params=[{}, {"shared_trunk": False}, {"num_reward_heads": 1}, {"dropout": 0.5}],
    ids=["shared trunk", "independent members", "one head", "dropout"],
)
def model(request: pytest.FixtureRequest) -> EnhancedRewardModel:
    settings: dict[str, Any] = request.param
    model = EnhancedRewardModel(
        OBSERVATION_DIM + ACTION_DIM,
        hidden_dim=16,
        observation_dim=OBSERVATION_DIM,
        generator=torch.Generator().manual_seed(0),
        **settings,
    )
    obs, action, *_ = transitions(500, rng=np.random.default_rng(9))
    model.set_input_statistics(torch.from_numpy(3 * np.concatenate([obs, action], axis=1) + 1))
    return model


def test_a_models_reward_keeps_to_the_contract(model: EnhancedRewardModel) -> None:
    check(model.reward_function())


def test_a_models_reward_says_what_the_model_says(model: EnhancedRewardModel) -> None:
    obs, action, next_obs, done = transitions(100, rng=np.random.default_rng(0))
    output = model(torch.from_numpy(np.concatenate([obs, action], axis=1)))
    reward = model.reward_function()
    rewards, uncertainty = reward.with_uncertainty(obs, action)
    expected = output["rewards"][:, 0].detach().numpy()
    np.testing.assert_allclose(rewards, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        uncertainty, output["uncertainty"][:, 0].detach().numpy(), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_array_equal(reward(obs, action, next_obs, done), rewards)


def test_the_reward_for_exploring_keeps_to_the_contract() -> None:
    visited = transitions(200, rng=np.random.default_rng(5))[0]
    check(StateEntropyReward(visited, rng=np.random.default_rng(0)))


def test_no_reward_keeps_to_the_contract() -> None:
    check(no_reward)
