import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prefrl.rewards.fitting.noise import (
    PRIOR_RATE,
    PRIOR_TEMPERATURE,
    corrected_answers,
    estimate_error_rate,
    prior_share,
)

LOGIT = st.floats(allow_nan=False, allow_infinity=False, width=32)
ANSWER = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
ROWS = st.lists(st.tuples(LOGIT, ANSWER), max_size=20)


def answered(
    num: int, *, random_share: float, rng: np.random.Generator, temperature: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits, and answers drawn from them but for a share of random ones."""
    logits = 4 * rng.normal(size=num)
    meant = rng.random(num) < 1 / (1 + np.exp(-logits / temperature))
    is_random = rng.random(num) < random_share
    left = np.where(is_random, rng.random(num) < 0.5, meant)
    return logits, left.astype(np.float64)


def columns(rows: list[tuple[float, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


class TestEstimateErrorRate:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
    def test_a_known_share_of_random_answers_is_recovered(self, share, seed):
        rng = np.random.default_rng(seed)
        rate, _ = estimate_error_rate(*answered(1500, random_share=share, rng=rng))
        assert rate == pytest.approx(share, abs=0.08)

    def test_clean_answers_that_were_expected_give_a_small_rate(self):
        logits = np.tile([8.0, -8.0], 100)
        rate, _ = estimate_error_rate(logits, (logits > 0).astype(np.float64))
        assert rate < 0.05

    def test_answers_that_have_nothing_to_do_with_the_predictions_are_taken_for_random(self):
        logits = np.tile([8.0, -8.0], 100)
        rate, _ = estimate_error_rate(logits, np.repeat([0.0, 1.0], 100))
        assert rate > 0.7

    @pytest.mark.parametrize("true", [0.3, 1.0, 3.0])
    def test_the_temperature_is_recovered(self, true):
        rng = np.random.default_rng(0)
        logits, p_left = answered(2000, random_share=0.1, rng=rng, temperature=true)
        _, temperature = estimate_error_rate(logits, p_left)
        assert temperature == pytest.approx(true, rel=0.4)

    @pytest.mark.parametrize("num", [0, 5])
    def test_without_decisive_answers_the_prior_speaks(self, num):
        assert estimate_error_rate(np.ones(num), np.full(num, 0.5)) == (
            PRIOR_RATE,
            PRIOR_TEMPERATURE,
        )

    def test_few_answers_hardly_move_the_prior(self):
        agreed, _ = estimate_error_rate(np.array([5.0]), np.array([1.0]))
        opposed, _ = estimate_error_rate(np.array([5.0]), np.array([0.0]))
        assert 0.15 < agreed < PRIOR_RATE < opposed < 0.35

    @pytest.mark.parametrize("seed", range(4))
    def test_heavy_noise_is_seen_in_some_hundreds_of_answers(self, seed):
        rng = np.random.default_rng(seed)
        rate, _ = estimate_error_rate(*answered(300, random_share=0.6, rng=rng, temperature=0.5))
        assert rate == pytest.approx(0.6, abs=0.2)

    @given(rows=ROWS, ties=st.lists(LOGIT, max_size=5))
    def test_ties_tell_nothing(self, rows, ties):
        logits, p_left = columns(rows)
        with_ties = estimate_error_rate(
            np.concatenate([logits, ties]), np.concatenate([p_left, np.full(len(ties), 0.5)])
        )
        assert with_ties == pytest.approx(estimate_error_rate(logits, p_left))

    @given(rows=ROWS)
    def test_whatever_it_is_given_the_rate_lies_in_its_range(self, rows):
        rate, temperature = estimate_error_rate(*columns(rows))
        assert 0.0 <= rate <= 0.9
        assert 0.0999 <= temperature <= 10.001

    @given(rows=ROWS)
    def test_swapping_left_and_right_changes_nothing(self, rows):
        logits, p_left = columns(rows)
        swapped = estimate_error_rate(-logits, 1 - p_left)
        assert swapped == pytest.approx(estimate_error_rate(logits, p_left))


class TestCorrectedAnswers:
    # Given 0.0005, 0.05, 0.5, 0.05 and 0.0005 by the prediction.
    predicted = np.array([0.9995, 0.95, 0.5, 0.05, 0.0005])
    answers = np.array([0.0, 0.0, 1.0, 1.0, 1.0])

    @pytest.mark.parametrize(
        ("mode", "expected", "weights"),
        [
            ("keep", [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]),
            ("drop", [0, 0, 1, 1, 1], [0, 0, 1, 0, 0]),
            ("flip", [1, 0, 1, 1, 0], [1, 0, 1, 0, 1]),
        ],
    )
    def test_each_mode_by_hand(self, mode, expected, weights):
        corrected, kept = corrected_answers(self.predicted, self.answers, mode=mode)
        assert corrected.tolist() == expected
        assert kept.tolist() == weights

    @pytest.mark.parametrize("mode", ["keep", "drop", "flip"])
    def test_answers_that_were_expected_stay(self, mode):
        corrected, kept = corrected_answers(self.predicted, 1 - self.answers, mode=mode)
        assert corrected.tolist() == (1 - self.answers).tolist()
        assert kept.tolist() == [1] * 5

    @pytest.mark.parametrize("mode", ["keep", "drop", "flip"])
    def test_ties_are_never_touched(self, mode):
        corrected, kept = corrected_answers(np.array([0.0, 0.5, 1.0]), np.full(3, 0.5), mode=mode)
        assert corrected.tolist() == [0.5] * 3
        assert kept.tolist() == [1] * 3

    @pytest.mark.parametrize("mode", ["keep", "drop", "flip"])
    def test_what_it_was_given_is_left_as_it_is(self, mode):
        predicted, answers = self.predicted.copy(), self.answers.copy()
        corrected_answers(predicted, answers, mode=mode)
        assert predicted.tolist() == self.predicted.tolist()
        assert answers.tolist() == self.answers.tolist()

    @pytest.mark.parametrize("mode", ["keep", "drop", "flip"])
    @given(rows=st.lists(st.tuples(st.integers(0, 1024), ANSWER), max_size=20))
    def test_swapping_left_and_right_swaps_the_answers(self, mode, rows):
        parts, p_left = columns(rows)
        p_predicted = parts / 1024  # 1 - p is exact
        corrected, kept = corrected_answers(p_predicted, p_left, mode=mode)
        swapped, still_kept = corrected_answers(1 - p_predicted, 1 - p_left, mode=mode)
        np.testing.assert_array_equal(swapped, 1 - corrected)
        np.testing.assert_array_equal(still_kept, kept)


@pytest.mark.parametrize(
    ("error_rate", "share"), [(0.0, 1 / 3), (0.1, 1 / 3), (0.15, 0.5), (0.3, 1.0), (0.9, 1.0)]
)
def test_the_more_random_answers_the_stronger_the_prior(error_rate, share):
    assert prior_share(error_rate) == pytest.approx(share)
