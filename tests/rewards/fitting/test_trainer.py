import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prefrl.config import RewardConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model, score_interval
from prefrl.rewards.calibration.conformal import fit_conformal, least_answers
from prefrl.rewards.fitting.bootstrap import bootstrap_counts
from prefrl.rewards.fitting.comparing import comparison_logits
from prefrl.rewards.fitting.losses import preference_accuracy
from prefrl.seeding import Streams
from prefrl.segments import SegmentBatch
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import make_trainer


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_sides_swapped(dataset: PreferenceDataset) -> PreferenceDataset:
    return PreferenceDataset(
        dataset.validation_fraction,
        left=dataset.right,
        right=dataset.left,
        p_left=1 - dataset.p_left,
        is_validation=dataset.is_validation,
        session=dataset.session,
    )


def parameters_of(trainer: RewardTrainer) -> torch.Tensor:
    """Every weight in one vector, statistics left out."""
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])


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


class TestHardCases:
    @pytest.mark.filterwarnings("ignore:every answer is")
    @pytest.mark.filterwarnings("ignore:the reward ensemble's heads have collapsed")
    @pytest.mark.parametrize("shared_trunk", [True, False])
    @pytest.mark.parametrize(
        "p_left",
        [[1.0], [0.0], [0.5], [0.5] * 20, [1.0] * 20, [0.0] * 20, [np.nan] * 19 + [1.0]],
        ids=["one left", "one right", "one tie", "ties", "left", "right", "skips and one"],
    )
    def test_one_sided_answers_give_finite_metrics_and_rewards(self, p_left, shared_trunk):
        dataset = linear_task.comparisons(len(p_left), rng=rng(), p_left=np.array(p_left))
        trainer = make_trainer(max_updates=60, shared_trunk=shared_trunk)
        metrics = trainer.fit(dataset, session=0)
        assert math.isfinite(metrics["reward_train_loss"])
        assert math.isnan(metrics["reward_holdout_loss"])
        scores = trainer.score_segments(linear_task.segments(50, rng=rng(1)))
        assert np.isfinite(scores).all()
        obs, action = linear_task.transitions(50, rng=rng(2))
        assert np.isfinite(trainer.reward_function().with_uncertainty(obs, action)).all()

    @pytest.mark.filterwarnings("ignore:the reward ensemble's heads have collapsed")
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (1.0, "every answer is left: the teacher seems to press one key"),
            (0.0, "every answer is right"),
            (0.5, "every answer is a tie"),
        ],
    )
    def test_a_teacher_of_one_answer_is_spoken_of(self, answer, said):
        dataset = linear_task.comparisons(8, rng=rng(), p_left=np.full(8, answer))
        with pytest.warns(UserWarning, match=said):
            make_trainer(max_updates=2).fit(dataset, session=0)

    def test_heads_that_became_one_are_spoken_of(self):
        dataset = linear_task.comparisons(40, rng=rng())
        trainer = make_trainer(num_reward_heads=2, learning_rate=1e-30, weight_decay=0.0)
        with torch.no_grad():
            trainer.model.head_in.weight[1] = trainer.model.head_in.weight[0]
            trainer.model.head_in.bias[1] = trainer.model.head_in.bias[0]
            trainer.model.head_out[1] = trainer.model.head_out[0]
        with pytest.warns(
            UserWarning, match=r"heads have collapsed onto one \(they are 0.0000 nats"
        ):
            trainer.fit(dataset, session=0)

    def test_a_handful_of_like_answers_is_not_spoken_of(self):
        dataset = linear_task.comparisons(7, rng=rng(), p_left=np.ones(7))
        make_trainer(max_updates=2).fit(dataset, session=0)

    @pytest.mark.filterwarnings("ignore:all segments hold the same numbers")
    @pytest.mark.filterwarnings("ignore:the reward ensemble's heads have collapsed")
    def test_features_that_never_move_give_finite_metrics_and_rewards(self):
        segments = linear_task.segments(8, rng=rng())
        still = SegmentBatch(
            observations=np.full_like(segments.observations, 3.0),
            actions=np.full_like(segments.actions, -1.0),
            true_rewards=segments.true_rewards,
            sim_states=segments.sim_states,
            episode=segments.episode,
            start=segments.start,
        )
        dataset = PreferenceDataset(0.0)
        dataset.add(still, still, np.ones(8), session=0, rng=rng())
        trainer = make_trainer(max_updates=40)
        metrics = trainer.fit(dataset, session=0)
        assert metrics["reward_train_loss"] == pytest.approx(math.log(2), abs=1e-5)
        assert metrics["reward_train_accuracy"] == 0.5
        obs, action = linear_task.transitions(20, rng=rng())
        rewards, uncertainty = trainer.reward_function().with_uncertainty(obs, action)
        assert np.isfinite(rewards).all()
        assert np.abs(rewards).max() < 1000
        assert np.isfinite(uncertainty).all()

    def test_inputs_of_huge_scale_are_normalised_first(self):
        small, large = (linear_task.comparisons(30, rng=rng()) for _ in range(2))
        for batches in (large.left, large.right):
            batches[0].observations[...] *= 2.0**20
            batches[0].actions[...] *= 2.0**20
        metrics = make_trainer(max_updates=20).fit(small, session=0)
        scaled = make_trainer(max_updates=20).fit(large, session=0)
        assert scaled == pytest.approx(metrics, rel=1e-3, nan_ok=True)

    @pytest.mark.parametrize("num", [1, 5])
    def test_nothing_but_skips_is_refused_and_changes_nothing(self, num):
        dataset = linear_task.comparisons(num, rng=rng(), p_left=np.full(num, np.nan))
        trainer = make_trainer()
        before = weights_of(trainer.model)
        with pytest.raises(DataError, match="every query so far was skipped"):
            trainer.fit(dataset, session=0)
        assert_same(before, weights_of(trainer.model))

    def test_no_queries_at_all_are_refused(self):
        with pytest.raises(DataError, match="no comparisons yet"):
            make_trainer().fit(PreferenceDataset(), session=0)


