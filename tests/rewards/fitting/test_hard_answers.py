import math

import numpy as np
import pytest
import torch

from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.segments import SegmentBatch
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import make_trainer, rng


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
