"""Settings, several objectives, the bank behind the rewards, probabilities."""

from dataclasses import asdict, fields
from typing import Any, get_args

import numpy as np
import pytest
import torch

from prefrl.config import EnsembleConfig, RewardConfig, RewardModelConfig
from prefrl.config.reward_model import BankPolicy
from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.rewards import EnhancedRewardModel
from prefrl.rewards.model.bank_policies import POLICIES
from prefrl.rewards.model.storage import write_model
from tests.rewards.small_model import SHAPES, assert_same, make_model, rows, weights_of


def with_bank(alpha: float, **settings: Any) -> EnhancedRewardModel:
    """A model whose bank holds eight segments of three steps."""
    model = make_model(bank_size=8, bank_neighbours=2, **settings)
    segments = rows(8, 3, seed=5)
    with torch.no_grad():
        model.bank.add(
            model.embed(segments),
            torch.linspace(-2.0, 2.0, 8),
            keys=torch.arange(8),
            version=0,
            generator=torch.Generator().manual_seed(0),
        )
    model.bank_alpha.fill_(alpha)
    return model


class TestPooling:
    def test_a_setting_of_it_that_changed_nothing_is_taken_with_a_warning(self):
        with pytest.warns(DeprecationWarning, match="pooling is no setting"):
            model = make_model(pooling="none")
        assert_same(weights_of(model), weights_of(make_model()))

    def test_sequences_are_not_pooled_any_more(self):
        with pytest.raises(ConfigError, match="pooling is 'mean', which there is no more"):
            make_model(pooling="mean")

    @pytest.mark.parametrize(("pooling", "is_read"), [("none", True), ("last", False)])
    def test_models_of_older_versions_are_read_unless_they_pooled(self, pooling, is_read, tmp_path):
        model = make_model()
        write_model(tmp_path, {**asdict(model.config), "pooling": pooling}, model.state_dict())
        if is_read:
            assert_same(weights_of(model), weights_of(EnhancedRewardModel.load(tmp_path)))
        else:
            with pytest.raises(StorageError, match="pooling is 'last', which there is no more"):
                EnhancedRewardModel.load(tmp_path)


class TestSettings:
    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            (
                {"bank_policy": "lifo"},
                "bank_policy is 'lifo'; choose from fifo, reservoir",
            ),
            ({"num_objectives": 0}, "num_objectives is 0; expected 1 or more"),
            ({"segment_length": 0}, "segment_length is 0"),
            ({"bank_neighbours": 0}, "bank_neighbours is 0"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, changed, said):
        with pytest.raises(ConfigError, match=said):
            RewardModelConfig(5, **changed)

    def test_the_bank_has_the_policies_that_settings_offer(self):
        assert set(get_args(BankPolicy)) == set(POLICIES)

    def test_a_model_and_its_fitting_share_their_settings_and_defaults(self):
        shared = {field.name for field in fields(EnsembleConfig)}
        model, fitting = asdict(RewardModelConfig(5)), asdict(RewardConfig().decided())
        open_for_the_data = {"linear_part"}
        for name in shared - open_for_the_data:
            assert model[name] == fitting[name]


class TestObjectives:
    @pytest.mark.parametrize("settings", SHAPES)
    def test_weights_are_given_when_scoring(self, settings):
        model, inputs = make_model(num_objectives=2, **settings), rows(6)
        fast, frugal, both = (
            model(inputs, objective_weights=w)["raw_rewards"] for w in ((1, 0), (0, 1), (2, -0.5))
        )
        assert not torch.allclose(fast, frugal)
        torch.testing.assert_close(both, 2 * fast - 0.5 * frugal)
        torch.testing.assert_close(model(inputs)["raw_rewards"], (fast + frugal) / 2)

    @pytest.mark.parametrize("settings", SHAPES)
    @pytest.mark.parametrize("weights", [None, (1.0, 0.0), (0.3, 2.0)])
    def test_the_frozen_reward_has_the_weights_it_was_made_with(self, weights, settings):
        model, inputs = make_model(num_objectives=2, **settings), rows(6)
        reward = model.reward_function(weights)
        got = reward.with_uncertainty(inputs[:, :3].numpy(), inputs[:, 3:].numpy())
        outputs = model(inputs, objective_weights=weights)
        for ours, name in zip(got, ("rewards", "uncertainty"), strict=True):
            np.testing.assert_allclose(ours, outputs[name].detach()[:, 0], rtol=1e-4, atol=1e-5)

    def test_one_objective_is_no_objective(self):
        model, inputs = make_model(), rows(6)
        named = model(inputs, objective_weights=[1.0])
        assert_same(
            {k: v.detach() for k, v in named.items()},
            {k: v.detach() for k, v in model(inputs).items()},
        )

    @pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (1.0, float("nan"))])
    def test_weights_that_do_not_fit_are_refused(self, weights):
        with pytest.raises(DataError, match="expected 2 finite numbers"):
            make_model(num_objectives=2)(rows(1), objective_weights=weights)


