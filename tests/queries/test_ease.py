from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from prefrl.errors import ConfigError, ContractError
from prefrl.queries import ACQUISITIONS, SELECTORS, Candidates, make_strategy, with_ease
from prefrl.queries.ease import Ease, fitted_ease, logistic_regression, weighed
from prefrl.queries.predictor import AskedPairs
from prefrl.seeding import Streams
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource
from prefrl.session.unasked import Asked
from prefrl.testing.made_up import PREDICTORS, LinearPredictor, segments

NOTHING = Asked(np.zeros((0, 4), np.int64), np.zeros(0, np.int64))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def asked(num: int = 200, *, seed: int = 0, least_gap: float = 1.0) -> AskedPairs:
    """Makes pairs that are ties where their scores lie closer together than that."""
    draws = rng(seed)
    left, right = draws.normal(size=(num, 1)), draws.normal(size=(num, 1))
    heads = 0.01 * draws.normal(size=(2, num, 3))
    points = draws.normal(size=(2, num, 4)) * [1.0, 100.0, 0.01, 0.0]
    gap = (left - right)[:, 0]
    p_left = np.where(np.abs(gap) < least_gap, 0.5, (gap > 0).astype(np.float64))
    return AskedPairs(
        (left + heads[0]).astype(np.float32),
        (right + heads[1]).astype(np.float32),
        points[0].astype(np.float32),
        points[1].astype(np.float32),
        p_left,
    )


def test_without_features_odds_are_those_of_the_shares() -> None:
    is_so = np.array([True] * 3 + [False])
    intercept, weights = logistic_regression(np.zeros((4, 1)), is_so)
    assert intercept == pytest.approx(np.log(3))
    assert weights.tolist() == [0.0]


def test_one_feature_gives_the_weight_computed_by_hand() -> None:
    # Two of four rows at +1 and -1 each, one of each kind crossed over: the score equation
    # 4 (p - 3/4) + w = 0, p = sigmoid(w), of 8 rows by bisection.
    features = np.repeat([[1.0], [-1.0]], 4, axis=0)
    is_so = np.array([True, True, True, False, False, False, False, True])
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        above = 8 * (1 / (1 + np.exp(-middle)) - 0.75) + middle > 0
        low, high = (low, middle) if above else (middle, high)
    intercept, weights = logistic_regression(features, is_so)
    assert intercept == pytest.approx(0, abs=1e-9)
    assert weights[0] == pytest.approx(low)


@given(st.integers(0, 10_000), st.integers(6, 60), st.integers(1, 4))
def test_weights_are_those_that_a_general_optimiser_finds(seed: int, num: int, dims: int) -> None:
    draws = rng(seed)
    features = draws.normal(size=(num, dims))
    is_so = draws.random(num) < 1 / (1 + np.exp(-3 * features[:, 0]))
    is_so[:2] = [True, False]

    def loss(weights: NDArray[np.float64]) -> float:
        odds = weights[0] + features @ weights[1:]
        fit = np.logaddexp(0, odds).sum() - odds[is_so].sum()
        return float(fit + 0.5 * np.square(weights[1:]).sum())

    intercept, weights = logistic_regression(features, is_so)
    best = minimize(loss, np.zeros(dims + 1), method="BFGS")
    assert loss(np.array([intercept, *weights])) <= best.fun + 1e-6
    np.testing.assert_allclose([intercept, *weights], best.x, atol=1e-2)


def test_a_table_holds_what_features_of_each_pair_say() -> None:
    ease = Ease(0.3, np.array([0.5, -0.2, 0.1]), np.array([1.0, 2.0]))
    scores = np.array([[1.0, 3.0], [0.0, 0.0], [-4.0, -2.0]], np.float32)  # means 2, 0, -3
    points = np.array([[0.0, 0.0], [3.0, 8.0], [3.0, 0.0]], np.float32)
    table = ease.table(scores, points)
    # Gaps 2, 5, 3; better ones 2, 2, 0; distances 5, 3, 4.
    odds = [0.3 + 1.0 - 0.4 + 0.5, 0.3 + 2.5 - 0.4 + 0.3, 0.3 + 1.5 - 0.0 + 0.4]
    expected = 1 / (1 + np.exp(-np.array(odds)))
    np.testing.assert_allclose(table[[0, 0, 1], [1, 2, 2]], expected, rtol=1e-5)
    np.testing.assert_allclose(table, table.T, rtol=1e-6)


