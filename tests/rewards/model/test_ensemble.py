import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prefrl.errors import ConfigError, DataError
from prefrl.rewards import EnhancedRewardModel, RewardModelConfig
from tests.rewards.small_model import SHAPES, assert_same, make_model, rows, weights_of


def head_by_hand(model: EnhancedRewardModel, row: Tensor, head: int) -> float:
    """One head's normalised reward of one row, in loops over plain vectors."""
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    x = standardised = (row.double() - weights["input_mean"]) / weights["input_std"]
    for layer in range(model.config.num_layers):
        weight, bias = weights[f"trunk.{3 * layer}.weight"], weights[f"trunk.{3 * layer}.bias"]
        if not model.config.shared_trunk:
            weight, bias = weight[head], bias[head]
        x = torch.relu(torch.stack([(w * x).sum() + b for w, b in zip(weight, bias, strict=True)]))
    hidden = weights["head_in.weight"][head] @ x + weights["head_in.bias"][head]
    if model.config.head_layer_norm:
        centred = hidden - hidden.mean()
        hidden = centred / torch.sqrt((centred**2).mean() + 1e-5)
        hidden = hidden * weights["head_scale"][head] + weights["head_shift"][head]
    reward = (torch.relu(hidden) * weights["head_out"][head]).sum() + weights["head_bias"][head]
    if model.config.linear_part:
        reward = reward + (standardised * weights["linear"][0]).sum()
    return float((reward - weights["reward_mean"][head]) / weights["reward_std"][head])


class TestForward:
    def test_the_settings_that_the_design_names_run_as_given(self):
        model = EnhancedRewardModel(
            input_dim=768, hidden_dim=512, num_reward_heads=3, bank_size=10000, dropout=0.1
        )
        for shape in ((4,), (2, 7)):
            outputs = model(torch.randn(*shape, 768))
            assert outputs["rewards"].shape == (*shape, 1)
            assert outputs["uncertainty"].shape == (*shape, 1)
            assert outputs["features"].shape == (*shape, 512)
            assert outputs["raw_rewards"].shape == (*shape, 3)
        assert model.config.bank_size == 10000

    @pytest.mark.parametrize("num_heads", [1, 2, 5])
    @pytest.mark.parametrize("settings", SHAPES)
    @pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 1), (0,), (0, 3), (2, 0)])
    def test_rows_and_sequences_give_the_same_named_outputs(self, shape, settings, num_heads):
        outputs = make_model(num_reward_heads=num_heads, **settings)(rows(*shape))
        assert set(outputs) == {"rewards", "uncertainty", "features", "raw_rewards"}
        widths = {"rewards": 1, "uncertainty": 1, "features": 8, "raw_rewards": num_heads}
        for name, width in widths.items():
            assert outputs[name].shape == (*shape, width), name
            assert outputs[name].dtype == torch.float32
            assert torch.isfinite(outputs[name]).all()

    @pytest.mark.parametrize("settings", SHAPES)
    def test_the_batched_heads_equal_a_loop_over_heads(self, settings):
        model, inputs = make_model(**settings), rows(4)
        with torch.no_grad():
            raw = model(inputs)["raw_rewards"]
        for n in range(4):
            expected = [head_by_hand(model, inputs[n], head) for head in range(3)]
            assert raw[n].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)

    @pytest.mark.parametrize("settings", SHAPES)
    def test_a_sequence_is_its_rows(self, settings):
        model, inputs = make_model(**settings), rows(4, 6)
        sequences, flat = model(inputs), model(inputs.flatten(0, 1))
        for name, tensor in sequences.items():
            torch.testing.assert_close(tensor.flatten(0, 1), flat[name])

    @pytest.mark.parametrize("settings", SHAPES)
    def test_rewards_are_the_mean_and_uncertainty_the_population_spread_over_heads(self, settings):
        outputs = make_model(**settings)(rows(7))
        raw = outputs["raw_rewards"].detach().numpy()
        np.testing.assert_allclose(outputs["rewards"].detach()[:, 0], raw.mean(1), atol=1e-6)
        spread = np.sqrt(((raw - raw.mean(1, keepdims=True)) ** 2).mean(1))
        np.testing.assert_allclose(outputs["uncertainty"].detach()[:, 0], spread, atol=1e-6)

    def test_a_single_head_is_certain_and_its_gradient_is_finite(self):
        model, inputs = make_model(num_reward_heads=1), rows(5).requires_grad_()
        outputs = model(inputs)
        assert outputs["uncertainty"].detach().tolist() == [[0.0]] * 5
        torch.testing.assert_close(outputs["rewards"], outputs["raw_rewards"])
        (outputs["uncertainty"].sum() + outputs["rewards"].sum()).backward()
        assert inputs.grad is not None
        assert torch.isfinite(inputs.grad).all()

    @pytest.mark.parametrize("settings", SHAPES)
    def test_features_are_what_the_heads_see_or_the_mean_over_trunks(self, settings):
        model, inputs = make_model(**settings), rows(3)
        trunk = model.trunk((inputs - model.input_mean) / model.input_std)
        expected = trunk if model.config.shared_trunk else trunk.mean(1)
        torch.testing.assert_close(model(inputs)["features"], expected)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
    def test_other_dtypes_are_taken_for_what_they_mean(self, dtype):
        model, inputs = make_model(), rows(3).mul(2).round()
        given_inputs = inputs.to(dtype)
        torch.testing.assert_close(
            model(given_inputs)["rewards"], model(given_inputs.to(torch.float32))["rewards"]
        )

    @pytest.mark.parametrize("shape", [(3, 4), (3, 6), (3, 1), (2, 3, 4)])
    def test_rows_of_another_width_are_refused_by_number(self, shape):
        with pytest.raises(DataError, match=rf"inputs have {shape[-1]} dims a row; .* takes 5"):
            make_model()(torch.zeros(shape))

    @pytest.mark.parametrize("shape", [(), (5,), (2, 2, 2, 5)])
    def test_anything_but_rows_and_sequences_is_refused_by_shape(self, shape):
        with pytest.raises(DataError, match=r"inputs have shape .*; expected \(rows, dims\) or"):
            make_model()(torch.zeros(shape))