class TestBank:
    @pytest.mark.parametrize("settings", SHAPES)
    def test_no_pull_changes_nothing(self, settings):
        inputs = rows(4, 3)
        plain, banked = make_model(**settings), with_bank(0.0, **settings)
        torch.testing.assert_close(plain(inputs)["rewards"], banked(inputs)["rewards"])

    @pytest.mark.parametrize("settings", SHAPES)
    def test_a_reward_is_drawn_towards_those_of_like_segments(self, settings):
        inputs = rows(6)
        plain, pulled = with_bank(0.0, **settings)(inputs), with_bank(0.25, **settings)(inputs)
        bank = with_bank(0.0, **settings).bank
        near, _ = bank.values_near(plain["features"], 2)
        expected = 0.75 * plain["rewards"][:, 0] + 0.25 * near
        torch.testing.assert_close(pulled["rewards"][:, 0], expected)
        # Every head is moved alike, so they disagree as before.
        torch.testing.assert_close(pulled["uncertainty"], plain["uncertainty"])

    @pytest.mark.parametrize("settings", SHAPES)
    @pytest.mark.parametrize("alpha", [0.0, 0.5])
    def test_the_frozen_reward_uses_the_bank_as_the_model_does(self, alpha, settings):
        model, inputs = with_bank(alpha, **settings), rows(6)
        reward = model.reward_function()
        observations, actions = inputs[:, :3].numpy(), inputs[:, 3:].numpy()
        got = reward.with_uncertainty(observations, actions)[0]
        np.testing.assert_allclose(got, model(inputs)["rewards"].detach()[:, 0], rtol=1e-4)
        novelty = model.bank.novelty(model(inputs)["features"])
        np.testing.assert_allclose(reward.novelty(observations, actions), novelty, atol=1e-5)

    def test_masked_steps_give_zero_though_the_bank_pulls(self):
        model, inputs = with_bank(0.5), rows(2, 3)
        inputs[:, 2] = torch.nan
        outputs = model(inputs, torch.tensor([[1, 1, 0], [1, 1, 0]]))
        assert outputs["rewards"][:, 2].tolist() == [[0.0], [0.0]]
        assert torch.isfinite(outputs["rewards"]).all()

    def test_without_entries_novelty_is_not_known(self):
        reward = make_model(bank_size=8).reward_function()
        assert not reward.knows_novelty
        with pytest.raises(DataError, match="empty feature bank"):
            reward.novelty(rows(1)[:, :3].numpy(), rows(1)[:, 3:].numpy())

    def test_it_is_saved_with_the_model(self, tmp_path):
        model = with_bank(0.25)
        model.save(tmp_path)
        loaded = EnhancedRewardModel.load(tmp_path)
        assert len(loaded.bank) == 8
        assert_same(weights_of(model), weights_of(loaded))
        torch.testing.assert_close(loaded(rows(5)), model(rows(5)))


class TestScale:
    def test_segments_of_any_length_differ_as_much_before_the_first_answer(self):
        spreads = []
        for length in (5, 50):
            model = EnhancedRewardModel(5, hidden_dim=16, segment_length=length)
            segments = rows(400, length) * 0.1 + rows(400, 1, seed=3) * 2 + 1
            model.set_input_statistics(segments)
            spreads.append(float(model.score(segments.numpy()).std()))
        assert spreads[0] == pytest.approx(spreads[1], rel=0.1)

    def test_what_comes_and_goes_within_segments_is_made_up_for(self):
        steps = torch.arange(60) * 0.7
        segments = torch.sin(steps)[None, :, None] * torch.ones(300, 1, 5) + rows(300, 1) * 0.01
        model = EnhancedRewardModel(5, segment_length=60)
        model.set_input_statistics(segments)
        means = segments.mean(1).std(0, correction=0) / model.input_std
        assert float(model.segment_spread) == pytest.approx(float(means.square().mean().sqrt()))
        assert float(model.segment_spread) < 0.1


def test_a_probability_is_the_mean_over_heads_at_the_temperature():
    model, left, right = make_model(), rows(3, 4).numpy(), rows(3, 4, seed=2).numpy()
    model.temperature.fill_(2.0)
    logits = model.score(left) - model.score(right)
    expected = (1 / (1 + np.exp(-logits / 2.0))).mean(1)
    np.testing.assert_allclose(model.preference_probability(left, right), expected, rtol=1e-5)
    turned = model.preference_probability(right, left)
    np.testing.assert_allclose(turned, 1 - expected, rtol=1e-4)