def test_a_large_table_is_that_of_its_parts() -> None:
    ease = fitted_ease(asked())
    assert ease is not None
    draws = rng(3)
    scores = draws.normal(size=(150, 3)).astype(np.float32)
    points = draws.normal(size=(150, 4)).astype(np.float32)
    whole = ease.table(scores, points)
    rows = np.array([0, 63, 64, 149])
    part = ease.table(scores[rows], points[rows])
    np.testing.assert_allclose(whole[np.ix_(rows, rows)], part, atol=1e-3)


def test_ties_of_near_scores_are_learned() -> None:
    ease = fitted_ease(asked(least_gap=1.0))
    assert ease is not None
    ladder = np.arange(5, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    first = ease.table(ladder, np.zeros((5, 4), np.float32))[0]
    assert (np.diff(first) > 0).all()
    assert first[0] < 0.2
    assert first[3] > 0.95


def test_skips_of_what_is_not_worth_comparing_are_learned() -> None:
    pairs = asked(300)
    best = np.maximum(pairs.left_scores.mean(1), pairs.right_scores.mean(1))
    ease = fitted_ease(replace(pairs, p_left=np.where(best < 0, np.nan, 1.0)))
    assert ease is not None
    scores = np.array([[-2.0], [-1.0], [1.5]], np.float32)
    table = ease.table(scores, np.zeros((3, 4), np.float32))
    assert table[0, 1] < 0.1
    assert table[0, 2] > 0.9


@given(st.integers(0, 1000))
def test_ease_does_not_know_sides(seed: int) -> None:
    pairs = asked(60, seed=seed)
    turned = AskedPairs(
        pairs.right_scores,
        pairs.left_scores,
        pairs.right_points,
        pairs.left_points,
        1 - pairs.p_left,
    )
    one, other = fitted_ease(pairs), fitted_ease(turned)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-6, atol=1e-9)
    assert one.intercept == pytest.approx(other.intercept)


@pytest.mark.parametrize(
    ("num", "least_gap"),
    [(0, 1.0), (19, 1.0), (200, 0.0), (200, 99.0)],
    ids=["nothing asked", "too few", "all decisive", "none decisive"],
)
def test_too_few_answers_or_none_of_a_kind_predict_nothing(num: int, least_gap: float) -> None:
    assert fitted_ease(asked(num, least_gap=least_gap)) is None


def test_five_of_a_kind_are_enough() -> None:
    pairs = asked(30, least_gap=0.0)
    for num in (4, 5):
        p_left = pairs.p_left.copy()
        p_left[:num] = np.nan
        assert (fitted_ease(replace(pairs, p_left=p_left)) is None) == (num == 4)


def test_scores_that_are_no_numbers_predict_nothing() -> None:
    pairs = asked()
    assert fitted_ease(replace(pairs, left_scores=np.full((200, 3), np.nan, np.float32))) is None


def test_worth_counts_from_the_least_and_times_its_ease() -> None:
    values = np.array([[0.0, -1.0, -3.0], [-1.0, 0.0, -2.0], [-3.0, -2.0, 0.0]])
    ease = np.full((3, 3), 0.5)
    ease[0, 1] = ease[1, 0] = 0.25
    found = weighed(values, ease, rng=rng())
    np.testing.assert_array_equal(found[[0, 0, 1], [1, 2, 2]], [2 * 0.25, 0.0, 1 * 0.5])
    assert (values[0] == [0.0, -1.0, -3.0]).all()  # nothing is written into


def test_where_all_is_worth_the_same_chance_decides_in_proportion_to_ease() -> None:
    values, ease = np.zeros((3, 3), np.float32), np.full((3, 3), 0.2, np.float32)
    ease[0, 1] = ease[1, 0] = 0.6
    draws, count = rng(), 0
    for _ in range(4_000):
        found = weighed(values, ease, rng=draws)
        np.testing.assert_array_equal(found, found.T)
        count += found[0, 1] > max(found[0, 2], found[1, 2])
    assert count / 4_000 == pytest.approx(0.6, abs=0.03)