class TestRepeatability:
    @pytest.mark.parametrize(
        "settings", [{}, {"dropout": 0.3}, {"restart": True}, {"linear_part": True}]
    )
    def test_the_same_streams_give_the_same_weights(self, settings):
        torch.manual_seed(1)
        results = []
        for noise in (1, 2):
            trainer = make_trainer(max_updates=25, **settings)
            torch.manual_seed(noise)  # The global generator plays no part.
            for session in range(2):
                dataset = linear_task.comparisons(20 + session, rng=rng(session))
                trainer.fit(dataset, session=session)
            results.append(weights_of(trainer.model))
        assert_same(*results)

    def test_another_seed_gives_other_weights(self):
        dataset, results = linear_task.comparisons(20, rng=rng()), []
        for seed in range(2):
            trainer = make_trainer(seed, max_updates=5)
            trainer.fit(dataset, session=0)
            results.append(parameters_of(trainer))
        assert not torch.equal(*results)

    @pytest.mark.parametrize("dropout", [0.0, 0.5])
    def test_fitting_leaves_the_global_generators_alone(self, dropout):
        trainer, dataset = make_trainer(dropout=dropout), linear_task.comparisons(9, rng=rng())
        before = torch.random.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002
        trainer.fit(dataset, session=0)
        assert torch.equal(torch.random.get_rng_state(), before[0])
        after = np.random.get_state(legacy=False)  # noqa: NPY002
        np.testing.assert_equal(after, before[1])

    def test_a_restored_state_goes_on_as_the_saved_one(self):
        dataset = linear_task.comparisons(20, rng=rng())
        trainer = make_trainer(max_updates=15)
        trainer.fit(dataset, session=0)
        state, asked = trainer.state(), trainer.asked_observation_embeddings()
        trainer.fit(dataset, session=1)
        other = make_trainer(seed=0, max_updates=15)
        other.restore(state)
        np.testing.assert_array_equal(other.asked_observation_embeddings(), asked)
        other.fit(dataset, session=1)
        assert_same(weights_of(trainer.model), weights_of(other.model))

    def test_a_state_does_not_change_as_fitting_goes_on(self):
        dataset = linear_task.comparisons(20, rng=rng())
        trainer = make_trainer(max_updates=15)
        before, state = weights_of(trainer.model), trainer.state()
        trainer.fit(dataset, session=0)
        assert_same(before, state["model"])


