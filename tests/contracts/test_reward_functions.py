from typing import Any

import numpy as np
import pytest
import torch

from prefrl import EnhancedRewardModel
from prefrl.agents.exploration import StateEntropyReward, no_reward
from prefrl.types import RewardFunction
from tests.contracts.reward_function_contract import (
    ACTION_DIM,
    OBSERVATION_DIM,
    RewardFunctionContract,
    transitions,
)


class TestModelReward(RewardFunctionContract):
    @pytest.fixture(
        params=[{}, {"shared_trunk": False}, {"num_reward_heads": 1}, {"dropout": 0.5}],
        ids=["shared trunk", "independent members", "one head", "dropout"],
    )
    def settings(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        settings: dict[str, Any] = request.param
        return settings

    @pytest.fixture
    def model(self, settings: dict[str, Any]) -> EnhancedRewardModel:
        model = EnhancedRewardModel(
            OBSERVATION_DIM + ACTION_DIM,
            hidden_dim=16,
            observation_dim=OBSERVATION_DIM,
            generator=torch.Generator().manual_seed(0),
            **settings,
        )
        obs, action, *_ = transitions(500, seed=9)
        model.set_input_statistics(torch.from_numpy(3 * np.concatenate([obs, action], axis=1) + 1))
        return model

    @pytest.fixture
    def reward_function(self, model: EnhancedRewardModel) -> RewardFunction:
        return model.reward_function()

    def test_it_says_what_the_model_says(self, model):
        obs, action, next_obs, done = transitions(100)
        output = model(torch.from_numpy(np.concatenate([obs, action], axis=1)))
        reward = model.reward_function()
        rewards, uncertainty = reward.with_uncertainty(obs, action)
        expected = output["rewards"][:, 0].detach().numpy()
        np.testing.assert_allclose(rewards, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            uncertainty, output["uncertainty"][:, 0].detach().numpy(), rtol=1e-3, atol=1e-5
        )
        np.testing.assert_array_equal(reward(obs, action, next_obs, done), rewards)


class TestStateEntropyReward(RewardFunctionContract):
    @pytest.fixture
    def reward_function(self) -> RewardFunction:
        visited = transitions(200, seed=5)[0]
        return StateEntropyReward(visited, rng=np.random.default_rng(0))


class TestNoReward(RewardFunctionContract):
    @pytest.fixture
    def reward_function(self) -> RewardFunction:
        return no_reward
