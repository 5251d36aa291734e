import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import DataError
from prefrl.rewards.calibration import probabilities as calibration
from prefrl.rewards.calibration.probabilities import (
    ReliabilityBins,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    preference_probability,
    reliability_bins,
    report,
    sparsification_error,
)

LN_3 = math.log(3.0)  # sigmoid(ln 3) = 3/4
NONE = np.zeros(0)

# Few different values, so that ties are common; any value, so that they are not.
SHARE = st.one_of(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 1.0]), st.floats(0, 1))
ANSWER = st.sampled_from([0.0, 0.5, 1.0])
LOGIT = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-30, 30))
SIZE = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(0, 1e3))
PREDICTIONS = st.lists(st.tuples(SHARE, ANSWER), min_size=1, max_size=40)
ITEMS = st.lists(st.tuples(SIZE, SIZE), min_size=1, max_size=40)
ROWS = st.lists(st.tuples(LOGIT, LOGIT, ANSWER), min_size=1, max_size=15)


def columns(rows):
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def two_heads(rows):
    """(B, 2) logits and (B,) answers."""
    first, second, p_left = columns(rows)
    return np.stack([first, second], axis=1), p_left


def answers_of(p, rng):
    """Decisive answers of a teacher who says "left" with probability p."""
    return (rng.random(len(p)) < p).astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class TestPreferenceProbability:
    def test_it_is_the_mean_of_the_heads_probabilities_at_that_temperature(self):
        logits = np.array([[2 * LN_3, 0.0], [-2 * LN_3, -2 * LN_3]])
        p = preference_probability(logits, temperature=2.0)
        assert p == pytest.approx([(0.75 + 0.5) / 2, 0.25])

    def test_a_slip_is_a_uniformly_random_answer(self):
        p = preference_probability(np.array([[LN_3]]), temperature=1.0, error_rate=0.1)
        assert p == pytest.approx([0.05 + 0.9 * 0.75])
        nothing_meant = preference_probability(np.array([[9.0]]), temperature=1.0, error_rate=1.0)
        assert nothing_meant == pytest.approx([0.5])

    def test_huge_logits_and_tiny_temperatures_stay_probabilities(self):
        logits = np.array([[1e100, 1e100], [-1e100, -1e100], [0.0, 0.0], [1e100, -1e100]])
        p = preference_probability(logits, temperature=1e-100)
        assert p.tolist() == [1.0, 0.0, 0.5, 0.5]

    def test_small_probabilities_keep_their_precision(self):
        p = preference_probability(np.array([[-100.0]]), temperature=1.0)
        assert p[0] == pytest.approx(math.exp(-100), rel=1e-12)

    def test_single_precision_is_taken_and_none_is_answered_with_none(self):
        p = preference_probability(np.full((3, 2), 0.5, dtype=np.float32), temperature=1.0)
        assert p.dtype == np.float64
        assert p.shape == (3,)
        assert preference_probability(np.zeros((0, 2)), temperature=1.0).shape == (0,)

    @given(rows=ROWS, temperature=st.floats(0.05, 20), error_rate=st.floats(0, 1))
    def test_swapping_left_and_right_swaps_the_answer(self, rows, temperature, error_rate):
        logits, _ = two_heads(rows)
        p = preference_probability(logits, temperature=temperature, error_rate=error_rate)
        swapped = preference_probability(-logits, temperature=temperature, error_rate=error_rate)
        assert ((error_rate / 2 <= p + 1e-12) & (p <= 1 - error_rate / 2 + 1e-12)).all()
        assert swapped == pytest.approx(1 - p)


