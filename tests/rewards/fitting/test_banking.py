import dataclasses

import numpy as np
import pytest
import torch

from prefrl.rewards import EnhancedRewardModel
from prefrl.rewards.calibration.probabilities import fit_temperature
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.banking import fill_bank, set_bank_alpha
from prefrl.rewards.fitting.comparing import answer_logits
from tests import linear_task
from tests.rewards.small_trainer import make_trainer


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestFillBank:
    def test_it_holds_the_segments_of_training_answers_as_the_weights_now_see_them(self):
        dataset = linear_task.comparisons(20, rng=rng(), validation_fraction=0.25)
        trainer = make_trainer(max_updates=20)
        for session in range(2):
            trainer.fit(dataset, session=session)
        bank, model = trainer.model.bank, trainer.model
        keys = bank.keys_of_entries().numpy()
        fitted = np.flatnonzero(~dataset.is_validation)
        assert sorted(keys.tolist()) == sorted([*(2 * fitted), *(2 * fitted + 1)])
        sides = np.stack([dataset.left[0].inputs(), dataset.right[0].inputs()], axis=1)
        segments = torch.from_numpy(sides.reshape(-1, *sides.shape[2:])[keys])
        with torch.no_grad():
            own = torch.nn.functional.normalize(model.embed(segments), dim=-1)
            torch.testing.assert_close(bank.embeddings_of_entries(), own)
            rewards = model(segments)["rewards"].flatten(1).mean(1)
            torch.testing.assert_close(bank.values[: len(bank)], rewards)

    def test_new_answers_join_those_of_before(self):
        dataset = linear_task.comparisons(10, rng=rng())
        trainer = make_trainer(max_updates=5)
        trainer.fit(dataset, session=0)
        more = linear_task.comparisons(6, rng=rng(1))
        dataset.add(more.left[0], more.right[0], more.p_left, session=1, rng=rng(2))
        trainer.fit(dataset, session=1)
        assert len(trainer.model.bank) == 32
        assert trainer.model.bank.version == 1

    def test_its_size_is_kept(self):
        trainer = make_trainer(max_updates=5, bank_size=7)
        trainer.fit(linear_task.comparisons(10, rng=rng()), session=0)
        assert len(trainer.model.bank) == 7

    def test_every_query_is_offered_once_whether_or_not_it_was_answered(self):
        dataset = linear_task.comparisons(10, rng=rng(), validation_fraction=0.3)
        model = make_trainer().model
        offered = [
            fill_bank(model, dataset, first=first, session=0, generator=torch.Generator())
            for first in (4, 10)
        ]
        assert offered == [10, 10]
        is_in = ~dataset.is_validation & (np.arange(10) >= 4)
        keys = sorted(model.bank.keys_of_entries().tolist())
        assert keys == sorted([*(2 * np.flatnonzero(is_in)), *(2 * np.flatnonzero(is_in) + 1)])

    def test_a_model_without_a_bank_is_offered_nothing(self):
        model = make_trainer(bank_size=0).model
        dataset = linear_task.comparisons(3, rng=rng())
        generator = torch.Generator()
        assert fill_bank(model, dataset, first=0, session=0, generator=generator) == 0


class TestSetBankAlpha:
    @pytest.mark.parametrize(("setting", "at_most"), [(0.0, 0.0), (0.5, 0.5), ("auto", 1.0)])
    def test_its_pull_is_the_one_that_was_asked_for(self, setting, at_most):
        dataset = linear_task.comparisons(40, rng=rng(), validation_fraction=0.3)
        trainer = make_trainer(max_updates=40, bank_alpha=setting)
        trainer.fit(dataset, session=0)
        alpha = float(trainer.model.bank_alpha)
        assert alpha == setting or (setting == "auto" and 0 <= alpha <= at_most)

    @pytest.mark.parametrize("setting", [0.5, "auto"])
    def test_an_empty_bank_draws_nothing(self, setting):
        dataset = linear_task.comparisons(4, rng=rng())
        held = AnswerTensors.of(dataset.split()[0], torch.ones(4, 3), torch.device("cpu"))
        model = make_trainer().model
        model.bank_alpha.fill_(0.3)
        set_bank_alpha(model, held, setting)
        assert float(model.bank_alpha) == 0.0

    def test_without_held_out_answers_nothing_is_known_to_help(self):
        dataset = linear_task.comparisons(8, rng=rng())
        trainer = make_trainer(max_updates=5, bank_alpha="auto")
        trainer.fit(dataset, session=0)
        assert float(trainer.model.bank_alpha) == 0.0


def test_what_is_calibrated_is_the_reward_as_the_bank_draws_it():
    dataset = linear_task.comparisons(60, rng=rng(), validation_fraction=0.3)
    trainer = make_trainer(recipe="plain", bank_size=256, bank_alpha=0.7, max_updates=60)
    trainer.fit(dataset, session=0)
    model, held = trainer.model, dataset.split()[1]
    answers = AnswerTensors.of(held, torch.ones(len(held), 3), torch.device("cpu"))
    p_left = held.p_left.astype(np.float64)
    temperatures = []
    for alpha in (0.7, 0.0):
        model.bank_alpha.fill_(alpha)
        with torch.no_grad():
            logits = answer_logits(model, answers).double().numpy()
        temperatures.append(fit_temperature(logits, p_left))
    assert float(model.temperature) == pytest.approx(temperatures[0], rel=1e-4)
    assert temperatures[0] != pytest.approx(temperatures[1], rel=1e-2)


def test_a_session_fits_the_network_without_the_pull_that_the_last_one_left():
    dataset = linear_task.comparisons(40, rng=rng(), validation_fraction=0.3)
    weights = []
    for alpha in (0.0, 0.7):
        trainer = make_trainer(bank_alpha=alpha, max_updates=20)
        for session in range(2):
            trainer.fit(dataset, session=session)
        weights.append(trainer.model.head_out.detach().clone())
    assert torch.equal(*weights)


def test_a_bank_draws_nothing_where_segments_have_a_reward_by_several_objectives():
    model = make_trainer().model
    config = dataclasses.replace(model.config, num_objectives=2)
    both = EnhancedRewardModel(**dataclasses.asdict(config))
    dataset = linear_task.comparisons(8, rng=rng())
    fill_bank(both, dataset, first=0, session=0, generator=torch.Generator())
    held = AnswerTensors.of(dataset.split()[0], torch.ones(8, 3), torch.device("cpu"))
    set_bank_alpha(both, held, 0.5)
    assert float(both.bank_alpha) == 0.0