class TestSessions:
    def test_a_session_goes_on_from_the_last_ones_weights(self):
        dataset = linear_task.comparisons(30, rng=rng())
        trainer = make_trainer(max_updates=60)
        trainer.fit(dataset, session=0)
        fitted = parameters_of(trainer)
        short = RewardTrainer(
            trainer.model,
            RewardConfig(max_updates=1, learning_rate=1e-3, warmup_updates=0, weight_decay=0.0),
            streams=Streams(0),
        )
        short.fit(dataset, session=1)
        # Adam's first step moves no weight by more than the learning rate.
        assert 0 < (parameters_of(trainer) - fitted).abs().max() <= 1.001e-3

    def test_a_restart_forgets_the_last_session(self):
        first, second = (linear_task.comparisons(20, rng=rng(seed)) for seed in (0, 1))
        # The bank remembers more than one session, whatever the weights do.
        settings: dict[str, Any] = {"max_updates": 20, "restart": True, "bank_size": 0}
        long, short = (make_trainer(**settings) for _ in range(2))
        long.fit(first, session=0)
        long.fit(second, session=1)
        short.fit(second, session=1)
        assert_same(weights_of(long.model), weights_of(short.model))

    def test_restarts_start_from_other_weights_each_time(self):
        dataset, results = linear_task.comparisons(20, rng=rng()), []
        trainer = make_trainer(max_updates=1, learning_rate=1e-9, restart=True)
        for session in range(2):
            trainer.fit(dataset, session=session)
            results.append(parameters_of(trainer))
        assert (results[0] - results[1]).abs().max() > 0.01


class TestBootstrap:
    def test_counts_stay_as_answers_arrive(self):
        few = bootstrap_counts(30, 3, rng=Streams(4).generator("bootstrap"))
        many = bootstrap_counts(300, 3, rng=Streams(4).generator("bootstrap"))
        assert torch.equal(many[:30], few)

    def test_every_head_sees_a_sample_of_its_own(self):
        counts = bootstrap_counts(50, 4, rng=rng())
        for one in range(4):
            for other in range(one):
                assert not torch.equal(counts[:, one], counts[:, other])

    def test_counts_are_those_of_drawing_with_replacement(self):
        counts = bootstrap_counts(20_000, 5, rng=rng())
        assert counts.dtype == torch.float32
        assert counts.mean().item() == pytest.approx(1.0, abs=0.02)
        assert counts.var().item() == pytest.approx(1.0, abs=0.03)
        assert (counts == 0).float().mean().item() == pytest.approx(math.exp(-1), abs=0.01)

    def test_a_single_head_sees_every_answer_once(self):
        assert torch.equal(bootstrap_counts(7, 1, rng=rng()), torch.ones(7, 1))

    @pytest.mark.parametrize("seed", range(20))
    def test_no_head_is_left_without_answers(self, seed):
        assert (bootstrap_counts(1, 8, rng=rng(seed)).sum(0) > 0).all()


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


def of_two_opposed_objectives(stream: np.random.Generator) -> PreferenceDataset:
    """Answers about the true reward, and as many about its contrary."""
    left, right = (linear_task.segments(300, rng=stream) for _ in range(2))
    forwards = linear_task.oracle(left, right)
    dataset = PreferenceDataset(0.0)
    dataset.add(left[:150], right[:150], forwards[:150], session=0, objective=0, rng=stream)
    dataset.add(left[150:], right[150:], 1 - forwards[150:], session=0, objective=1, rng=stream)
    return dataset


def items(features: NDArray[np.float64]) -> SegmentBatch:
    """Things that are described by one row of features each."""
    num = len(features)
    return SegmentBatch(
        observations=features[:, None].astype(np.float32),
        actions=np.zeros((num, 1, 0), dtype=np.float32),
        true_rewards=np.zeros((num, 1), dtype=np.float32),
        sim_states=np.zeros((num, 1, 0)),
        episode=np.arange(num),
        start=np.zeros(num, dtype=np.int64),
    )