COMPOSITIONS = [
    *(f"{name}+greedy" for name in ACQUISITIONS),
    *(f"entropy+{name}" for name in SELECTORS if name != "greedy"),
]


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_every_acquisition_and_selector_chooses_pairs_that_are_easier(name: str) -> None:
    pool, predictor = segments(60, rng=rng(4)), LinearPredictor()
    ease = Candidates(pool, predictor, rng()).ease
    assert ease is not None
    plain, eased = (
        np.mean(
            [
                ease[tuple(strategy.select(pool, 8, predictor, rng=rng(seed)).T)].mean()
                for seed in range(10)
            ]
        )
        for strategy in (make_strategy(name), with_ease(make_strategy(name)))
    )
    assert eased > plain


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_with_too_few_answers_every_composition_chooses_what_it_would_without(name: str) -> None:
    pool, predictor = segments(40, rng=rng(1)), LinearPredictor(num_asked=19)
    # Uniform alone is drawn in another way than an acquisition of that name.
    plain = replace(with_ease(make_strategy(name)), weighs_ease=False)
    one, other = (
        strategy.select(pool, 10, predictor, rng=rng(2))
        for strategy in (plain, with_ease(make_strategy(name)))
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", PREDICTORS)
def test_chances_are_finite_and_from_0_to_1_whatever_the_predictor_says(kind: str) -> None:
    ease = Candidates(segments(20, rng=rng()), PREDICTORS[kind], rng()).ease
    assert (ease is None) == (kind == "that was asked nothing before")
    if ease is not None:
        assert np.isfinite(ease).all()
        assert 0 <= ease.min() <= ease.max() <= 1


def test_audit_questions_are_drawn_as_without_ease() -> None:
    pool = replace(segments(300, rng=rng()), episode=np.arange(300))
    rows = []
    for strategy in (make_strategy("entropy"), with_ease(make_strategy("entropy"))):
        chooser = Chooser(
            FixedSource(pool, size=80),
            strategy,
            LinearPredictor(),
            Streams(3),
            spread_factor=2,
            audit_share=0.5,
        )
        chosen = chooser.choose(
            20, asked=NOTHING, num_before=40, num_audits_before=20, is_fitted=True
        )
        assert chosen is not None
        assert chosen.is_audit.sum() == 10
        pairs = np.stack([chosen.left.episode, chosen.right.episode], axis=1)
        rows.append((pairs[chosen.is_audit], pairs[~chosen.is_audit]))
    (plain_audits, plain), (eased_audits, eased) = rows
    np.testing.assert_array_equal(plain_audits, eased_audits)
    assert not np.array_equal(plain, eased)


def test_a_first_session_is_uniform_with_ease_too() -> None:
    pool = replace(segments(100, rng=rng()), episode=np.arange(100))
    chosen = [
        Chooser(FixedSource(pool, size=50), strategy, LinearPredictor(), Streams(0)).choose(
            10, asked=NOTHING, num_before=0, num_audits_before=0, is_fitted=False
        )
        for strategy in (make_strategy("entropy"), with_ease(make_strategy("entropy")))
    ]
    assert chosen[0] is not None
    assert chosen[1] is not None
    np.testing.assert_array_equal(chosen[0].left.episode, chosen[1].left.episode)


class Whole:
    def select(self, pool: Any, num_queries: int, predictor: Any, *, rng: Any) -> Any:
        raise AssertionError


def test_a_whole_strategy_cannot_be_weighed() -> None:
    with pytest.raises(ConfigError, match=r"ease is on, but the query strategy Whole is a whole"):
        with_ease(Whole())


class Forgetful:
    def score_segments(self, segments: Any) -> Any:
        return np.zeros((len(segments), 1), np.float32)


def test_a_predictor_without_a_memory_of_pairs_is_named() -> None:
    candidates = Candidates(segments(5, rng=rng()), Forgetful(), rng())  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="Forgetful has no method asked_pairs"):
        _ = candidates.ease
