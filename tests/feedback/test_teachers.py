import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.config import TEACHER_PRESETS, TeacherConfig, TeacherSettings
from prefrl.errors import ConfigError, DataError
from prefrl.feedback.teachers import SyntheticTeacher, p_choose_left, weighted_returns
from prefrl.segments import SegmentBatch
from tests.feedback.earning import segments_earning

LEFT, RIGHT, TIE, SKIP = 1.0, 0.0, 0.5, math.nan
EVERYTHING = TeacherSettings(
    beta=1.5, gamma=0.8, p_mistake=0.1, skip_fraction=0.6, equal_fraction=0.3
)


def one_step_segments(*returns: float) -> SegmentBatch:
    """Segments of one step, so that rewards are returns."""
    return segments_earning(np.array(returns)[:, None])


def answers_of(teacher: SyntheticTeacher, left, right, seed: int = 0):
    """Returns its answers about one-step segments with these returns."""
    rng = np.random.default_rng(seed)
    return teacher.answer(one_step_segments(*left), one_step_segments(*right), rng=rng)


def shown(pool: SegmentBatch, **changed: Any) -> SyntheticTeacher:
    """A teacher with these settings that has seen the pool."""
    teacher = SyntheticTeacher(TeacherSettings(**changed))
    teacher.observe(pool)
    return teacher


def binomial_bounds(num_draws: int, p: float, p_outside: float = 1e-6) -> tuple[int, int]:
    """Counts that a binomial variable leaves with probability p_outside at most, exactly."""
    if p in (0.0, 1.0):
        return round(num_draws * p), round(num_draws * p)
    k = np.arange(num_draws + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(k[1:]))])
    log_choose = log_factorial[-1] - log_factorial - log_factorial[::-1]
    cdf = np.cumsum(np.exp(log_choose + k * math.log(p) + (num_draws - k) * math.log1p(-p)))
    low, high = np.searchsorted(cdf, [p_outside / 2, 1 - p_outside / 2])
    return int(low), int(high)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