class TestLinearPart:
    DIMS = 100

    def fitted(self, worth: Callable[[NDArray[np.float64]], NDArray[np.float64]], **settings: Any):
        """A model fitted to noisy answers about features, and features with what they are worth."""
        stream, config = rng(3), RewardConfig(**settings)
        model = build_model(
            self.DIMS, config, segment_length=1, generator=torch.Generator().manual_seed(0)
        )
        left, right = stream.standard_normal((2, 400, self.DIMS))
        slips = 0.7 * stream.standard_normal(400)
        dataset = PreferenceDataset(0.0)
        p_left = (worth(left) - worth(right) + slips > 0).astype(np.float64)
        dataset.add(items(left), items(right), p_left, session=0, rng=stream)
        RewardTrainer(model, config, streams=Streams(0)).fit(dataset, session=0)
        fresh = stream.standard_normal((1_000, self.DIMS))
        return model, np.corrcoef(model.score(items(fresh).inputs()).mean(1), worth(fresh))[0, 1]

    @staticmethod
    def straight(features: NDArray[np.float64]) -> NDArray[np.float64]:
        return features @ rng(4).standard_normal(features.shape[1]) / features.shape[1] ** 0.5

    def test_of_many_features_it_is_on_by_itself_and_predicts_better_than_a_network_alone(self):
        (with_it, better), (without, worse) = (
            self.fitted(self.straight, **settings) for settings in ({}, {"linear_part": False})
        )
        assert with_it.linear.abs().max() > 0
        assert not without.config.linear_part
        assert better > worse + 0.02

    def test_where_worth_is_not_linear_it_counts_for_little(self):
        def bent(features: NDArray[np.float64]) -> NDArray[np.float64]:
            return 3 * np.abs(features[:, 0])

        model, _ = self.fitted(bent)
        rows = torch.randn(500, self.DIMS, generator=torch.Generator().manual_seed(1))
        linear = rows @ model.linear[0]
        whole = torch.from_numpy(model.score(rows[:, None].numpy()).mean(1))
        assert linear.std() < 0.7 * (whole - linear).std()

    def test_a_segments_score_is_the_networks_and_the_linear_one_of_its_sum(self):
        plain, both = (
            EnhancedRewardModel(5, hidden_dim=8, linear_part=is_on) for is_on in (False, True)
        )
        sequences = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(2))
        for model in (plain, both):
            model.set_input_statistics(sequences)
        both.linear.copy_(torch.arange(5.0)[None])
        rows = (sequences - both.input_mean) / both.input_std
        seen = rows.sum(1)
        np.testing.assert_allclose(
            both.score(sequences.numpy()) - plain.score(sequences.numpy()),
            np.repeat((seen @ torch.arange(5.0)).numpy()[:, None], 3, axis=1),
            atol=1e-4,
        )

    def test_what_it_was_before_a_session_changes_nothing(self):
        dataset, results = linear_task.comparisons(60, rng=rng()), []
        for before in (0.0, 7.0):
            trainer = make_trainer(linear_part=True, max_updates=20)
            trainer.model.linear.fill_(before)
            trainer.fit(dataset, session=0)
            results.append(weights_of(trainer.model))
        assert results[0]["linear"].abs().max() > 0
        assert_same(*results)

    def test_turning_some_pairs_round_changes_nothing(self):
        some = rng(8).random(60) < 0.5
        left, right = (linear_task.segments(60, rng=rng(seed)) for seed in (1, 2))
        p_left = linear_task.oracle(left, right)
        weights = []
        for is_turned in (np.zeros(60, dtype=bool), some):
            both, order = SegmentBatch.concatenate([left, right]), np.arange(60)
            first = both[np.where(is_turned, order + 60, order)]
            second = both[np.where(is_turned, order, order + 60)]
            dataset = PreferenceDataset(0.0)
            told = np.where(is_turned, 1 - p_left, p_left)
            dataset.add(first, second, told, session=0, rng=rng())
            trainer = make_trainer(linear_part=True, max_updates=10)
            trainer.fit(dataset, session=0)
            weights.append(trainer.model.linear.clone())
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-2)

    def test_a_robots_single_steps_are_no_features(self):
        model = make_trainer().model
        assert model.config.observation_dim is not None
        assert not model.config.linear_part
        segments = linear_task.segments(40, rng=rng(), length=1)
        segments.observations[..., 0] = 1e-9 * rng().standard_normal((40, 1))
        dataset = PreferenceDataset(0.0)
        answers = linear_task.oracle(segments[:20], segments[20:])
        dataset.add(segments[:20], segments[20:], answers, session=0, rng=rng())
        trainer = make_trainer(max_updates=2)
        trainer.fit(dataset, session=0)
        assert trainer.model.input_std[0] == 1.0

    def test_each_objective_has_one_of_its_own(self):
        dataset = of_two_opposed_objectives(rng())
        model = EnhancedRewardModel(
            linear_task.INPUT_DIM, num_objectives=2, segment_length=5, linear_part=True
        )
        config = RewardConfig(max_updates=20, bank_size=0)
        RewardTrainer(model, config, streams=Streams(0)).fit(dataset, session=0)
        truth = torch.from_numpy(linear_task.WEIGHTS)
        for sign, weights in zip((1, -1), model.linear, strict=True):
            assert sign * torch.corrcoef(torch.stack([weights, truth]))[0, 1] > 0.8

    def test_a_given_error_rate_leaves_slips_to_the_temperature(self):
        temperatures = []
        for share in (0.0, 0.4):
            p_left = linear_task.comparisons(200, rng=rng()).p_left
            p_left = np.where(rng(1).random(200) < share, rng(2).integers(0, 2, 200), p_left)
            trainer = make_trainer(linear_part=True, error_rate=0.0, max_updates=40)
            trainer.fit(linear_task.comparisons(200, rng=rng(), p_left=p_left), session=0)
            assert trainer.model.linear.abs().max() > 0
            temperatures.append(float(trainer.model.temperature))
        assert temperatures[1] > 1.5 * temperatures[0]


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


