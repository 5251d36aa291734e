import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from prefrl.benchmark.report.statistics import (
    Estimate,
    area_under_curve,
    bootstrap,
    budget_to_reach,
    holm,
    iqm,
    mean,
    pairs_needed,
    performance_profile,
    probability_of_improvement,
    relative_to,
    signed_rank_p,
)
from prefrl.types import Float64Array

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.floats(-1_000, 1_000, width=16))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rliable() -> tuple[Any, Any]:
    """Its two modules, or a skip that says why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from rliable import library, metrics
    except (ImportError, TypeError) as error:  # arch 7 raises a TypeError beside pandas 3
        pytest.skip(f"rliable cannot be imported here: {error}")
    return library, metrics


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert iqm(np.array([100.0, 0, 1, 2, 3, 4, 5, -100])) == pytest.approx((1 + 2 + 3 + 4) / 4)


def test_of_three_scores_none_is_left_out() -> None:
    assert iqm(np.array([0.0, 1, 5])) == pytest.approx(2)


def test_gaps_are_left_out_of_means() -> None:
    table = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(iqm(table), [2, np.nan])
    np.testing.assert_array_equal(mean(table), [2, np.nan])


@given(SCORES, st.randoms(use_true_random=False))
def test_the_interquartile_mean_lies_among_the_scores_whatever_their_order(
    scores: Float64Array, shuffler: Any
) -> None:
    shuffled = list(scores)
    shuffler.shuffle(shuffled)
    assert scores.min() - 1e-9 <= iqm(scores) <= scores.max() + 1e-9
    assert iqm(np.array(shuffled)) == pytest.approx(float(iqm(scores)))
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25))


def test_seeds_are_resampled_within_their_stratum_only() -> None:
    strata = [np.zeros(4), np.ones(4)]
    estimate = bootstrap(strata, mean, rng=rng())
    assert estimate.value == estimate.low == estimate.high == 0.5


def test_an_interval_of_a_mean_is_about_as_wide_as_theory_says() -> None:
    scores = np.random.default_rng(1).normal(size=400)
    estimate = bootstrap([scores], mean, rng=rng(), num_resamples=10_000)
    half = 1.96 * scores.std() / 20
    assert estimate.low == pytest.approx(scores.mean() - half, abs=0.01)
    assert estimate.high == pytest.approx(scores.mean() + half, abs=0.01)


def test_one_seed_gives_a_figure_but_no_interval() -> None:
    estimate = bootstrap([np.array([0.3]), np.array([0.5])], rng=rng())
    assert estimate.value == pytest.approx(0.4)
    assert np.isnan([estimate.low, estimate.high]).all()


def test_points_that_one_seed_alone_has_reached_have_no_interval() -> None:
    curves = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, np.nan], [4.0, np.nan, np.nan]])
    estimate = bootstrap([curves], rng=rng())
    assert np.isfinite(estimate.value).all()
    np.testing.assert_array_equal(np.isfinite(estimate.low), [True, True, False])


def test_nothing_known_gives_nan() -> None:
    assert np.isnan(bootstrap([], rng=rng()).value)
    assert np.isnan(bootstrap([np.full((3, 1), np.nan)], rng=rng()).value)
    assert np.isnan(probability_of_improvement([], rng=rng()).value)


def test_the_same_stream_gives_the_same_interval() -> None:
    strata = [np.arange(5.0), np.arange(3.0) ** 2]
    one, other = (bootstrap(strata, rng=rng()) for _ in range(2))
    assert (one.low, one.high) == (other.low, other.high)


def test_ties_count_half_in_the_probability_of_improvement() -> None:
    pairs = [(np.array([1.0, 3.0]), np.array([2.0, 3.0]))]
    estimate = probability_of_improvement(pairs, rng=rng())
    assert estimate.value == pytest.approx((0 + 0 + 1 + 0.5) / 4)


def test_the_probability_of_improvement_is_averaged_over_strata_of_any_size() -> None:
    pairs = [(np.ones(2), np.zeros(9)), (np.zeros(5), np.ones(1))]
    estimate = probability_of_improvement(pairs, rng=rng())
    assert estimate.value == estimate.low == estimate.high == 0.5


@given(SCORES, SCORES)
def test_what_one_strategy_wins_the_other_loses(left: Float64Array, right: Float64Array) -> None:
    forth = probability_of_improvement([(left, right)], rng=rng(), num_resamples=10).value
    back = probability_of_improvement([(right, left)], rng=rng(), num_resamples=10).value
    assert forth + back == pytest.approx(1)


def test_a_profile_is_the_share_of_runs_above_each_threshold() -> None:
    profile = performance_profile([np.array([1.0, 2, 3])], np.array([0, 1, 2.5, 3]), rng=rng())
    np.testing.assert_allclose(profile.value, [1, 2 / 3, 1 / 3, 0])


@given(SCORES)
def test_a_profile_never_rises(scores: Float64Array) -> None:
    profile = performance_profile([scores], np.linspace(-1_000, 1_000, 21), rng=rng())
    for line in (profile.value, profile.low, profile.high):
        assert not (np.diff(line) > 1e-12).any()


def test_the_formulas_are_those_of_rliable() -> None:
    library, metrics = rliable()
    draws = np.random.default_rng(3)
    x, y = draws.normal(size=(6, 4)).round(1), draws.normal(0.3, size=(5, 4)).round(1)
    thresholds = np.linspace(-2, 2, 9)
    strata = list(x.T)
    pairs = list(zip(x.T, y.T, strict=True))
    assert iqm(x.ravel()) == pytest.approx(metrics.aggregate_iqm(x))
    improvement = probability_of_improvement(pairs, rng=rng())
    assert improvement.value == pytest.approx(metrics.probability_of_improvement(x, y))
    profile = performance_profile(strata, thresholds, rng=rng())
    np.testing.assert_allclose(profile.value, library.score_distributions(x, thresholds))
    for scores, statistic, ours in (
        (x, lambda s: np.array([metrics.aggregate_iqm(s)]), bootstrap(strata, rng=rng())),
        ((x, y), metrics.probability_of_improvement, improvement),
    ):
        _, intervals = library.get_interval_estimates({"x": scores}, statistic, reps=2_000)
        low, high = intervals["x"].ravel()
        assert ours.low == pytest.approx(low, abs=0.15 * (high - low))
        assert ours.high == pytest.approx(high, abs=0.15 * (high - low))


def test_six_pairs_that_agree_are_the_fewest_below_five_in_a_hundred() -> None:
    assert signed_rank_p(np.arange(1.0, 7.0)) == pytest.approx(2 / 64)
    assert signed_rank_p(np.arange(1.0, 6.0)) == pytest.approx(2 / 32)
    assert [pairs_needed(n) for n in (0, 1, 3, 19)] == [6, 6, 7, 10]


def test_a_sign_against_the_others_counts_by_its_rank() -> None:
    # Ranks 1 and 3 are positive: sum 4, and of the 8 sums of {1, 2, 3} three are at least 4.
    assert signed_rank_p(np.array([1.0, -2.0, 3.0])) == pytest.approx(2 * 3 / 8)


def test_zeros_and_ties_are_exact_too() -> None:
    # Equal sizes share a rank: what is left are five tosses of a coin that fell one way.
    assert signed_rank_p(np.array([0.0, 2, 2, 2, 2, 2, 0])) == pytest.approx(2 / 32)
    assert signed_rank_p(np.zeros(8)) == 1


@given(st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=40, unique_by=abs))
def test_without_ties_the_signed_rank_test_is_scipys(differences: list[int]) -> None:
    values = np.array([d for d in differences if d], dtype=np.float64)
    p = signed_rank_p(values)
    assert p == pytest.approx(signed_rank_p(-values))
    if len(values):
        assert p == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_many_pairs_are_approximated_well() -> None:
    differences = np.random.default_rng(2).normal(0.15, size=201)
    assert signed_rank_p(differences) == pytest.approx(signed_rank_p(differences[:200]), rel=0.5)


def test_chance_passes_for_a_difference_as_seldom_as_it_should() -> None:
    differences = np.random.default_rng(5).standard_normal((1_000, 8))
    share = np.mean([signed_rank_p(pairs) < 0.05 for pairs in differences])
    assert 0.02 < share < 0.06  # with 8 pairs 10 of 256 patterns of signs lie below 0.05


def test_holm_multiplies_by_the_tests_left_and_never_goes_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for p, after in zip(p_values, corrected, strict=True):
        assert p <= after <= min(1.0, len(p_values) * p) or after == max(corrected)
        assert after <= 1
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_an_area_is_the_mean_height_of_the_curve() -> None:
    x, y = np.array([0.0, 1, 3]), np.array([0.0, 2, 2])
    assert area_under_curve(x, y, 0, 3) == pytest.approx((1 + 4) / 3)
    assert area_under_curve(x, y, 0.5, 2) == pytest.approx((0.75 + 2) / 1.5)


@pytest.mark.parametrize(("low", "high"), [(0, 4), (-1, 3), (1, 1)])
def test_a_curve_that_does_not_reach_has_no_area(low: float, high: float) -> None:
    assert np.isnan(area_under_curve(np.array([0.0, 1, 3]), np.ones(3), low, high))
    assert np.isnan(area_under_curve(np.zeros(0), np.zeros(0), low, high))


def test_the_budget_that_reaches_a_height_lies_on_a_straight_line() -> None:
    budgets, means = np.array([100.0, 200, 400]), np.array([0.6, 0.7, 0.8])
    assert budget_to_reach(budgets, means, 0.75) == pytest.approx(300)
    assert budget_to_reach(budgets, means, 0.7) == pytest.approx(200)
    assert budget_to_reach(budgets, means, 0.5) == 100
    assert budget_to_reach(budgets, means, 0.81) is None


def test_the_first_time_counts_for_a_curve_that_falls_again() -> None:
    budgets, means = np.array([100.0, 200, 300, 400]), np.array([0.5, 0.9, 0.5, 0.9])
    assert budget_to_reach(budgets, means, 0.7) == pytest.approx(150)


@given(SCORES, st.floats(-1_000, 1_000, width=16))
def test_a_height_is_reached_within_the_budgets_or_not_at_all(
    means: Float64Array, target: float
) -> None:
    budgets = np.arange(len(means), dtype=np.float64)
    needed = budget_to_reach(budgets, means, target)
    assert (needed is None) == (means.max() < target)
    if needed is not None:
        assert 0 <= needed <= budgets[-1]
        assert np.interp(needed, budgets, means) == pytest.approx(max(target, means[0]), abs=1e-6)


def test_more_is_better_on_the_shared_scale_also_where_returns_are_costs() -> None:
    np.testing.assert_allclose(relative_to(np.array([50.0, 100, 150]), 100), [0.5, 1, 1.5])
    np.testing.assert_allclose(relative_to(np.array([-150.0, -100, -50]), -100), [0.5, 1, 1.5])


def test_an_estimate_of_uneven_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2,\), \(1,\) and \(2,\)"):
        Estimate(np.zeros(2), np.zeros(1), np.zeros(2))