class TestPerfectlyRational:
    def test_the_larger_return_wins_and_exact_equals_tie(self):
        teacher = SyntheticTeacher(TeacherConfig("oracle"))
        answers = answers_of(teacher, left=[2, 1, 3, -5], right=[1, 2, 3, -6])
        np.testing.assert_array_equal(answers, [LEFT, RIGHT, TIE, LEFT])

    def test_it_is_never_wrong(self):
        pool = segments_earning(np.random.default_rng(0).normal(size=(50, 10)))
        metrics = SyntheticTeacher(TeacherConfig("oracle")).observe(pool)
        assert metrics["teacher_error_rate"] == 0.0
        assert metrics["teacher_skip_rate"] == 0.0
        assert metrics["teacher_tie_rate"] == 0.0

    @pytest.mark.parametrize("gamma", [1.0, 0.9])
    def test_a_segment_ties_with_itself_however_it_lies_in_memory(self, gamma):
        rewards = np.random.default_rng(0).normal(size=(200, 173))
        row_major = segments_earning(rewards)
        column_major = dataclasses.replace(
            row_major, true_rewards=np.asfortranarray(row_major.true_rewards)
        )
        teacher = SyntheticTeacher(TeacherSettings(gamma=gamma))
        answers = teacher.answer(row_major, column_major, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(answers, TIE)
        alone = teacher.answer(row_major[7], column_major[7], rng=np.random.default_rng(0))
        np.testing.assert_array_equal(alone, TIE)


class TestNoise:
    def test_the_choice_is_a_sigmoid_in_standard_deviations_of_the_pool(self):
        p_left = p_choose_left(np.array([0.0, 3.0, -3.0]), beta=2.0, std=4.0)
        np.testing.assert_allclose(p_left, [0.5, sigmoid(1.5), sigmoid(-1.5)], rtol=1e-12)

    def test_answers_come_as_often_as_the_sigmoid_says(self):
        # Returns -1 and 1: standard deviation 1, so a gap of 2 has log-odds 2 beta.
        teacher = shown(one_step_segments(-1, 1), beta=0.7)
        num_draws = 20_000
        answers = answers_of(teacher, left=[1] * num_draws, right=[-1] * num_draws)
        assert set(answers) == {LEFT, RIGHT}
        low, high = binomial_bounds(num_draws, sigmoid(1.4))
        assert low <= (answers == LEFT).sum() <= high

    def test_the_error_rate_of_three_segments_is_as_computed_by_hand(self):
        # Returns 0, 1, 3: mean 4/3, variance 10/3 - 16/9 = 14/9; gaps 1, 2, 3.
        teacher = SyntheticTeacher(TeacherConfig("noisy"))
        metrics = teacher.observe(one_step_segments(0, 1, 3))
        std = math.sqrt(14) / 3
        p_wrong = [sigmoid(-gap / std) for gap in (1, 2, 3)]
        assert metrics["teacher_error_rate"] == pytest.approx(sum(p_wrong) / 3, rel=1e-12)
        assert metrics["segment_return_mean"] == pytest.approx(4 / 3, rel=1e-12)
        assert metrics["segment_return_std"] == pytest.approx(std, rel=1e-12)

    def test_equal_returns_are_a_coin_toss_that_counts_as_no_error(self):
        # Returns 0, 0, 2: of the three pairs only the two unequal ones have an order.
        teacher = SyntheticTeacher(TeacherConfig("noisy"))
        metrics = teacher.observe(one_step_segments(0, 0, 2))
        std = math.sqrt(8) / 3
        assert metrics["teacher_error_rate"] == pytest.approx(sigmoid(-2 / std), rel=1e-12)
        answers = answers_of(teacher, left=[0] * 2000, right=[0] * 2000)
        low, high = binomial_bounds(2000, 0.5)
        assert low <= (answers == LEFT).sum() <= high
        assert set(answers) == {LEFT, RIGHT}

    def test_beta_zero_tosses_a_coin_for_every_pair(self):
        metrics = SyntheticTeacher(TeacherSettings(beta=0.0)).observe(one_step_segments(0, 5, 9))
        assert metrics["teacher_error_rate"] == 0.5

    def test_a_very_rational_teacher_is_never_wrong_and_overflows_nowhere(self):
        teacher = shown(one_step_segments(0, 1e30), beta=1e308)
        answers = answers_of(teacher, left=[0, 1e30], right=[1e30, 0])
        np.testing.assert_array_equal(answers, [RIGHT, LEFT])

    def test_a_pool_whose_returns_are_all_equal_divides_by_nothing(self):
        teacher = SyntheticTeacher(TeacherConfig("noisy"))
        metrics = teacher.observe(one_step_segments(4, 4, 4))
        assert metrics["segment_return_std"] == 0.0
        assert metrics["teacher_error_rate"] == 0.0
        answers = answers_of(teacher, left=[5, 3] + [4] * 100, right=[4, 4] + [4] * 100)
        np.testing.assert_array_equal(answers[:2], [LEFT, RIGHT])
        assert set(answers[2:]) == {LEFT, RIGHT}

    def test_beta_zero_tosses_a_coin_even_whose_returns_are_all_equal(self):
        teacher = shown(one_step_segments(4, 4), beta=0.0)
        answers = answers_of(teacher, left=[9] * 200, right=[4] * 200)
        low, high = binomial_bounds(200, 0.5)
        assert low <= (answers == LEFT).sum() <= high


class TestMyopia:
    def test_step_t_weighs_gamma_to_the_steps_that_follow_it(self):
        returns = weighted_returns(segments_earning([[1, 2, 4], [4, 2, 1]]), gamma=0.5)
        np.testing.assert_array_equal(returns, [0.25 * 1 + 0.5 * 2 + 4, 0.25 * 4 + 0.5 * 2 + 1])

    def test_of_a_shorter_segment_its_own_last_step_counts_most_and_padding_nothing(self):
        padded = segments_earning([[1, 2, 4], [4, 2, 9]])
        segments = dataclasses.replace(padded, length=np.array([3, 2]))
        returns = weighted_returns(segments, gamma=0.5)
        np.testing.assert_array_equal(returns, [0.25 * 1 + 0.5 * 2 + 4, 0.5 * 4 + 2])
        np.testing.assert_array_equal(weighted_returns(segments, gamma=1.0), [7, 6])

    def test_gamma_one_sees_the_true_return(self):
        segments = segments_earning([[1, 2, 4], [-4, 2, 1]])
        np.testing.assert_array_equal(weighted_returns(segments, gamma=1.0), segments.true_returns)

    def test_gamma_zero_sees_the_last_step_alone(self):
        segments = segments_earning([[9, 9, 1], [0, 0, 2]])
        np.testing.assert_array_equal(weighted_returns(segments, gamma=0.0), [1, 2])

    def test_a_late_reward_beats_a_larger_early_one(self):
        early, late = segments_earning([[3, 0]]), segments_earning([[0, 2]])
        rng = np.random.default_rng(0)
        assert SyntheticTeacher(TeacherConfig("oracle")).answer(early, late, rng=rng) == LEFT
        myopic = SyntheticTeacher(TeacherSettings(gamma=0.5))
        assert myopic.answer(early, late, rng=rng) == RIGHT

    def test_its_error_rate_counts_the_pairs_it_orders_the_wrong_way(self):
        # True returns 2, 1.5, 0; seen with gamma 0.5 they are 1, 1.5, 0: one pair of three.
        teacher = SyntheticTeacher(TeacherSettings(gamma=0.5))
        metrics = teacher.observe(segments_earning([[2.0, 0.0], [0.0, 1.5], [0.0, 0.0]]))
        assert metrics["teacher_error_rate"] == pytest.approx(1 / 3, rel=1e-12)

    def test_what_looks_equal_to_it_is_a_tie(self):
        # True returns 2, 1 and 5; seen with gamma 0.5 they are 1, 1 and 5.
        teacher = SyntheticTeacher(TeacherSettings(gamma=0.5))
        metrics = teacher.observe(segments_earning([[2, 0], [0, 1], [0, 5]]))
        assert metrics["teacher_tie_rate"] == pytest.approx(1 / 3, rel=1e-12)
        assert metrics["teacher_error_rate"] == 0.0

    def test_its_noise_is_scaled_by_the_standard_deviation_of_true_returns(self):
        # True returns 2 and 0: standard deviation 1. Seen with gamma 0.5 the gap is 1.
        teacher = SyntheticTeacher(TeacherSettings(beta=1.0, gamma=0.5))
        metrics = teacher.observe(segments_earning([[2, 0], [0, 0]]))
        assert metrics["teacher_error_rate"] == pytest.approx(sigmoid(-1.0), rel=1e-12)


class TestSkipping:
    def test_pairs_in_which_nothing_good_happens_are_skipped(self):
        # Mean return 10: the threshold is 1, applied once and exclusively.
        teacher = SyntheticTeacher(TeacherConfig("skip"))
        metrics = teacher.observe(one_step_segments(0, 0.5, 29.5))
        assert metrics["teacher_skip_rate"] == pytest.approx(1 / 3, rel=1e-12)
        answers = answers_of(teacher, left=[0, 0.5, 0.5, 1.0, 2], right=[0.5, 0, 29.5, 0.5, 1])
        np.testing.assert_array_equal(answers, [SKIP, SKIP, RIGHT, LEFT, LEFT])

    def test_negative_returns_are_skipped_as_far_below_their_mean(self):
        # Mean return -10: as 1 lies 9 below a mean of 10, -19 lies 9 below this one.
        teacher = SyntheticTeacher(TeacherConfig("skip"))
        metrics = teacher.observe(one_step_segments(-20, -19.5, -0.5, 0))
        assert metrics["teacher_skip_rate"] == pytest.approx(1 / 6, rel=1e-12)
        answers = answers_of(teacher, left=[-20, -20, -18], right=[-19.5, -18.5, -20])
        np.testing.assert_array_equal(answers, [SKIP, RIGHT, LEFT])

    @pytest.mark.parametrize("mean", [-30.0, -10.0, -1.0, 0.0, 1.0, 10.0, 30.0])
    def test_wherever_the_mean_return_lies_few_pairs_are_skipped(self, mean):
        returns = np.random.default_rng(0).normal(mean, 10.0, size=(300, 1))
        metrics = SyntheticTeacher(TeacherConfig("skip")).observe(segments_earning(returns))
        assert metrics["teacher_skip_rate"] < 0.12

    def test_it_goes_by_true_returns_even_when_myopic(self):
        teacher = shown(one_step_segments(0, 20), skip_fraction=0.1, gamma=0.0)  # threshold 1
        forgotten, worthless = segments_earning([[5, 0]]), segments_earning([[0, 0.5]])
        assert teacher.answer(forgotten, worthless, rng=np.random.default_rng(0)) == RIGHT

    def test_a_pool_of_nothing_but_zeros_is_not_skipped(self):
        metrics = SyntheticTeacher(TeacherConfig("skip")).observe(one_step_segments(0, 0, 0))
        assert metrics["teacher_skip_rate"] == 0.0


class TestCallingEqual:
    @pytest.mark.parametrize("sign", [1, -1])
    def test_returns_closer_than_the_threshold_are_a_tie(self, sign):
        # Mean absolute return 10: the threshold is 1, applied once and exclusively.
        teacher = SyntheticTeacher(TeacherConfig("equal"))
        metrics = teacher.observe(one_step_segments(0, sign * 0.5, sign * 29.5))
        assert metrics["teacher_tie_rate"] == pytest.approx(1 / 3, rel=1e-12)
        answers = answers_of(teacher, left=[5, 5, 5, 5], right=[5.5, 4.5, 6, 4])
        np.testing.assert_array_equal(answers, [TIE, TIE, RIGHT, LEFT])

    def test_it_goes_by_true_returns_even_when_myopic(self):
        teacher = shown(one_step_segments(0, 20), equal_fraction=0.1, gamma=0.0)  # threshold 1
        left, right = segments_earning([[4, 0]]), segments_earning([[0, 4.5]])
        assert teacher.answer(left, right, rng=np.random.default_rng(0)) == TIE
        assert teacher.answer(left, left, rng=np.random.default_rng(0)) == TIE

    def test_the_threshold_follows_the_pool(self):
        teacher = shown(one_step_segments(0, 20), equal_fraction=0.1)  # threshold 1
        assert answers_of(teacher, left=[7], right=[5]) == LEFT
        teacher.observe(one_step_segments(0, 200))  # threshold 10
        assert answers_of(teacher, left=[7], right=[5]) == TIE


class TestMistakes:
    def test_a_mistake_flips_the_answer(self):
        teacher = SyntheticTeacher(TeacherSettings(p_mistake=1.0))
        answers = answers_of(teacher, left=[2, 1], right=[1, 2])
        np.testing.assert_array_equal(answers, [RIGHT, LEFT])

    def test_mistakes_happen_as_often_as_they_should(self):
        num_draws = 20_000
        teacher = SyntheticTeacher(TeacherConfig("mistake"))
        answers = answers_of(teacher, left=[2] * num_draws, right=[1] * num_draws)
        low, high = binomial_bounds(num_draws, 0.1)
        assert low <= (answers == RIGHT).sum() <= high

    def test_the_error_rate_is_the_mistake_rate_of_an_otherwise_perfect_teacher(self):
        metrics = SyntheticTeacher(TeacherConfig("mistake")).observe(one_step_segments(1, 2, 3, 3))
        assert metrics["teacher_error_rate"] == pytest.approx(0.1, rel=1e-12)

    def test_a_mistake_also_puts_a_wrong_choice_right(self):
        # Spread 1, gap 2: a choice errs with sigmoid(-2), an answer where choice or mistake does.
        teacher = SyntheticTeacher(TeacherSettings(beta=1.0, p_mistake=0.2))
        metrics = teacher.observe(one_step_segments(-1, 1))
        p_wrong = sigmoid(-2.0)
        expected = p_wrong * 0.8 + (1 - p_wrong) * 0.2
        assert metrics["teacher_error_rate"] == pytest.approx(expected, rel=1e-12)

    def test_ties_and_skips_are_not_flipped(self):
        # Mean return 10: both thresholds are 1.
        teacher = shown(
            one_step_segments(0, 20), p_mistake=1.0, skip_fraction=0.1, equal_fraction=0.1
        )
        answers = answers_of(teacher, left=[0, 7, 7, 9], right=[0.9, 7, 7.5, 7])
        np.testing.assert_array_equal(answers, [SKIP, TIE, TIE, RIGHT])


class TestOrderOfEffects:
    def test_a_pair_that_is_both_worthless_and_nearly_equal_is_skipped(self):
        teacher = SyntheticTeacher(TeacherSettings(skip_fraction=0.1, equal_fraction=0.1))
        metrics = teacher.observe(one_step_segments(0, 0.5, 29.5))
        assert metrics["teacher_skip_rate"] == pytest.approx(1 / 3, rel=1e-12)
        assert metrics["teacher_tie_rate"] == 0.0
        assert np.isnan(answers_of(teacher, left=[0.5], right=[0.5])).all()

    def test_nearly_equal_pairs_are_ties_however_noisy_the_choice(self):
        teacher = shown(one_step_segments(0, 20), beta=0.1, p_mistake=0.5, equal_fraction=0.1)
        answers = answers_of(teacher, left=[5] * 100, right=[5.5] * 100)
        np.testing.assert_array_equal(answers, TIE)

    def test_error_rate_leaves_out_what_was_skipped_or_tied(self):
        # Returns 0, 0.5, 29.5, 30: mean 15, thresholds 1.5. One pair is skipped, one tied; the rest
        # are about two standard deviations apart.
        pool = one_step_segments(0, 0.5, 29.5, 30)
        teacher = SyntheticTeacher(TeacherSettings(beta=1.0, skip_fraction=0.1, equal_fraction=0.1))
        metrics = teacher.observe(pool)
        std = float(np.std([0, 0.5, 29.5, 30]))
        p_wrong = sum(sigmoid(-gap / std) for gap in (29.5, 30, 29, 29.5)) / 4
        assert metrics["teacher_error_rate"] == pytest.approx(p_wrong, rel=1e-12)
        assert metrics["teacher_skip_rate"] == pytest.approx(1 / 6, rel=1e-12)
        assert metrics["teacher_tie_rate"] == pytest.approx(1 / 6, rel=1e-12)


class TestFigures:
    @pytest.mark.parametrize(
        "how", [*TEACHER_PRESETS.values(), EVERYTHING], ids=[*TEACHER_PRESETS, "everything"]
    )
    def test_they_foretell_the_answers_to_all_pairs(self, how):
        rewards = np.random.default_rng(3).integers(-2, 4, size=(25, 4))
        pool = segments_earning(rewards)
        teacher = SyntheticTeacher(how)
        metrics = teacher.observe(pool)
        pairs = np.array(list(itertools.combinations(range(25), 2)) * 40)
        left, right = pool[pairs[:, 0]], pool[pairs[:, 1]]
        answers = teacher.answer(left, right, rng=np.random.default_rng(0))
        assert np.isnan(answers).mean() == pytest.approx(metrics["teacher_skip_rate"], abs=1e-12)
        assert (answers == TIE).mean() == pytest.approx(metrics["teacher_tie_rate"], abs=1e-12)
        gap = left.true_returns - right.true_returns
        decisive = np.isin(answers, (LEFT, RIGHT)) & (gap != 0)
        num_wrong = ((answers == LEFT) != (gap > 0))[decisive].sum()
        # Chances differ from pair to pair, which only narrows the count's distribution.
        low, high = binomial_bounds(int(decisive.sum()), metrics["teacher_error_rate"])
        assert low <= num_wrong <= high

    def test_a_large_pool_is_judged_by_segments_spaced_evenly_through_it(self):
        rewards = np.random.default_rng(0).normal(size=(2_500, 5))
        rewards[1_250:] += 4.0  # later segments are better
        pool = segments_earning(rewards)
        metrics = SyntheticTeacher(TeacherConfig("noisy")).observe(pool)
        returns = pool.true_returns
        gaps = np.abs(returns[:, None] - returns[None, :])[np.triu_indices(2_500, k=1)]
        exact = (1 / (1 + np.exp(gaps / returns.std()))).mean()
        assert metrics["teacher_error_rate"] == pytest.approx(exact, abs=0.005)
        assert metrics["segment_return_mean"] == pytest.approx(returns.mean(), rel=1e-9)
        assert metrics["segment_return_std"] == pytest.approx(returns.std(), rel=1e-9)


class TestDraws:
    @pytest.mark.parametrize(
        "how", [*TEACHER_PRESETS.values(), EVERYTHING], ids=[*TEACHER_PRESETS, "everything"]
    )
    def test_every_pair_takes_one_number_from_the_stream_whatever_its_answer(self, how):
        pool = one_step_segments(-3, 0, 0, 0.1, 5, 9)
        teacher = SyntheticTeacher(how)
        teacher.observe(pool)
        rng, reference = np.random.default_rng(4), np.random.default_rng(4)
        teacher.answer(pool, pool[::-1], rng=rng)
        reference.random(6)
        assert rng.bit_generator.state == reference.bit_generator.state

    def test_a_pairs_answer_does_not_depend_on_the_other_pairs(self):
        pool = segments_earning(np.random.default_rng(0).normal(size=(60, 3)))
        teacher = SyntheticTeacher(EVERYTHING)
        teacher.observe(pool)
        left, right = pool[:50], pool[10:60]
        whole = teacher.answer(left, right, rng=np.random.default_rng(9))
        fewer = teacher.answer(left[:20], right[:20], rng=np.random.default_rng(9))
        np.testing.assert_array_equal(whole[:20], fewer)
        others_changed = SegmentBatch.concatenate([right[:20], right[:30]])
        changed = teacher.answer(left, others_changed, rng=np.random.default_rng(9))
        np.testing.assert_array_equal(whole[:20], changed[:20])


class TestRefusals:
    def test_an_oracle_is_not_told_to_fail(self):
        with pytest.raises(ConfigError, match=r"teacher.p_mistake is 0.2, but an oracle never"):
            SyntheticTeacher(TeacherConfig("oracle", p_mistake=0.2))

    @pytest.mark.parametrize(
        "changed", [{"beta": 1.0}, {"skip_fraction": 0.1}, {"equal_fraction": 0.1}]
    )
    def test_a_teacher_that_needs_a_scale_asks_for_the_pool_first(self, changed):
        teacher = SyntheticTeacher(TeacherSettings(**changed))
        with pytest.raises(DataError, match=r"call observe\(pool\) before answer\(\)"):
            answers_of(teacher, left=[1], right=[2])

    @pytest.mark.parametrize("name", ["oracle", "mistake", "myopic"])
    def test_a_teacher_that_needs_no_scale_answers_at_once(self, name):
        answers_of(SyntheticTeacher(TeacherConfig(name)), left=[1], right=[2])

    def test_true_rewards_that_are_not_numbers_are_refused(self):
        teacher = SyntheticTeacher(TeacherConfig("oracle"))
        with pytest.raises(DataError, match="true_rewards holds NaN or infinite"):
            teacher.observe(one_step_segments(1, math.nan))
        with pytest.raises(DataError, match="true_rewards holds NaN or infinite"):
            answers_of(teacher, left=[1], right=[math.inf])

    def test_an_empty_pool_is_refused(self):
        with pytest.raises(DataError, match="the pool holds no segments"):
            SyntheticTeacher(TeacherConfig("oracle")).observe(one_step_segments())

    @pytest.mark.parametrize("shape", [(3, 4), (2, 5)])
    def test_left_and_right_must_match(self, shape):
        left, right = segments_earning(np.zeros((2, 4))), segments_earning(np.zeros(shape))
        with pytest.raises(DataError, match=r"left has shape \(2, 4\) and right \("):
            SyntheticTeacher(TeacherConfig("oracle")).answer(
                left, right, rng=np.random.default_rng(0)
            )


# Quarters in (S, T): sums, and their differences, are exact.
quarters = hnp.arrays(
    np.int64, st.tuples(st.integers(2, 12), st.integers(1, 6)), elements=st.integers(-20, 20)
).map(lambda counts: counts / 4)
unweighted = st.sampled_from(["oracle", "noisy", "mistake", "skip", "equal"]).map(TeacherConfig)


class TestProperties:
    @settings(deadline=None, max_examples=60)
    @given(rewards=quarters, gamma=st.sampled_from([1.0, 0.9, 0.5, 0.0]))
    def test_swapping_left_and_right_mirrors_a_rational_teacher(self, rewards, gamma):
        pool = segments_earning(rewards)
        teacher = SyntheticTeacher(TeacherSettings(gamma=gamma))
        answers = teacher.answer(pool, pool[::-1], rng=np.random.default_rng(0))
        mirrored = teacher.answer(pool[::-1], pool, rng=np.random.default_rng(1))
        np.testing.assert_array_equal(answers, 1.0 - mirrored)

    @settings(deadline=None, max_examples=100)
    @given(rewards=quarters, constant=st.integers(-40, 40), how=unweighted)
    def test_a_constant_added_to_every_reward_turns_no_decisive_answer(
        self, rewards, constant, how
    ):
        # It moves the mean, and with it the thresholds: ties and skips may come and go.
        answers = []
        for pool in (segments_earning(rewards), segments_earning(rewards + constant)):
            teacher = SyntheticTeacher(how)
            teacher.observe(pool)
            answers.append(teacher.answer(pool, pool[::-1], rng=np.random.default_rng(0)))
        before, after = answers
        both = np.isin(before, (LEFT, RIGHT)) & np.isin(after, (LEFT, RIGHT))
        np.testing.assert_array_equal(before[both], after[both])

    @settings(deadline=None, max_examples=100)
    @given(
        rewards=quarters,
        exponent=st.integers(-12, 12),
        how=st.sampled_from([*TEACHER_PRESETS.values(), EVERYTHING]),
    )
    def test_the_unit_of_reward_does_not_matter_to_any_teacher(self, rewards, exponent, how):
        small, large = SyntheticTeacher(how), SyntheticTeacher(how)
        pool, scaled = segments_earning(rewards), segments_earning(rewards * 2.0**exponent)
        metrics, scaled_metrics = small.observe(pool), large.observe(scaled)
        for name in ("teacher_error_rate", "teacher_skip_rate", "teacher_tie_rate"):
            assert metrics[name] == scaled_metrics[name]
        np.testing.assert_array_equal(
            small.answer(pool, pool[::-1], rng=np.random.default_rng(0)),
            large.answer(scaled, scaled[::-1], rng=np.random.default_rng(0)),
        )