class TestFitTemperature:
    @pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0])
    @pytest.mark.parametrize("error_rate", [0.0, 0.2])
    def test_it_finds_the_temperature_the_answers_were_given_at(self, temperature, error_rate):
        rng = np.random.default_rng(0)
        logits = 3 * temperature * rng.standard_normal((6_000, 3))
        p = preference_probability(logits, temperature=temperature, error_rate=error_rate)
        fitted = fit_temperature(logits, answers_of(p, rng), error_rate=error_rate)
        assert fitted == pytest.approx(temperature, rel=0.1)

    def test_one_head_matches_the_equation_its_minimum_solves(self):
        # 3 of 4 answers to logit 1 say left. With x = log T, d/dx of the cost is
        # -(4 sigmoid(1/T) - 3) / T + x = 0.
        logits, p_left = np.ones((4, 1)), np.array([1.0, 1.0, 1.0, 0.0])
        fitted = fit_temperature(logits, p_left)
        slope = -(4 * sigmoid(1 / fitted) - 3) / fitted + math.log(fitted)
        assert slope == pytest.approx(0.0, abs=1e-6)
        almost_no_prior = fit_temperature(logits, p_left, prior_strength=1e-9)
        assert almost_no_prior == pytest.approx(1 / LN_3, rel=1e-6)  # sigmoid(1/T) = 3/4

    def test_without_answers_it_is_one(self):
        assert fit_temperature(np.zeros((0, 3)), NONE) == 1.0

    @pytest.mark.parametrize("num", [1, 5])
    def test_heads_that_cannot_tell_leave_it_at_one(self, num):
        assert fit_temperature(np.zeros((num, 2)), np.ones(num)) == pytest.approx(1.0, abs=1e-5)

    def test_answers_that_mean_nothing_leave_it_at_one(self):
        logits = np.full((9, 2), 5.0)
        assert fit_temperature(logits, np.ones(9), error_rate=1.0) == pytest.approx(1.0, abs=1e-5)

    def test_ties_ask_for_more_and_right_answers_for_less_within_bounds(self):
        logits = np.full((3, 2), 2.0)
        assert 1.2 < fit_temperature(logits, np.full(3, 0.5)) < 5.0
        assert 0.4 < fit_temperature(logits, np.ones(3)) < 1.0
        many, no_prior = np.full((5_000, 2), 0.3), 1e-9
        assert fit_temperature(many, np.ones(5_000), prior_strength=no_prior) < 0.0501
        assert fit_temperature(many, np.zeros(5_000), prior_strength=no_prior) > 19.9
        assert fit_temperature(many * 1e99, np.full(5_000, 0.5)) == pytest.approx(20.0)

    @pytest.mark.parametrize("prior", [0.5, 4.0])
    def test_without_answers_the_prior_decides_and_a_firm_one_holds_against_a_few(self, prior):
        nothing = np.empty((0, 2))
        assert fit_temperature(nothing, np.empty(0), prior=prior) == prior
        logits, p_left = np.full((4, 1), 1.0), np.array([1.0, 1.0, 1.0, 0.0])
        firm = fit_temperature(logits, p_left, prior=prior, prior_strength=1e6)
        assert firm == pytest.approx(prior, rel=1e-3)

    def test_the_prior_fades_as_answers_come_in(self):
        logits, p_left = np.ones((4, 1)), np.array([1.0, 1.0, 1.0, 0.0])
        fitted = [
            fit_temperature(np.tile(logits, (copies, 1)), np.tile(p_left, copies))
            for copies in (1, 10, 1_000)
        ]
        assert abs(math.log(fitted[2] * LN_3)) < abs(math.log(fitted[1] * LN_3)) < 0.05
        assert fitted[2] == pytest.approx(1 / LN_3, rel=1e-2)

    @given(rows=ROWS)
    def test_no_temperature_in_range_costs_less(self, rows):
        logits, p_left = two_heads(rows)
        fitted = fit_temperature(logits, p_left)
        assert 0.05 * (1 - 1e-9) <= fitted <= 20 * (1 + 1e-9)

        def cost(temperature):
            p = preference_probability(logits, temperature=temperature)
            q = preference_probability(-logits, temperature=temperature)
            p, q = np.maximum(p, 1e-300), np.maximum(q, 1e-300)
            nll = -(p_left * np.log(p) + (1 - p_left) * np.log(q)).sum()
            return nll + math.log(temperature) ** 2 / 2

        least = min(cost(temperature) for temperature in np.geomspace(0.05, 20, 150))
        assert cost(fitted) <= least + 0.01 * (1 + least)

    @given(rows=ROWS)
    def test_swapping_left_and_right_changes_nothing(self, rows):
        logits, p_left = two_heads(rows)
        assert fit_temperature(-logits, 1 - p_left) == pytest.approx(
            fit_temperature(logits, p_left), rel=1e-5
        )


