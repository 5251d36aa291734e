from typing import Any

import numpy as np
import pytest
import torch

from prefrl.config import RewardConfig
from prefrl.rewards import RewardTrainer
from prefrl.seeding import Streams
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import make_trainer, parameters_of, rng


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
        pairs = trainer.asked_pairs()
        trainer.fit(dataset, session=1)
        other = make_trainer(seed=0, max_updates=15)
        other.restore(state)
        np.testing.assert_array_equal(other.asked_observation_embeddings(), asked)
        for name, array in vars(other.asked_pairs()).items():
            np.testing.assert_array_equal(array, getattr(pairs, name))
        other.fit(dataset, session=1)
        assert_same(weights_of(trainer.model), weights_of(other.model))

    def test_a_state_from_before_pairs_were_remembered_has_none_until_the_next_fit(self):
        dataset = linear_task.comparisons(20, rng=rng())
        trainer, other = make_trainer(max_updates=5), make_trainer(max_updates=5)
        trainer.fit(dataset, session=0)
        state = trainer.state()
        del state["asked_scores"], state["asked_p_left"]
        other.restore(state)
        assert [len(array) for array in vars(other.asked_pairs()).values()] == [0] * 5
        other.fit(dataset, session=1)
        assert len(other.asked_pairs().p_left) == 20

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
