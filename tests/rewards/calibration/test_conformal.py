import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import DataError
from prefrl.rewards.calibration.conformal import ConformalInterval, fit_conformal

ANSWER = st.sampled_from([0.0, 0.5, 1.0])
NONE = np.zeros(0)
GOOD = np.array([0.5, 0.25])


def columns(rows):
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def answers_of(p, rng):
    """Decisive answers of a teacher who says "left" with probability p."""
    return (rng.random(len(p)) < p).astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class TestConformal:
    # Nonconformity: 0 (agrees), 4 / 2 (disagrees), 3 / 1 (a tie), 1 / 2 (disagrees).
    DIFFERENCE = np.array([5.0, -4.0, 3.0, 1.0])
    UNCERTAINTY = np.array([1.0, 2.0, 1.0, 2.0])
    P_LEFT = np.array([1.0, 1.0, 0.5, 0.0])

    @pytest.mark.parametrize(
        ("coverage", "factor"),
        [
            (0.01, 0.0),
            (0.2, 0.0),
            (0.4, 0.5),
            (0.6, 2.0),
            (0.61, 3.0),
            (0.8, 3.0),
            (0.81, math.inf),
        ],
    )
    def test_the_factor_is_the_quantile_of_a_hand_computed_case(self, coverage, factor):
        fitted = fit_conformal(self.DIFFERENCE, self.UNCERTAINTY, self.P_LEFT, coverage=coverage)
        assert fitted.factor == pytest.approx(factor)
        assert fitted.coverage == coverage

    def test_an_interval_is_the_factor_times_the_uncertainty_to_either_side(self):
        low, high = ConformalInterval(0.9, 2.0).interval(
            np.array([1.0, -3.0]), np.array([0.5, 1.0])
        )
        assert low.tolist() == [0.0, -5.0]
        assert high.tolist() == [2.0, -1.0]

    def test_too_few_answers_honestly_give_everything(self):
        # 9 answers are the first that can promise 90%.
        eight, nine = (
            fit_conformal(np.ones(n), np.ones(n), np.zeros(n), coverage=0.9) for n in (8, 9)
        )
        assert nine.factor == pytest.approx(1.0)
        assert eight.factor == math.inf
        low, high = eight.interval(np.array([3.0]), np.array([0.0]))
        assert (low[0], high[0]) == (-math.inf, math.inf)
        nothing = fit_conformal(NONE, NONE, NONE, coverage=1e-12)
        assert nothing.factor == math.inf
        assert nothing.interval(NONE, NONE)[0].shape == (0,)

    def test_no_rank_is_lost_to_decimal_fractions(self):
        assert 100 * 0.55 > 55
        fitted = fit_conformal(np.arange(1.0, 100.0), np.ones(99), np.zeros(99), coverage=0.55)
        assert fitted.factor == pytest.approx(55.0)

    def test_the_answer_that_set_the_factor_lies_inside_whatever_rounding_does(self):
        for difference, uncertainty in np.random.default_rng(5).uniform(0.1, 9.0, (300, 2, 1)):
            fitted = fit_conformal(difference, uncertainty, np.array([0.5]), coverage=0.5)
            low, high = fitted.interval(difference, uncertainty)
            assert low <= 0 <= high

    def test_a_model_that_is_right_often_enough_needs_no_interval(self):
        difference = np.array([1.0] * 19 + [-1.0])
        fitted = fit_conformal(difference, np.ones(20), np.ones(20), coverage=0.9)
        assert fitted.factor == 0.0
        low, high = fitted.interval(difference, np.ones(20))
        assert (low.tolist(), high.tolist()) == (difference.tolist(), difference.tolist())

    def test_no_uncertainty_and_huge_differences_do_not_break_it(self):
        fitted = fit_conformal(
            np.array([1e300, 0.0]), np.zeros(2), np.array([0.0, 0.0]), coverage=0.6
        )
        assert fitted.factor == math.inf
        sure = fit_conformal(np.zeros(9), np.zeros(9), np.ones(9), coverage=0.5)
        assert sure.factor == 0.0

    @given(
        rows=st.lists(
            st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e3), ANSWER), min_size=1, max_size=30
        ),
        coverage=st.floats(0.05, 0.95),
    )
    def test_at_least_that_share_of_the_answers_it_was_fitted_to_lies_inside(self, rows, coverage):
        difference, uncertainty, p_left = columns(rows)
        difference = np.round(difference, 9)  # Numbers near 1e-308 have few digits left.
        fitted = fit_conformal(difference, uncertainty, p_left, coverage=coverage)
        low, high = fitted.interval(difference, uncertainty)
        assert (low <= high).all()
        assert reaches(low, high, p_left).mean() >= coverage - 1e-9
        mirrored = fit_conformal(-difference, uncertainty, 1 - p_left, coverage=coverage)
        assert mirrored == fitted

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("num_held_out", [19, 60])
    @pytest.mark.parametrize("p_tie", [0.1, 1.0])
    def test_new_answers_of_the_same_kind_lie_inside_as_often_as_promised(
        self, seed, num_held_out, p_tie
    ):
        # A model of little skill with an uncertainty of little use: the promise needs neither.
        rng = np.random.default_rng(seed)
        num_trials, coverage = 1_500, 0.8
        is_inside = np.zeros(num_trials, dtype=bool)
        for trial in range(num_trials):
            num = num_held_out + 1
            true = rng.standard_normal(num)
            difference = 0.3 * true + rng.standard_normal(num)
            uncertainty = rng.gamma(2.0, size=num)
            p_left = np.where(rng.random(num) < p_tie, 0.5, answers_of(sigmoid(true), rng))
            fitted = fit_conformal(difference[1:], uncertainty[1:], p_left[1:], coverage=coverage)
            low, high = fitted.interval(difference[:1], uncertainty[:1])
            is_inside[trial] = reaches(low, high, p_left[:1])[0]
        four_errors = 4 * math.sqrt(coverage * (1 - coverage) / num_trials)
        assert is_inside.mean() >= coverage - four_errors
        if p_tie == 1.0:  # No two nonconformities are equal: hardly more than promised.
            exact = math.ceil((num_held_out + 1) * coverage - 1e-9) / (num_held_out + 1)
            assert is_inside.mean() <= exact + four_errors

    def test_what_does_not_fit_is_refused_in_one_line(self):
        with pytest.raises(DataError, match="difference holds nan; expected finite numbers"):
            fit_conformal(GOOD * math.nan, GOOD, GOOD, coverage=0.9)
        with pytest.raises(DataError, match=r"uncertainty holds -0.5; expected .* in \[0, inf\]"):
            ConformalInterval(0.9, 1.0).interval(GOOD, -GOOD)

    @pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, math.nan])
    def test_a_coverage_that_cannot_be_promised_is_refused(self, coverage):
        with pytest.raises(DataError, match=r"coverage is .*; expected a number between 0 and 1"):
            fit_conformal(NONE, NONE, NONE, coverage=coverage)
        with pytest.raises(DataError, match="coverage is"):
            ConformalInterval(coverage, 1.0)

    @pytest.mark.parametrize("factor", [-1.0, math.nan])
    def test_a_factor_below_zero_is_refused(self, factor):
        with pytest.raises(DataError, match=r"factor is .*; expected 0 or more"):
            ConformalInterval(0.9, factor)


def reaches(low, high, p_left):
    """(B,) whether each interval holds a difference on the answered side, or its border."""
    return np.where(
        p_left == 0.5, (low <= 0) & (high >= 0), np.where(p_left > 0.5, high, -low) >= 0
    )