class TestMask:
    @given(seed=st.integers(0, 99), kind=st.sampled_from([torch.bool, torch.int64, torch.float32]))
    def test_masked_steps_give_zero_and_the_others_what_they_gave(self, seed, kind):
        model, inputs = make_model(), rows(3, 4, seed=seed)
        is_real = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)) < 0.5
        plain, masked = model(inputs), model(inputs, attention_mask=is_real.to(kind))
        for name in ("rewards", "uncertainty", "raw_rewards"):
            assert (masked[name][~is_real] == 0).all()
            assert torch.equal(masked[name][is_real], plain[name][is_real])

    def test_padding_may_hold_anything(self):
        model, inputs = make_model(), rows(1, 3)
        inputs[0, 1:] = torch.tensor([[float("nan")], [float("inf")]])
        outputs = model(inputs, attention_mask=torch.tensor([[1, 0, 0]]))
        assert outputs["rewards"][0, 1:].tolist() == [[0.0], [0.0]]
        assert outputs["uncertainty"][0, 1:].tolist() == [[0.0], [0.0]]

    def test_rows_can_be_masked_too(self):
        outputs = make_model()(rows(2), attention_mask=torch.tensor([0, 1]))
        assert outputs["rewards"][0].item() == 0.0
        assert outputs["rewards"][1].item() != 0.0

    @pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 4, 1), (4, 3)])
    def test_a_mask_that_does_not_fit_is_refused_by_shape(self, shape):
        with pytest.raises(DataError, match=r"attention_mask has shape .*; expected \(3, 4\)"):
            make_model()(rows(3, 4), attention_mask=torch.ones(shape))


