import math
from typing import Any

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, score_interval
from prefrl.rewards.calibration.conformal import fit_conformal, least_answers
from tests import linear_task
from tests.rewards.small_trainer import make_trainer, rng


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