class TestNegativeLogLikelihoodAndBrierScore:
    def test_a_hand_computed_case(self):
        p, p_left = np.array([0.75, 0.75, 0.75]), np.array([1.0, 0.0, 0.5])
        losses = [math.log(4 / 3), math.log(4), (math.log(4 / 3) + math.log(4)) / 2]
        assert negative_log_likelihood(p, p_left) == pytest.approx(sum(losses) / 3)
        squares = [0.25**2, 0.75**2, 0.25**2]
        assert brier_score(p, p_left) == pytest.approx(sum(squares) / 3)

    def test_certainty_costs_nothing_when_right_and_a_finite_most_when_wrong(self):
        p = np.array([0.0, 1.0])
        assert negative_log_likelihood(p, p) == pytest.approx(0.0, abs=1e-15)
        assert negative_log_likelihood(p, 1 - p) == pytest.approx(36.04, abs=0.01)
        assert brier_score(p, p) == 0.0
        assert brier_score(p, 1 - p) == 1.0

    def test_without_answers_there_are_none(self):
        assert math.isnan(negative_log_likelihood(NONE, NONE))
        assert math.isnan(brier_score(NONE, NONE))

    @given(rows=PREDICTIONS)
    def test_they_stay_in_range_and_swapping_left_and_right_changes_nothing(self, rows):
        p, p_left = columns(rows)
        p = np.round(p, 9)  # 1 - p of a smaller p has few digits left.
        for score, most in ((negative_log_likelihood, 36.05), (brier_score, 1.0)):
            value = score(p, p_left)
            assert 0 <= value <= most
            assert score(1 - p, 1 - p_left) == pytest.approx(value, rel=1e-6, abs=1e-9)


class TestReliabilityBins:
    def test_bins_hold_equally_many_answers_from_the_lowest_prediction_up(self):
        p = np.array([0.9, 0.1, 0.4, 0.2, 0.8, 0.5])
        p_left = np.array([1.0, 0.0, 1.0, 0.5, 1.0, 0.0])
        bins = reliability_bins(p, p_left, num_bins=3)
        assert bins.mean_predicted == pytest.approx([0.15, 0.45, 0.85])
        assert bins.mean_observed == pytest.approx([0.25, 0.5, 1.0])
        assert bins.counts.tolist() == [2, 2, 2]

    def test_equal_predictions_are_never_torn_apart(self):
        p = np.array([0.5] * 8 + [0.1, 0.9])
        bins = reliability_bins(p, (p > 0.3).astype(float), num_bins=5)
        assert bins.mean_predicted == pytest.approx([0.1, 0.5, 0.9])
        assert bins.counts.tolist() == [1, 8, 1]

    def test_fewer_answers_than_bins_are_a_bin_each(self):
        bins = reliability_bins(np.array([0.7, 0.2]), np.array([1.0, 0.0]))
        assert bins.mean_predicted.tolist() == [0.2, 0.7]
        assert bins.counts.tolist() == [1, 1]

    def test_without_answers_there_are_no_bins(self):
        bins = reliability_bins(NONE, NONE)
        assert (len(bins.mean_predicted), len(bins.mean_observed), len(bins.counts)) == (0, 0, 0)

    def test_one_bin_is_the_mean_of_all(self):
        bins = reliability_bins(np.array([0.0, 0.5, 1.0]), np.array([1.0, 1.0, 0.5]), num_bins=1)
        assert bins.mean_predicted.tolist() == [0.5]
        assert bins.mean_observed == pytest.approx([2.5 / 3])

    @given(rows=PREDICTIONS, num_bins=st.integers(1, 20))
    def test_every_answer_is_in_one_bin_and_none_is_empty(self, rows, num_bins):
        p, p_left = columns(rows)
        bins = reliability_bins(p, p_left, num_bins)
        assert bins.counts.sum() == len(p)
        assert 1 <= len(bins.counts) <= num_bins
        assert (bins.counts >= 1).all()
        assert (np.diff(bins.mean_predicted) >= -1e-12).all()
        assert (bins.counts * bins.mean_predicted).sum() == pytest.approx(p.sum())
        assert (bins.counts * bins.mean_observed).sum() == pytest.approx(p_left.sum())

    @given(rows=PREDICTIONS, num_bins=st.integers(1, 20), seed=st.integers(0, 99))
    def test_the_order_of_the_answers_does_not_matter(self, rows, num_bins, seed):
        p, p_left = columns(rows)
        order = np.random.default_rng(seed).permutation(len(p))
        bins, shuffled = (reliability_bins(p[i], p_left[i], num_bins) for i in (slice(None), order))
        assert bins.counts.tolist() == shuffled.counts.tolist()
        assert bins.mean_observed == pytest.approx(shuffled.mean_observed)

    @given(num=st.integers(1, 200), num_bins=st.integers(1, 20))
    def test_different_predictions_fill_the_bins_evenly(self, num, num_bins):
        bins = reliability_bins(np.linspace(0, 1, num), np.zeros(num), num_bins)
        assert len(bins.counts) == min(num, num_bins)
        assert bins.counts.max() - bins.counts.min() <= 1

    def test_bins_that_do_not_belong_together_are_refused(self):
        one, two = np.array([0.5]), np.array([0.5, 0.6])
        with pytest.raises(DataError, match=r"mean_observed has shape \(2,\); expected \(1,\)"):
            ReliabilityBins(one, two, np.array([3]))
        with pytest.raises(DataError, match="counts holds 0"):
            ReliabilityBins(one, one, np.array([0]))


