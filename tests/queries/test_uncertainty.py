import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.queries.uncertainty import (
    Disagreement,
    best_distinct_pairs,
    preference_disagreement,
)
from tests import linear_task
from tests.contracts.strategy_contract import LinearPredictor, as_sets

SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 5)),
    elements=st.floats(-30, 30, width=32),
)


def naive_disagreement(scores: np.ndarray) -> np.ndarray:
    """The population variance over heads of sigmoid(score - score), pair by pair."""
    num = len(scores)
    variance = np.zeros((num, num))
    for i, j in itertools.product(range(num), repeat=2):
        p_left = 1 / (1 + np.exp(-(scores[i].astype(np.float64) - scores[j])))
        variance[i, j] = p_left.var()
    return variance


def best_by_hand(values: np.ndarray, num_queries: int) -> list[frozenset[int]]:
    """Rounds over all pairs from the highest value down; a round uses no segment twice."""
    ranked = sorted(
        itertools.combinations(range(len(values)), 2), key=lambda pair: -values[pair]
    )  # fmt: skip
    chosen: list[frozenset[int]] = []
    while len(chosen) < num_queries:
        used: set[int] = set()
        for pair in ranked:
            if frozenset(pair) not in chosen and not used & set(pair) and len(chosen) < num_queries:
                chosen.append(frozenset(pair))
                used |= set(pair)
    return chosen


def symmetric(num: int, seed: int) -> np.ndarray:
    """(S, S) symmetric values, no two pairs with the same."""
    values = np.zeros((num, num))
    left, right = np.triu_indices(num, k=1)
    values[left, right] = np.random.default_rng(seed).permutation(len(left)) / len(left)
    return values + values.T


class TestPreferenceDisagreement:
    def test_two_heads_of_opposite_mind_disagree_as_computed_by_hand(self):
        # Differences of +ln 3 and -ln 3: probabilities 3/4 and 1/4, a spread of 1/4.
        scores = np.array([[np.log(3), 0.0], [0.0, np.log(3)]], dtype=np.float32)
        np.testing.assert_allclose(
            preference_disagreement(scores), [[0, 1 / 16], [1 / 16, 0]], atol=1e-7
        )

    def test_heads_that_agree_do_not_disagree(self):
        scores = np.repeat(np.arange(4, dtype=np.float32)[:, None], 3, axis=1)
        np.testing.assert_allclose(preference_disagreement(scores), 0, atol=1e-7)

    def test_a_single_head_agrees_with_itself_exactly(self):
        scores = np.random.default_rng(0).normal(size=(30, 1)).astype(np.float32)
        assert (preference_disagreement(scores) == 0).all()

    @pytest.mark.parametrize(("num_heads", "largest"), [(2, 1 / 4), (3, 2 / 9)])
    def test_certain_heads_of_opposite_mind_disagree_as_much_as_can_be(self, num_heads, largest):
        scores = np.zeros((2, num_heads), dtype=np.float32)
        scores[0] = [1e4] + [-1e4] * (num_heads - 1)
        assert preference_disagreement(scores)[0, 1] == pytest.approx(largest)

    @given(scores=SCORES)
    def test_it_is_the_variance_of_the_predicted_preference(self, scores):
        values = preference_disagreement(scores)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, naive_disagreement(scores), atol=1e-6)

    @given(scores=SCORES)
    def test_it_is_symmetric_in_range_and_0_for_a_segment_with_itself(self, scores):
        values = preference_disagreement(scores)
        np.testing.assert_array_equal(values, values.T)
        assert ((values >= 0) & (values <= 0.25 + 1e-7)).all()
        assert (np.diag(values) == 0).all()

    @given(scores=SCORES, shift=st.floats(-20, 20, width=32))
    def test_what_a_head_adds_to_every_segment_does_not_matter(self, scores, shift):
        shifted = scores.copy()
        shifted[:, 0] += np.float32(shift)
        np.testing.assert_allclose(
            preference_disagreement(shifted), preference_disagreement(scores), atol=1e-5
        )


class TestBestDistinctPairs:
    @given(
        num=st.integers(2, 9),
        seed=st.integers(0, 1000),
        share=st.floats(0, 1),
    )
    def test_it_is_the_greedy_choice_made_by_brute_force(self, num, seed, share):
        values = symmetric(num, seed)
        num_queries = max(1, round(share * num * (num - 1) / 2))
        pairs = best_distinct_pairs(values, num_queries, rng=np.random.default_rng(seed))
        assert [frozenset(pair) for pair in pairs.tolist()] == best_by_hand(values, num_queries)

    def test_large_pools_are_treated_as_small_ones(self):
        values = symmetric(150, 0)  # 11,175 pairs: more than one block
        for num_queries in (10, 75, 200):
            pairs = best_distinct_pairs(values, num_queries, rng=np.random.default_rng(0))
            assert as_sets(pairs) == set(best_by_hand(values, num_queries))

    @given(num=st.integers(2, 40), seed=st.integers(0, 1000))
    def test_no_segment_is_used_twice_while_unused_ones_are_left(self, num, seed):
        values = symmetric(num, seed)
        values[0] = values[:, 0] = 2.0  # One odd segment that disagrees with all others.
        pairs = best_distinct_pairs(values, num // 2, rng=np.random.default_rng(seed))
        assert len(set(pairs.reshape(-1).tolist())) == 2 * (num // 2)
        assert 0 in pairs[0]

    def test_the_best_pair_comes_first(self):
        values = symmetric(20, 1)
        pair = best_distinct_pairs(values, 1, rng=np.random.default_rng(0))[0]
        assert values[tuple(pair)] == values.max()

    def test_equal_values_are_broken_at_random(self):
        rng, counts = np.random.default_rng(0), np.zeros((5, 5), dtype=int)
        for _ in range(3000):
            ((left, right),) = best_distinct_pairs(np.full((5, 5), 0.1), 1, rng=rng)
            counts[left, right] += 1
        expected = 3000 / 20
        assert np.abs(counts[~np.eye(5, dtype=bool)] - expected).max() < 5 * np.sqrt(expected)
        assert (np.diag(counts) == 0).all()

    def test_values_are_not_changed(self):
        values = symmetric(10, 0)
        before = values.copy()
        best_distinct_pairs(values, 30, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(values, before)


class TestDisagreement:
    def test_it_asks_about_the_pairs_that_heads_disagree_on_most(self):
        pool = linear_task.segments(12, rng=np.random.default_rng(0))
        predictor = LinearPredictor(scale=0.02)  # Certain heads would tie in float32.
        pairs = Disagreement().select(pool, 6, predictor, rng=np.random.default_rng(0))
        values = naive_disagreement(predictor.score_segments(pool))
        assert [frozenset(pair) for pair in pairs.tolist()] == best_by_hand(values, 6)

    def test_it_scores_every_segment_once(self):
        class Counting(LinearPredictor):
            def score_segments(self, segments):
                asked.append(len(segments))
                return super().score_segments(segments)

        asked: list[int] = []
        pool = linear_task.segments(30, rng=np.random.default_rng(0))
        Disagreement().select(pool, 10, Counting(), rng=np.random.default_rng(0))
        assert asked == [30]

    def test_all_pairs_of_1000_segments_take_a_fraction_of_a_second(self):
        scores = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32) * 5
        times_s = []
        for _ in range(3):
            began_s = time.process_time()
            values = preference_disagreement(scores)
            best_distinct_pairs(values, 500, rng=np.random.default_rng(0))
            times_s.append(time.process_time() - began_s)
        assert min(times_s) < 1.0  # 0.15 on the machine it was written on