class TestWeights:
    @pytest.mark.parametrize("settings", SHAPES)
    def test_heads_start_different(self, settings):
        raw = make_model(**settings).head_rewards(rows(50)).detach()
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert (raw[:, one] - raw[:, other]).abs().min() > 0

    @pytest.mark.parametrize("settings", SHAPES)
    def test_the_same_stream_draws_the_same_weights_again(self, settings):
        model = make_model(3, **settings)
        before = weights_of(make_model(3, **settings))
        assert_same(before, weights_of(model))
        model.reset(torch.Generator().manual_seed(4))
        changed = weights_of(model)
        assert not torch.equal(before["head_out"], changed["head_out"])
        model.reset(torch.Generator().manual_seed(3))
        if model.config.linear_part:
            before["linear"] = torch.zeros(1, 5)  # nothing to draw: it starts as no part at all
        assert_same(before, weights_of(model))

    def test_without_a_stream_the_weights_are_always_the_same(self):
        assert_same(weights_of(EnhancedRewardModel(5)), weights_of(EnhancedRewardModel(5)))

    def test_weights_lie_within_one_over_the_root_of_their_inputs(self):
        weights = weights_of(EnhancedRewardModel(400, hidden_dim=100))
        assert 0.045 < weights["trunk.0.weight"].abs().max() <= 0.05
        assert 0.09 < weights["head_in.weight"].abs().max() <= 0.1
        assert 0.08 < weights["head_out"].abs().max() <= 0.1

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"input_dim": 0}, "input_dim is 0; expected 1 or more"),
            ({"hidden_dim": 0}, "hidden_dim is 0"),
            ({"num_reward_heads": 0}, "num_reward_heads is 0"),
            ({"num_layers": 0}, "num_layers is 0"),
            ({"bank_size": -1}, "bank_size is -1; expected 0 or more"),
            ({"dropout": 1.0}, "dropout is 1.0; expected less than 1"),
            ({"dropout": -0.1}, "dropout is -0.1"),
            ({"observation_dim": 0}, "observation_dim is 0; expected 1 or more"),
            ({"observation_dim": 6}, "observation_dim is 6; expected 1 to input_dim"),
        ],
    )
    def test_settings_out_of_range_are_named(self, settings, said):
        with pytest.raises(ConfigError, match=said):
            RewardModelConfig(**{"input_dim": 5, **settings})


