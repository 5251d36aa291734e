from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.seeding import Streams
from prefrl.segments import SegmentBatch
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import make_trainer, of_two_opposed_objectives, rng


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