class TestExpectedCalibrationError:
    def test_a_hand_computed_case(self):
        # Surest side: 0.9 right, 0.8 (right says 0.2) right, 0.6 wrong, 0.7 (0.3) a tie.
        p = np.array([0.9, 0.2, 0.6, 0.3])
        p_left = np.array([1.0, 0.0, 0.0, 0.5])
        # Two bins: confidence (0.6 + 0.7) / 2 against (0 + 0.5) / 2; 0.85 against 1.
        assert expected_calibration_error(p, p_left, 2) == pytest.approx((0.40 + 0.15) / 2)
        assert expected_calibration_error(p, p_left, 1) == pytest.approx(0.75 - 0.625)

    def test_bins_weigh_as_many_answers_as_they_hold(self):
        p = np.array([0.5, 1.0, 1.0, 1.0])
        p_left = np.array([1.0, 1.0, 1.0, 0.0])
        assert expected_calibration_error(p, p_left) == pytest.approx(3 / 4 * 1 / 3)

    def test_mirror_images_share_a_bin_whatever_rounding_does(self):
        rng = np.random.default_rng(2)
        logits = np.repeat(rng.standard_normal(30), 4)[:, None]
        p_left = answers_of(np.full(120, 0.7), rng)
        swap = rng.random(120) < 0.5
        p, mirrored = (preference_probability(x, temperature=1.0) for x in (logits, -logits))
        assert (1 - p != mirrored).any()
        ece = expected_calibration_error(p, p_left, 60)
        swapped = expected_calibration_error(
            np.where(swap, mirrored, p), np.where(swap, 1 - p_left, p_left), 60
        )
        assert swapped == pytest.approx(ece, abs=1e-12)

    @pytest.mark.parametrize("answer", [0.0, 0.5, 1.0])
    def test_no_preference_is_calibrated_whatever_the_answers(self, answer):
        assert expected_calibration_error(np.full(9, 0.5), np.full(9, answer)) == 0.0

    def test_its_extremes_are_always_right_and_always_wrong_for_sure(self):
        p = np.array([0.0, 1.0, 1.0])
        assert expected_calibration_error(p, p) == 0.0
        assert expected_calibration_error(p, 1 - p) == 1.0
        assert math.isnan(expected_calibration_error(NONE, NONE))

    def test_it_is_small_for_calibrated_predictions_and_sees_too_much_confidence(self):
        rng = np.random.default_rng(1)
        p = rng.uniform(size=20_000)
        answers = answers_of(p, rng)
        assert expected_calibration_error(p, answers) < 0.02
        too_sure = sigmoid(3 * np.log(p / (1 - p)))
        assert expected_calibration_error(too_sure, answers) > 0.1

    @given(rows=PREDICTIONS, num_bins=st.integers(1, 20), swap_all=st.booleans(), data=st.data())
    def test_which_segment_is_on_the_left_does_not_matter(self, rows, num_bins, swap_all, data):
        p, p_left = columns(rows)
        choice = st.lists(st.booleans(), min_size=len(p), max_size=len(p))
        swap = np.full(len(p), True) if swap_all else np.array(data.draw(choice))
        ece = expected_calibration_error(p, p_left, num_bins)
        swapped = expected_calibration_error(
            np.where(swap, 1 - p, p), np.where(swap, 1 - p_left, p_left), num_bins
        )
        assert swapped == pytest.approx(ece, abs=1e-9)
        assert 0 <= ece <= 1

    @given(rows=PREDICTIONS, num_bins=st.integers(1, 10))
    def test_it_is_what_binning_both_orientations_into_twice_the_bins_gives(self, rows, num_bins):
        p, p_left = columns(rows)
        p = np.round(p, 3)
        p = np.where(p == 0.5, 0.6, p)  # Both orientations of 0.5 would share a bin.
        both = reliability_bins(
            np.round(np.concatenate([p, 1 - p]), 3),
            np.concatenate([p_left, 1 - p_left]),
            2 * num_bins,
        )
        gap = np.abs(both.mean_predicted - both.mean_observed)
        # A boundary between two bins belongs to the upper one, so the mirror image may fall
        # elsewhere; the upper half is what counts.
        upper = both.mean_predicted > 0.5
        assert both.counts[upper].sum() == len(p)
        assert expected_calibration_error(p, p_left, num_bins) == pytest.approx(
            (both.counts * gap)[upper].sum() / len(p)
        )


