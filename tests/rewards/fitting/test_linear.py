import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.rewards.fitting.linear import (
    LEAST_NETWORK,
    cross_fitted_linear,
    logistic_weights,
    share_of_linear,
)


@pytest.mark.parametrize("precision", [1.0, 5.0])
def test_logistic_weights_are_where_the_gradient_is_0(precision: float) -> None:
    features, p_left = np.array([[2.0], [2.0], [2.0], [-2.0]]), np.array([1.0, 1.0, 0.0, 0.0])
    (weight,) = logistic_weights(features, p_left, precision=precision)
    # Left wins 3 of 4 by a difference of 2: (4 p - 3) * 2 + precision * w = 0, p = sigmoid(2 w).
    p = 1 / (1 + np.exp(-2 * weight))
    assert (4 * p - 3) * 2 + precision * weight == pytest.approx(0.0, abs=1e-6)


def test_without_answers_logistic_weights_are_those_of_the_prior() -> None:
    assert logistic_weights(np.zeros((0, 2)), np.zeros(0), precision=1.0).tolist() == [0.0, 0.0]


def test_logistic_weights_do_not_depend_on_where_they_start():
    rng = np.random.default_rng(0)
    features, p_left = 3 * rng.standard_normal((40, 4)), rng.random(40)
    first = logistic_weights(features, p_left, precision=1.0)
    for start in (np.full(4, 9.0), -first):
        again = logistic_weights(features, p_left, precision=1.0, start=start)
        np.testing.assert_allclose(again, first, atol=1e-5)


@given(seed=st.integers(0, 1000), num=st.integers(1, 12), dims=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_few_answers_and_many_features_give_finite_weights(seed, num, dims):
    rng = np.random.default_rng(seed)
    answers = rng.choice([0.0, 0.5, 1.0], size=num)
    fitted = cross_fitted_linear(rng.standard_normal((num, dims)), answers, np.arange(num) % 4)
    assert fitted.weights.shape == (dims,)
    assert fitted.logits.shape == (num,)
    assert np.isfinite(fitted.weights).all()
    assert np.isfinite(fitted.logits).all()


class TestCrossFitting:
    def test_an_answer_is_predicted_by_weights_that_have_not_seen_it(self):
        # Of two answers that contradict each other, each is predicted by the other alone.
        features, p_left = np.ones((2, 1)), np.array([1.0, 0.0])
        logits = cross_fitted_linear(features, p_left, np.array([0, 1])).logits
        assert logits[0] < 0 < logits[1]
        assert logits[0] == pytest.approx(-logits[1])

    def test_turning_an_answer_round_leaves_its_own_prediction_alone(self):
        rng = np.random.default_rng(1)
        # So much noise that the strongest prior is chosen whatever the answer.
        features, p_left = rng.standard_normal((40, 3)), rng.choice([0.0, 1.0], size=40)
        folds = np.arange(40) % 4
        turned = p_left.copy()
        turned[0] = 1 - turned[0]
        before = cross_fitted_linear(features, p_left, folds).logits
        after = cross_fitted_linear(features, turned, folds).logits
        assert after[0] == pytest.approx(before[0], abs=1e-9)
        assert not np.allclose(after[1], before[1], atol=1e-9)

    def test_an_answer_that_counts_for_nothing_changes_nothing(self):
        rng = np.random.default_rng(1)
        features, p_left = rng.standard_normal((41, 3)), rng.choice([0.0, 1.0], size=41)
        folds, counts = np.arange(41) % 4, np.append(np.ones(40), 0.0)
        whole = cross_fitted_linear(features, p_left, folds, counts)
        without = cross_fitted_linear(features[:40], p_left[:40], folds[:40])
        np.testing.assert_allclose(whole.weights, without.weights, atol=1e-5)
        np.testing.assert_allclose(whole.logits[:40], without.logits, atol=1e-5)

    def test_a_prior_that_does_worse_than_a_stronger_one_does_not_end_the_search(self):
        # One signal beside near-copies of a nuisance that outweigh it under a strong prior.
        for seed in range(40):
            rng = np.random.default_rng(seed)
            signal, nuisance = rng.standard_normal((2, 60))
            copies = nuisance[:, None] + 0.05 * rng.standard_normal((60, 19))
            features = np.concatenate([signal[:, None], copies], axis=1)
            p_left = (signal > 0).astype(np.float64)
            folds = np.arange(60) % 4
            logits = cross_fitted_linear(features, p_left, folds).logits
            surprise = np.mean(np.logaddexp(0, logits) - p_left * logits)
            assert surprise < 0.68

    def test_clear_answers_get_a_weaker_prior_than_guesses(self):
        rng = np.random.default_rng(2)
        features, folds = rng.standard_normal((200, 20)), np.arange(200) % 4
        clear = (features[:, 0] > 0).astype(np.float64)
        guessed = rng.choice([0.0, 1.0], size=200)
        lengths = [
            np.linalg.norm(cross_fitted_linear(features, answers, folds).weights)
            for answers in (clear, guessed)
        ]
        assert lengths[0] > 1.0 > 0.1 > lengths[1]


class TestShare:
    @pytest.fixture
    def gap(self):
        return np.random.default_rng(3).standard_normal(2_000)

    @pytest.fixture
    def p_left(self, gap):
        return 1 / (1 + np.exp(-2 * gap))

    def test_two_equally_good_predictions_count_alike(self, gap, p_left):
        rng = np.random.default_rng(4)
        network, linear = gap + rng.standard_normal((2, 2_000))
        # In another unit, a thirtieth of it.
        assert share_of_linear(network, linear / 30, p_left) == pytest.approx(30, rel=0.1)

    def test_it_does_not_depend_on_which_side_segments_stand(self, gap, p_left):
        rng = np.random.default_rng(7)
        network, linear = gap + 0.5 * rng.standard_normal((2, 2_000))
        sign = np.where(gap > 0, 1.0, -1.0)  # turned so that left is always better
        turned = np.where(sign > 0, p_left, 1 - p_left)
        assert share_of_linear(sign * network, sign * linear, turned) == pytest.approx(
            share_of_linear(network, linear, p_left), rel=1e-3
        )

    def test_a_linear_reward_that_says_nothing_is_left_out(self, gap, p_left):
        noise = np.random.default_rng(5).standard_normal(2_000)
        assert abs(share_of_linear(gap, noise, p_left)) < 0.1

    @pytest.mark.parametrize("sign", [0.0, -1.0])
    def test_one_that_says_the_contrary_or_the_same_of_all_is_left_out(self, gap, p_left, sign):
        assert share_of_linear(gap, sign * gap, p_left) == 0.0

    def test_a_network_that_says_nothing_keeps_half_the_spread(self, gap, p_left):
        noise = np.random.default_rng(6).standard_normal(2_000)
        for network in (noise, -gap):
            share = share_of_linear(network, gap, p_left)
            sizes = [np.sqrt(np.mean(x**2)) for x in (share * gap, network)]
            assert LEAST_NETWORK * sizes[0] == pytest.approx(sizes[1])

    def test_beside_a_network_without_an_opinion_nothing_is_added(self, gap, p_left):
        assert share_of_linear(np.zeros(2_000), gap, p_left) == 0.0
