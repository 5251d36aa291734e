import math
from typing import Any

import numpy as np
import pytest
import torch

from prefrl.config import RewardConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.rewards.fitting.comparing import comparison_logits
from prefrl.rewards.fitting.losses import preference_accuracy
from prefrl.seeding import Streams
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import (
    make_trainer,
    of_two_opposed_objectives,
    parameters_of,
    rng,
    with_sides_swapped,
)


class TestLearning:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"shared_trunk": False},
            {"num_reward_heads": 1},
            {"dropout": 0.1},
            {"restart": True, "num_layers": 2},
            {"linear_part": True},
        ],
    )
    def test_a_linear_reward_is_learned_from_comparisons(self, settings):
        trainer, stream = make_trainer(max_updates=200, **settings), rng(1)
        dataset = linear_task.comparisons(200, rng=stream, validation_fraction=0.15)
        metrics = trainer.fit(dataset, session=0)
        assert metrics["reward_holdout_accuracy"] > 0.85
        assert metrics["reward_train_loss"] < 0.3

        left, right = linear_task.segments(500, rng=stream), linear_task.segments(500, rng=stream)
        pairs = torch.from_numpy(np.stack([left.inputs(), right.inputs()], axis=1))
        with torch.no_grad():
            logits = comparison_logits(trainer.model, pairs).mean(-1)
        answers = torch.from_numpy(linear_task.oracle(left, right))
        assert preference_accuracy(logits, answers) > 0.9

        scores = trainer.score_segments(left)
        for head in range(scores.shape[1]):
            assert np.corrcoef(scores[:, head], left.true_returns)[0, 1] > 0.8
        obs, action = left.observations[:, 0], left.actions[:, 0]
        rewards = trainer.reward_function()(obs, action, obs, np.zeros(len(obs), dtype=bool))
        assert np.corrcoef(rewards, left.true_rewards[:, 0])[0, 1] > 0.85

    def test_the_reward_that_is_used_has_zero_mean_and_unit_heads_over_what_was_fitted(self):
        trainer, dataset = make_trainer(max_updates=30), linear_task.comparisons(40, rng=rng())
        trainer.fit(dataset, session=0)
        train, _ = dataset.split()
        rows = torch.from_numpy(np.concatenate([train.left, train.right]))
        with torch.no_grad():
            raw = trainer.model(rows)["raw_rewards"].flatten(0, 1)
        np.testing.assert_allclose(raw.mean(0), np.zeros(3), atol=1e-4)
        np.testing.assert_allclose(raw.std(0, correction=0), np.ones(3), atol=1e-4)

    def test_comparison_logits_are_differences_of_sums_and_turn_with_the_sides(self):
        trainer, stream = make_trainer(), rng()
        left, right = linear_task.segments(6, rng=stream), linear_task.segments(6, rng=stream)
        pairs = torch.from_numpy(np.stack([left.inputs(), right.inputs()], axis=1))
        with torch.no_grad():
            logits = comparison_logits(trainer.model, pairs)
            turned = comparison_logits(trainer.model, pairs.flip(1))
        scores = trainer.score_segments(left) - trainer.score_segments(right)
        np.testing.assert_allclose(logits, scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(turned, -logits)

    def test_each_head_has_a_chance_of_left_and_their_mean_is_that_of_the_model(self):
        trainer, stream = make_trainer(max_updates=5), rng()
        assert not trainer.is_fitted
        trainer.fit(linear_task.comparisons(20, rng=stream), session=0)
        assert trainer.is_fitted
        left, right = linear_task.segments(6, rng=stream), linear_task.segments(6, rng=stream)
        by_head = trainer.preference_by_head(left, right)
        scores = trainer.score_segments(left) - trainer.score_segments(right)
        temperature = float(trainer.model.temperature)
        np.testing.assert_allclose(by_head, 1 / (1 + np.exp(-scores / temperature)), rtol=1e-5)
        of_model = trainer.model.preference_probability(left.inputs(), right.inputs())
        np.testing.assert_allclose(by_head.mean(1), of_model, rtol=1e-5)

    def test_swapping_the_sides_of_every_comparison_changes_no_figure(self):
        dataset = linear_task.comparisons(40, rng=rng(), validation_fraction=0.25)
        swapped = with_sides_swapped(dataset)
        metrics = make_trainer(max_updates=5).fit(dataset, session=0)
        assert make_trainer(max_updates=5).fit(swapped, session=0) == pytest.approx(
            metrics, rel=1e-3
        )

    def test_accuracy_is_that_of_the_reward_in_use_not_of_its_loudest_head(self):
        dataset = linear_task.comparisons(60, rng=rng())
        trainer = make_trainer(max_updates=100)
        trainer.fit(dataset, session=0)
        loudest = trainer.model.head_out.data
        loudest[0] *= -100.0  # This head now says the opposite, at the top of its voice.
        trainer.model.head_bias.data[0] *= -100.0
        metrics = metrics_of(trainer, dataset)
        assert metrics["reward_train_accuracy"] > 0.7


def metrics_of(trainer: RewardTrainer, dataset: PreferenceDataset) -> dict[str, float]:
    """Returns the metrics of a model as it is: fitting without moving the weights."""
    still = RewardConfig(max_updates=1, learning_rate=1e-30, weight_decay=0.0, error_rate=0.0)
    return RewardTrainer(trainer.model, still, streams=Streams(0)).fit(dataset, session=0)


class TestHeldOutAnswers:
    def test_they_are_never_trained_on(self):
        settings = {"max_updates": 40, "patience": 10**6}
        dataset = linear_task.comparisons(30, rng=rng(), validation_fraction=0.3)
        held = dataset.is_validation
        assert held.sum() == 9
        altered_left, altered_right = (linear_task.segments(30, rng=rng(s)) for s in (8, 9))
        altered_left.observations[~held] = dataset.left[0].observations[~held]
        altered_left.actions[~held] = dataset.left[0].actions[~held]
        altered_right.observations[~held] = dataset.right[0].observations[~held]
        altered_right.actions[~held] = dataset.right[0].actions[~held]
        altered = PreferenceDataset(
            0.3,
            left=[altered_left],
            right=[altered_right],
            p_left=np.where(held, 1 - dataset.p_left, dataset.p_left),
            is_validation=held,
            session=dataset.session,
        )
        one, other = make_trainer(**settings), make_trainer(**settings)
        metrics, others = one.fit(dataset, session=0), other.fit(altered, session=0)
        learned, others_learned = weights_of(one.model), weights_of(other.model)
        for name in ("temperature",):  # That one is fitted to them.
            del learned[name], others_learned[name]
        assert_same(learned, others_learned)
        assert metrics["reward_train_loss"] == others["reward_train_loss"]
        assert metrics["reward_holdout_loss"] != others["reward_holdout_loss"]

    def test_fitting_stops_once_they_find_nothing_new_to_learn(self):
        answers = rng(3).integers(0, 2, size=40).astype(np.float64)
        dataset = linear_task.comparisons(40, rng=rng(), p_left=answers, validation_fraction=0.25)
        trainer = make_trainer(max_updates=5000, patience=3, learning_rate=1e-2, error_rate=0.1)
        assert 40 <= trainer.fit(dataset, session=0)["reward_updates"] < 1000

    @pytest.mark.parametrize("max_updates", [1, 9, 37])
    def test_no_more_updates_are_made_than_allowed(self, max_updates):
        dataset = linear_task.comparisons(20, rng=rng(), validation_fraction=0.2)
        trainer = make_trainer(max_updates=max_updates, patience=10**6)
        assert trainer.fit(dataset, session=0)["reward_updates"] == max_updates

    def test_without_any_every_update_is_made(self):
        trainer = make_trainer(max_updates=77, patience=1)
        metrics = trainer.fit(linear_task.comparisons(3, rng=rng()), session=0)
        assert metrics["reward_updates"] == 77


class TestUpdates:
    def largest_move(self, **settings: Any) -> float:
        """Returns how far one gradient step moves the weight that it moves most."""
        trainer = make_trainer(**{"max_updates": 1, "weight_decay": 0.0, **settings})
        before = parameters_of(trainer)
        trainer.fit(linear_task.comparisons(20, rng=rng()), session=0)
        return float((parameters_of(trainer) - before).abs().max())

    @pytest.mark.parametrize(("warmup", "share"), [(0, 1.0), (1, 0.5), (9, 0.1), (99, 0.01)])
    def test_the_learning_rate_rises_linearly_to_its_full_height(self, warmup, share):
        # Adam's first step moves weights by the learning rate.
        moved = self.largest_move(warmup_updates=warmup, learning_rate=1e-2)
        assert moved == pytest.approx(share * 1e-2, rel=0.01)

    def test_gradients_are_clipped_by_their_norm(self):
        # Below Adam's epsilon of 1e-8 a gradient no longer moves anything.
        assert self.largest_move(max_grad_norm=1e-14, warmup_updates=0) < 1e-8
        assert self.largest_move(max_grad_norm=math.inf, warmup_updates=0) > 9e-4

    def test_weight_decay_pulls_weights_towards_zero(self):
        settings: dict[str, Any] = {"max_grad_norm": 1e-14, "weight_decay": 0.5, "cooldown": 0.0}
        trainer = make_trainer(max_updates=3, warmup_updates=0, learning_rate=0.1, **settings)
        before = parameters_of(trainer)
        trainer.fit(linear_task.comparisons(20, rng=rng()), session=0)
        torch.testing.assert_close(parameters_of(trainer), before * 0.95**3, atol=1e-6, rtol=1e-4)

    def test_whatever_ends_fitting_the_model_scores_without_dropout(self):
        trainer, dataset = make_trainer(dropout=0.5), linear_task.comparisons(20, rng=rng())

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        handle = trainer.model.trunk.register_forward_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(dataset, session=0)
        handle.remove()
        assert not trainer.model.training
        segments = linear_task.segments(5, rng=rng())
        np.testing.assert_array_equal(
            trainer.score_segments(segments), trainer.score_segments(segments)
        )


class TestAskedPlaces:
    def test_before_the_first_session_there_are_none(self):
        assert len(make_trainer().asked_observation_embeddings()) == 0
        with pytest.warns(DeprecationWarning, match="^asked_places is asked_observation"):
            assert len(make_trainer().asked_places()) == 0

    @pytest.mark.parametrize("bank_size", [0, 7])
    def test_they_are_of_every_query_skipped_and_held_out_ones_too(self, bank_size):
        p_left = np.array([1.0, np.nan, 0.0, 1.0, 0.5, 0.0])
        dataset = linear_task.comparisons(6, rng=rng(), p_left=p_left, validation_fraction=0.3)
        assert dataset.is_validation.any()
        trainer = make_trainer(max_updates=2, bank_size=bank_size)
        trainer.fit(dataset, session=0)
        more = linear_task.comparisons(2, rng=rng(1))
        dataset.add(more.left[0], more.right[0], more.p_left, session=1, rng=rng(2))
        assert len(trainer.asked_observation_embeddings()) == 12
        trainer.fit(dataset, session=1)
        batches = [*dataset.left, *dataset.right]
        seen = np.concatenate([batch.observations for batch in batches])
        expected = np.concatenate([seen.mean(1), seen[:, -1]], axis=1)
        np.testing.assert_array_equal(trainer.asked_observation_embeddings(), expected)


class TestNoise:
    def flipped(self, share: float, seed: int = 0) -> PreferenceDataset:
        stream = rng(seed)
        answers = linear_task.comparisons(300, rng=rng(seed)).p_left
        is_flipped = stream.random(300) < share
        return linear_task.comparisons(
            300, rng=rng(seed), p_left=np.where(is_flipped, 1 - answers, answers)
        )

    def test_the_error_rate_is_told_from_the_answers(self):
        rates = [
            make_trainer(max_updates=100).fit(self.flipped(share), session=0)["reward_error_rate"]
            for share in (0.0, 0.3)
        ]
        assert rates[0] < 0.15
        assert rates[1] > 0.3

    def test_a_given_error_rate_is_taken_as_it_is(self):
        metrics = make_trainer(max_updates=2, error_rate=0.25).fit(self.flipped(0.0), session=0)
        assert metrics["reward_error_rate"] == 0.25

    def test_right_answers_are_learned_though_the_prior_against_wrong_ones_is_strong(self):
        strong: dict[str, Any] = {"l2": 60.0, "max_updates": 200}
        losses = {
            rate: make_trainer(error_rate=rate, **strong).fit(self.flipped(0.0), session=0)[
                "reward_train_loss"
            ]
            for rate in ("auto", 0.0)
        }
        assert losses["auto"] < 0.85 * losses[0.0]

    @pytest.mark.parametrize("mode", ["keep", "drop", "flip"])
    def test_wrong_answers_are_seen_through(self, mode):
        trainer = make_trainer(max_updates=200, contradictions=mode)
        trainer.fit(self.flipped(0.25), session=0)
        fresh = linear_task.comparisons(400, rng=rng(7))
        left, right = (
            trainer.score_segments(batch[0]).mean(1) for batch in (fresh.left, fresh.right)
        )
        assert np.mean((left > right) == (fresh.p_left > 0.5)) > 0.85


class TestObjectives:
    def test_answers_that_name_their_objective_teach_that_one(self):
        stream = rng()
        dataset = of_two_opposed_objectives(stream)
        model = EnhancedRewardModel(
            linear_task.INPUT_DIM, hidden_dim=32, num_objectives=2, segment_length=5
        )
        config = RewardConfig(hidden_dim=32, bank_size=0)
        RewardTrainer(model, config, streams=Streams(0)).fit(dataset, session=0)
        fresh = linear_task.segments(200, rng=stream)
        first, second = (model.score(fresh.inputs(), w).mean(1) for w in ((1, 0), (0, 1)))
        assert np.corrcoef(first, fresh.true_returns)[0, 1] > 0.85
        assert np.corrcoef(second, fresh.true_returns)[0, 1] < -0.85

    def test_an_objective_that_the_model_lacks_is_refused_by_number(self):
        dataset = linear_task.comparisons(4, rng=rng())
        dataset.objective[2] = 1
        with pytest.raises(DataError, match="about objective 1; this model has 1"):
            make_trainer().fit(dataset, session=0)


def test_temperature_stays_at_one_when_it_is_switched_off():
    trainer = make_trainer(max_updates=20, temperature=False)
    trainer.fit(linear_task.comparisons(30, rng=rng(), validation_fraction=0.3), session=0)
    assert float(trainer.model.temperature) == 1.0


@pytest.mark.parametrize(("bank_size", "plays_a_part"), [(0, False), (64, True)])
def test_segments_are_contrasted_from_the_first_session_on_where_there_is_a_bank(
    bank_size, plays_a_part
):
    weights = []
    for share in (0.0, 0.5):
        trainer = make_trainer(max_updates=5, bank_size=bank_size, contrastive=share)
        trainer.fit(linear_task.comparisons(20, rng=rng()), session=0)
        weights.append(parameters_of(trainer))
    assert torch.equal(*weights) != plays_a_part


def test_the_temperature_needs_no_held_out_answers():
    """Models that left answers out say how sure the ensemble may be."""
    temperatures = []
    for share in (0.0, 0.5):
        dataset = linear_task.comparisons(150, rng=rng())
        coins = rng(1).random(150) < share
        p_left = np.where(coins, rng(2).integers(0, 2, 150), dataset.p_left)
        dataset = linear_task.comparisons(150, rng=rng(), p_left=p_left)
        # A given rate of none: only the temperature is left to explain the slips.
        trainer = make_trainer(max_updates=60, error_rate=0.0, contradictions="drop")
        trainer.fit(dataset, session=0)
        temperatures.append(float(trainer.model.temperature))
    assert temperatures[0] != 1.0
    assert temperatures[1] > temperatures[0]


@pytest.mark.parametrize(
    "settings",
    [{"diversity": 0.1, "calibration": 0.1, "adapt_l2": True}, {"linear_part": True}],
)
def test_the_model_is_antisymmetric_whatever_is_switched_on(settings: dict[str, Any]):
    dataset = linear_task.comparisons(40, rng=rng(), validation_fraction=0.25)
    swapped = with_sides_swapped(dataset)
    metrics = make_trainer(max_updates=20, **settings).fit(dataset, session=0)
    others = make_trainer(max_updates=20, **settings).fit(swapped, session=0)
    for name in ("reward_train_loss", "reward_holdout_loss", "reward_error_rate"):
        assert others[name] == pytest.approx(metrics[name], rel=1e-2)