class TestSparsificationError:
    def test_a_hand_computed_case(self):
        # Kept, most certain first: 3, 3 + 2, 3 + 2 + 1 against 1, 1 + 2, 1 + 2 + 3; the means
        # differ by 2, 1 and 0, in units of the mean error 2.
        error = np.array([1.0, 2.0, 3.0])
        assert sparsification_error(error, error[::-1]) == pytest.approx((2 + 1 + 0) / 3 / 2)

    def test_it_is_zero_for_a_perfect_ranking_on_any_scale(self):
        error = np.array([0.3, 0.0, 2.0, 0.3])
        assert sparsification_error(error, np.exp(error) - 5) == pytest.approx(0.0, abs=1e-15)

    def test_equal_uncertainty_is_the_mean_over_every_order(self):
        error = np.array([4.0, 1.0, 2.0])
        by_order = [
            sparsification_error(np.array(order), np.arange(3.0))
            for order in itertools.permutations(error)
        ]
        assert sparsification_error(error, np.ones(3)) == pytest.approx(np.mean(by_order))

    def test_it_is_finite_where_nothing_differs(self):
        assert sparsification_error(np.ones(4), np.ones(4)) == 0.0
        assert sparsification_error(np.zeros(4), np.arange(4.0)) == 0.0
        assert sparsification_error(np.array([2.0]), np.array([0.0])) == 0.0
        assert math.isnan(sparsification_error(NONE, NONE))

    def test_errors_of_any_size_do_not_overflow(self):
        order = np.array([2.0, 1.0, 0.0])
        for scale in (1e-320, 1.0, 5e307):
            error = scale * np.array([1.0, 2.0, 3.0])
            assert sparsification_error(error, order) == pytest.approx(0.5, rel=1e-2)

    @given(rows=ITEMS, seed=st.integers(0, 99))
    def test_the_order_of_the_items_does_not_matter_and_nothing_beats_the_oracle(self, rows, seed):
        error, uncertainty = columns(rows)
        order = np.random.default_rng(seed).permutation(len(error))
        value = sparsification_error(error, uncertainty)
        assert value >= 0
        shuffled = sparsification_error(error[order], uncertainty[order])
        assert shuffled == pytest.approx(value, abs=1e-9)
        assert sparsification_error(error, error) == pytest.approx(0.0, abs=1e-9)


