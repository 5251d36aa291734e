import numpy as np
import pytest
import torch

from prefrl.errors import DataError
from prefrl.rewards import EnhancedRewardModel, ModelReward
from prefrl.types import RewardFunction
from tests.rewards.small_model import SHAPES, make_model, rows


class TestModelReward:
    @pytest.fixture
    def model(self) -> EnhancedRewardModel:
        return make_model(observation_dim=3)

    @pytest.mark.parametrize("settings", SHAPES)
    def test_it_is_a_reward_function_equal_to_forward(self, settings):
        model = make_model(observation_dim=3, **settings)
        reward, inputs = model.reward_function(), rows(9)
        assert isinstance(model.reward_function(), RewardFunction)
        obs, action = inputs[:, :3].numpy(), inputs[:, 3:].numpy()
        outputs = model(inputs)
        given_rewards = reward(obs, action, np.full_like(obs, np.nan), np.ones(9, dtype=bool))
        np.testing.assert_allclose(
            given_rewards, outputs["rewards"].detach()[:, 0], rtol=1e-5, atol=1e-6
        )
        assert given_rewards.shape == (9,)
        assert given_rewards.dtype == np.float32
        rewards, uncertainty = reward.with_uncertainty(obs, action)
        np.testing.assert_array_equal(rewards, given_rewards)
        np.testing.assert_allclose(
            uncertainty, outputs["uncertainty"].detach()[:, 0], rtol=1e-5, atol=1e-6
        )
        assert uncertainty.dtype == np.float32

    def test_a_linear_part_of_several_objectives_is_weighed_like_the_network(self):
        model = make_model(num_objectives=2, linear_part=True)
        inputs, weights = rows(9), (0.25, 2.0)
        expected = model(inputs, objective_weights=weights)["rewards"].detach()[:, 0]
        given = model.reward_function(weights).with_uncertainty(
            inputs[:, :3].numpy(), inputs[:, 3:].numpy()
        )[0]
        np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)

    def test_fitting_the_model_later_does_not_change_it(self, model):
        reward, inputs = model.reward_function(), rows(4).numpy()
        before = reward.with_uncertainty(inputs[:, :3], inputs[:, 3:])
        model.reset(torch.Generator().manual_seed(9))
        model.set_input_statistics(rows(20) * 9)
        model.set_reward_statistics(rows(20) * 9)
        np.testing.assert_array_equal(reward.with_uncertainty(inputs[:, :3], inputs[:, 3:]), before)
        assert reward.config == model.config

    def test_it_is_not_affected_by_a_model_that_is_being_fitted(self):
        model = make_model(dropout=0.5, observation_dim=3)
        calm = model.reward_function()
        model.train()
        reward, inputs = ModelReward(model), rows(4).numpy()
        for function in (reward, reward):
            np.testing.assert_array_equal(
                function.with_uncertainty(inputs[:, :3], inputs[:, 3:]),
                calm.with_uncertainty(inputs[:, :3], inputs[:, 3:]),
            )

    @pytest.mark.parametrize("num", [0, 1, 1024, 1025, 5_000])
    def test_any_number_of_rows_is_scored_as_each_alone(self, model, num):
        obs = np.linspace(-1, 1, num * 3, dtype=np.float32).reshape(num, 3)
        action = np.linspace(1, -1, num * 2, dtype=np.float32).reshape(num, 2)
        reward = model.reward_function()
        rewards, uncertainty = reward.with_uncertainty(obs, action)
        assert rewards.shape == uncertainty.shape == (num,)
        for n in {0, num // 2, num - 1} if num else ():
            alone, _ = reward.with_uncertainty(obs[n : n + 1], action[n : n + 1])
            assert rewards[n] == pytest.approx(alone[0], rel=1e-4, abs=1e-5)

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.bool_])
    def test_other_dtypes_come_out_as_float32(self, model, dtype):
        obs, action = np.ones((2, 3), dtype), np.ones((2, 2), dtype)
        rewards, uncertainty = model.reward_function().with_uncertainty(obs, action)
        assert rewards.dtype == uncertainty.dtype == np.float32

    @pytest.mark.parametrize(("obs", "action"), [((4, 2), (4, 3)), ((4, 4), (4, 1)), ((3,), (2,))])
    def test_observations_of_another_shape_are_refused(self, model, obs, action):
        with pytest.raises(DataError, match=r"observations have shape .* expected \(rows, 3\)"):
            model.reward_function().with_uncertainty(np.zeros(obs), np.zeros(action))

    def test_actions_of_another_shape_are_refused(self, model):
        with pytest.raises(DataError, match="4 dims a row; this model takes 5"):
            model.reward_function().with_uncertainty(np.zeros((4, 3)), np.zeros((4, 1)))

    def test_nothing_it_does_needs_a_gradient(self, model):
        model.requires_grad_(True)
        obs, action = np.zeros((1, 3)), np.zeros((1, 2))
        with torch.enable_grad():
            model.reward_function().with_uncertainty(obs, action)
        assert all(parameter.requires_grad for parameter in model.parameters())