class TestIntervals:
    SETTINGS: dict[str, Any] = {"max_updates": 60, "interval_coverage": 0.8}  # noqa: RUF012

    def noisy(self, num: int, seed: int, **options: Any) -> PreferenceDataset:
        """A third of the answers are random, so that intervals have to be wide."""
        p_left = linear_task.comparisons(num, rng=rng(seed)).p_left
        coins, drawn = rng(seed + 1).random(num) < 1 / 3, rng(seed + 2).integers(0, 2, num)
        answers = np.where(coins, drawn, p_left)
        return linear_task.comparisons(num, rng=rng(seed), p_left=answers, **options)

    def reached(self, trainer: RewardTrainer, fresh: PreferenceDataset) -> float:
        left, right = (np.concatenate([b.inputs() for b in s]) for s in (fresh.left, fresh.right))
        said = score_interval(trainer.model, left, right)
        assert said.coverage == 0.8
        assert (said.low <= said.difference).all()
        assert (said.difference <= said.high).all()
        return float(np.where(fresh.p_left > 0.5, said.high > 0, said.low < 0).mean())

    def test_as_many_fresh_answers_agree_as_was_asked_for(self):
        trainer = make_trainer(**self.SETTINGS)
        trainer.fit(self.noisy(300, 0, validation_fraction=0.5), session=0)
        # 150 held-out answers: the share of others that agree is 0.8 give or take 0.03.
        assert self.reached(trainer, self.noisy(1000, 50)) == pytest.approx(0.84, abs=0.1)

    def test_they_are_saved_with_the_model(self, tmp_path):
        trainer, fresh = make_trainer(**self.SETTINGS), self.noisy(20, 50)
        trainer.fit(self.noisy(60, 0, validation_fraction=0.5), session=0)
        trainer.model.save(tmp_path)
        left, right = fresh.left[0].inputs(), fresh.right[0].inputs()
        before = score_interval(trainer.model, left, right)
        after = score_interval(EnhancedRewardModel.load(tmp_path), left, right)
        np.testing.assert_array_equal(before.high, after.high)

    @pytest.mark.parametrize("settings", [{}, {"interval_coverage": 0.999}])
    def test_without_them_or_from_too_few_answers_they_are_refused(self, settings):
        trainer = make_trainer(max_updates=5, **settings)
        dataset = linear_task.comparisons(20, rng=rng(), validation_fraction=0.3)
        if settings:
            with pytest.warns(UserWarning, match=r"too few .* cover 0.999; they take 999 or more"):
                trainer.fit(dataset, session=0)
        else:
            trainer.fit(dataset, session=0)
        left = dataset.left[0].inputs()
        with pytest.raises(DataError, match="has no intervals: fit it with"):
            score_interval(trainer.model, left, left)

    @pytest.mark.parametrize(("coverage", "num"), [(0.9, 9), (0.5, 1), (0.95, 19), (0.8, 4)])
    def test_so_many_answers_are_just_enough(self, coverage, num):
        for size, is_finite in ((num, True), (num - 1, False)):
            ones = np.ones(size)
            fitted = fit_conformal(ones, ones, np.zeros(size), coverage=coverage)
            assert math.isfinite(fitted.factor) == is_finite
        assert least_answers(coverage) == num