class TestStatistics:
    def test_inputs_are_normalised_by_mean_and_population_spread(self):
        model = EnhancedRewardModel(2)
        model.set_input_statistics(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
        assert model.input_mean.tolist() == [2.0, 20.0]
        assert model.input_std.tolist() == [1.0, 10.0]

    def test_an_input_that_never_moves_is_not_divided_by_its_spread(self):
        model = EnhancedRewardModel(2)
        model.set_input_statistics(torch.tensor([[7.0, 1.0], [7.0, 3.0]]))
        assert model.input_std.tolist() == [1.0, 1.0]
        assert torch.isfinite(model(torch.tensor([[9.0, 2.0]]))["rewards"]).all()

    def test_an_input_that_moves_by_rounding_stands_still_unless_its_unit_says_nothing(self):
        features = torch.tensor([[7e-9, 1.0, 5.0, 0.0, 3e-33], [9e-9, 3.0, 5.0, 0.0, 5e-33]])
        robot, frozen = EnhancedRewardModel(5), EnhancedRewardModel(5)
        robot.set_input_statistics(features)
        assert robot.input_std.tolist() == [1.0] * 5
        frozen.set_input_statistics(features, any_unit=True)
        np.testing.assert_allclose(frozen.input_std, [1e-9, 1.0, 1.0, 1.0, 1e-33], rtol=1e-5)
        with torch.no_grad():
            np.testing.assert_allclose(
                frozen.rows_of(features).abs(), [[1, 1, 0, 0, 1]] * 2, rtol=1e-5
            )

    @given(scale=st.floats(1e-30, 1e30))
    def test_features_are_standardised_alike_in_any_unit(self, scale):
        model, features = EnhancedRewardModel(5), rows(20)
        model.set_input_statistics(features * scale, any_unit=True)
        expected = (features - features.mean(0)) / features.std(0, correction=0)
        np.testing.assert_allclose(model.rows_of(features * scale), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("settings", SHAPES)
    def test_every_head_has_zero_mean_and_unit_spread_over_the_fitted_rows(self, settings):
        model, fitted = make_model(**settings), rows(10_000) * 4 - 1
        model.set_reward_statistics(fitted)
        with torch.no_grad():
            raw = model(fitted)["raw_rewards"]
        np.testing.assert_allclose(raw.mean(0), np.zeros(3), atol=1e-4)
        np.testing.assert_allclose(raw.std(0, correction=0), np.ones(3), atol=1e-4)

    def test_a_head_that_never_moves_is_not_blown_up(self):
        model = make_model()
        model.set_reward_statistics(torch.ones(10, 5))
        with torch.no_grad():
            raw = model(torch.cat([torch.ones(10, 5), rows(20)]))["raw_rewards"]
        assert raw[:10].abs().max() < 1e-5
        assert raw.abs().max() < 100


class TestScoring:
    @pytest.mark.parametrize("settings", SHAPES)
    def test_a_score_is_a_heads_reward_summed_over_the_segment(self, settings):
        model, sequences = make_model(**settings), rows(6, 4)
        scores = model.score(sequences.numpy())
        assert scores.shape == (6, 3)
        assert scores.dtype == np.float32
        with torch.no_grad():
            expected = model.head_rewards(sequences).sum(1)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)

    def test_many_segments_score_as_each_alone(self):
        model, sequences = make_model(), rows(400, 50).numpy()
        alone = np.concatenate([model.score(sequences[i : i + 1]) for i in (0, 163, 164, 399)])
        np.testing.assert_allclose(model.score(sequences)[[0, 163, 164, 399]], alone, rtol=1e-4)

    def test_no_segments_have_no_scores(self):
        assert make_model().score(np.zeros((0, 4, 5), dtype=np.float32)).shape == (0, 3)

    def test_arrays_of_any_layout_are_scored_and_left_as_they_are(self):
        model, sequences = make_model(), rows(3, 4).numpy()
        frozen = sequences.copy()
        frozen.setflags(write=False)
        same: Any
        for same in (frozen, np.asfortranarray(sequences), sequences.astype(np.float64)):
            np.testing.assert_allclose(model.score(same), model.score(sequences), rtol=1e-5)

    def test_segments_of_another_width_are_refused(self):
        with pytest.raises(DataError, match="1 dims a row"):
            make_model().score(np.zeros((2, 3, 1), dtype=np.float32))

    @pytest.mark.parametrize("settings", [{}, {"dropout": 0.5}, {"shared_trunk": False}])
    def test_scoring_never_changes_the_model(self, settings):
        model = make_model(**settings)
        before, generator = weights_of(model), torch.random.get_rng_state()
        for _ in range(2):
            model(rows(6))
            model(rows(2, 3), attention_mask=torch.ones(2, 3))
            model.score(rows(2, 3).numpy())
            model.reward_function().with_uncertainty(rows(4)[:, :3].numpy(), rows(4)[:, 3:].numpy())
            assert_same(before, weights_of(model))
        assert not model.training
        model(rows(6))
        assert torch.equal(torch.random.get_rng_state(), generator)

    def test_dropout_is_off_outside_fitting_and_on_while_fitting(self):
        model, inputs = make_model(dropout=0.5, hidden_dim=64), rows(6)
        assert torch.equal(model(inputs)["rewards"], model(inputs)["rewards"])
        model.train()
        assert not torch.equal(model(inputs)["rewards"], model(inputs)["rewards"])

    def test_dropout_drops_its_share_and_keeps_the_expectation(self):
        model = EnhancedRewardModel(5, hidden_dim=4000, dropout=0.3, num_layers=1)
        inputs, whole = rows(1), EnhancedRewardModel.forward(model, rows(1))["features"]
        model.train().set_dropout_generator(torch.Generator().manual_seed(0))
        features = model(inputs)["features"]
        alive = whole > 0
        assert (features[alive] == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
        kept = alive & (features > 0)
        torch.testing.assert_close(features[kept], whole[kept] / 0.7)

    def test_dropout_draws_from_the_stream_it_is_given(self):
        model, inputs, drawn = make_model(dropout=0.5, hidden_dim=64).train(), rows(6), []
        before = torch.random.get_rng_state()
        for _ in range(2):
            model.set_dropout_generator(torch.Generator().manual_seed(7))
            drawn.append(model(inputs)["rewards"])
        assert torch.equal(drawn[0], drawn[1])
        assert torch.equal(torch.random.get_rng_state(), before)


def test_a_copy_of_a_model_is_a_model_of_its_own():
    model = make_model(dropout=0.1)
    twin = copy.deepcopy(model)
    twin.reset(torch.Generator().manual_seed(5))
    assert not torch.equal(model(rows(3))["rewards"], twin(rows(3))["rewards"])