class TestReport:
    def test_a_hand_computed_case(self):
        # p = 3/4 (right), 1/4 (wrong), 1/2 (counts half) and 5/8 (a tie).
        logits = np.array([[LN_3, LN_3], [-LN_3, -LN_3], [LN_3, -LN_3], [LN_3, 0.0]])
        p_left = np.array([1.0, 1.0, 1.0, 0.5])
        metrics = report(2 * logits, p_left, temperature=2.0)
        assert metrics.num_answers == 4
        assert metrics.temperature == 2.0
        assert metrics.accuracy == pytest.approx(1.5 / 3)
        losses = [math.log(4 / 3), math.log(4), math.log(2), -math.log(5 / 8 * 3 / 8) / 2]
        assert metrics.nll == pytest.approx(sum(losses) / 4)
        assert metrics.brier == pytest.approx((1 / 16 + 9 / 16 + 1 / 4 + 1 / 64) / 4)
        # Confidences 1/2, 5/8 and twice 3/4, right by 1/2, 1/2 and (1 + 0) / 2.
        assert metrics.ece == pytest.approx((0 + 1 / 8 + 2 * 1 / 4) / 4)
        # Spreads 0, 0, 1/4, 1/16: errors 1/2, 1/2 (their mean), 1/8, 1/2 against the sorted.
        kept = [1 / 2, 1 / 2, (1 + 1 / 8) / 3]
        oracle = [1 / 8, (1 / 8 + 1 / 4) / 2, (1 / 8 + 1 / 4 + 1 / 2) / 3]
        mean_error = (1 / 4 + 3 / 4 + 1 / 2 + 1 / 8) / 4
        assert metrics.ause == pytest.approx((sum(kept) - sum(oracle)) / 4 / mean_error)

    def test_an_error_rate_softens_what_is_expected_of_the_answers_themselves(self):
        rng = np.random.default_rng(3)
        logits = 4 * rng.standard_normal((5_000, 1))
        p = preference_probability(logits, temperature=1.0, error_rate=0.3)
        answers = answers_of(p, rng)
        clean = report(logits, answers, temperature=1.0)
        with_slips = report(logits, answers, temperature=1.0, error_rate=0.3)
        assert with_slips.accuracy == clean.accuracy
        assert with_slips.ece < 0.04 < 0.1 < clean.ece
        assert with_slips.nll < clean.nll

    def test_wrong_answers_cost_what_they_surprise_however_much_and_on_either_side(self):
        for sign in (-1.0, 1.0):
            logits, p_left = sign * np.array([[800.0, 800.0]]), np.array([float(sign < 0)])
            assert report(logits, p_left, temperature=2.0).nll == pytest.approx(400.0)
        worst = report(np.array([[1e100]]), np.array([0.0]), temperature=1e-100, error_rate=0.1)
        assert worst.nll == pytest.approx(-math.log(0.05))

    def test_without_answers_every_figure_is_unknown(self):
        metrics = report(np.zeros((0, 3)), NONE, temperature=1.5)
        assert (metrics.num_answers, metrics.temperature) == (0, 1.5)
        unknown = (metrics.accuracy, metrics.nll, metrics.brier, metrics.ece, metrics.ause)
        assert all(math.isnan(figure) for figure in unknown)

    def test_only_ties_leave_the_accuracy_unknown(self):
        metrics = report(np.ones((3, 2)), np.full(3, 0.5), temperature=1.0)
        assert math.isnan(metrics.accuracy)
        assert metrics.brier == pytest.approx((sigmoid(1.0) - 0.5) ** 2)

    def test_heads_that_agree_have_one_spread_whatever_rounding_makes_of_it(self):
        rng = np.random.default_rng(4)
        logits = np.repeat(rng.standard_normal((50, 1)), 3, axis=1)
        p_left = answers_of(np.full(50, 0.5), rng)
        error = np.abs(preference_probability(logits, temperature=1.0) - p_left)
        expected = sparsification_error(error, np.zeros(50))
        assert report(logits, p_left, temperature=1.0).ause == pytest.approx(expected)

    def test_arrays_that_cannot_be_written_to_or_run_backwards_are_taken(self):
        p_left = np.array([0.0, 1.0])
        p_left.flags.writeable = False
        assert report(np.array([[1.0], [-1.0]]), p_left[::-1], temperature=1.0).accuracy == 1.0

    @given(rows=ROWS)
    def test_swapping_left_and_right_changes_nothing(self, rows):
        logits, p_left = two_heads(rows)
        metrics = vars(report(logits, p_left, temperature=0.7))
        swapped = vars(report(-logits, 1 - p_left, temperature=0.7))
        assert swapped == pytest.approx(metrics, nan_ok=True, abs=1e-7)


GOOD, LOGITS = np.array([0.5, 1.0]), np.ones((2, 3))
REFUSED = {
    "a head's logits alone": (
        lambda: preference_probability(GOOD, temperature=1.0),
        r"logits have shape \(2,\); expected \(answers, heads\)",
    ),
    "no heads": (
        lambda: fit_temperature(np.zeros((2, 0)), GOOD),
        r"logits have shape \(2, 0\); expected \(answers, heads\)",
    ),
    "a logit that is not known": (
        lambda: report(LOGITS * math.nan, GOOD, temperature=1.0),
        "logits hold NaN or a size above",
    ),
    "an infinite logit": (
        lambda: fit_temperature(LOGITS * math.inf, GOOD),
        "logits hold NaN or a size above",
    ),
    "no temperature": (
        lambda: preference_probability(LOGITS, temperature=0.0),
        "temperature is 0.0; expected a number from 1e-100 up",
    ),
    "an error rate above 1": (
        lambda: fit_temperature(LOGITS, GOOD, error_rate=1.1),
        r"error_rate is 1.1; expected a number in \[0, 1\]",
    ),
    "an error rate below 0": (
        lambda: report(LOGITS, GOOD, temperature=1.0, error_rate=-0.1),
        r"error_rate is -0.1; expected a number in \[0, 1\]",
    ),
    "a prior out of range": (
        lambda: fit_temperature(LOGITS, GOOD, prior=21.0),
        "prior is 21.0; expected a temperature",
    ),
    "no prior": (
        lambda: fit_temperature(LOGITS, GOOD, prior_strength=0.0),
        "prior_strength is 0.0; expected a number above 0",
    ),
    "a skipped query": (
        lambda: fit_temperature(LOGITS, np.array([1.0, math.nan])),
        r"p_left holds nan; expected finite numbers in \[0, 1\]",
    ),
    "an answer above 1": (
        lambda: brier_score(GOOD, 2 * GOOD),
        r"p_left holds 2.0; expected finite numbers in \[0, 1\]",
    ),
    "a probability below 0": (
        lambda: negative_log_likelihood(-GOOD, GOOD),
        r"p holds -0.5; expected finite numbers in \[0, 1\]",
    ),
    "too few answers": (
        lambda: report(LOGITS, GOOD[:1], temperature=1.0),
        r"p_left has shape \(1,\); expected \(2,\)",
    ),
    "a table of probabilities": (
        lambda: expected_calibration_error(LOGITS, GOOD),
        r"p has shape \(2, 3\); expected one dimension",
    ),
    "no bins": (
        lambda: reliability_bins(GOOD, GOOD, 0),
        "num_bins is 0; expected 1 or more",
    ),
    "an error below 0": (
        lambda: sparsification_error(-GOOD, GOOD),
        r"error holds -0.5; expected finite numbers in \[0, inf\]",
    ),
    "an uncertainty too many": (
        lambda: sparsification_error(GOOD, np.ones(3)),
        r"uncertainty has shape \(3,\); expected \(2,\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises(DataError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_the_grid_of_temperatures_has_one_in_its_middle():
    assert np.exp(calibration._GRID[[0, 30, 60]]) == pytest.approx([0.05, 1.0, 20.0])
