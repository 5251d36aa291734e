import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.queries import Candidates, selector
from prefrl.queries.selectors import best_distinct_pairs, shortlist
from prefrl.segments import observation_embeddings
from prefrl.testing.made_up import LinearPredictor
from tests import linear_task
from tests.queries.placed import as_sets, candidates_at, chosen, rng, symmetric


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


class Remembering:
    """A predictor that knows what was seen in the segments asked about, and nothing else."""

    def __init__(self, asked):
        self.asked = asked

    def score_segments(self, segments):
        raise AssertionError

    embed_segments = score_segments

    def asked_embeddings(self):
        raise AssertionError

    def asked_observation_embeddings(self):
        return self.asked


def observed_at(points, asked=(), seed=0):
    """Segments that stand still for three steps, each at its point."""

    def still(places):
        return np.repeat(np.asarray(places, dtype=np.float32)[:, None], 3, axis=1)

    pool = linear_task.segments(len(points), rng=rng(), length=3)
    pool = dataclasses.replace(pool, observations=still(points))
    return Candidates(
        pool, Remembering(observation_embeddings(still(asked)) if len(asked) else []), rng(seed)
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
        expected = 3000 / 10
        counts += counts.T
        assert np.abs(counts[~np.eye(5, dtype=bool)] - expected).max() < 5 * np.sqrt(expected)
        assert (np.diag(counts) == 0).all()

    def test_values_are_not_changed(self):
        values = symmetric(10, 0)
        before = values.copy()
        best_distinct_pairs(values, 30, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(values, before)


class TestGreedy:
    def test_it_takes_the_best_pairs(self):
        pool = linear_task.segments(12, rng=rng())
        values = symmetric(12, 0)
        pairs = chosen("greedy", values, Candidates(pool, LinearPredictor(), rng()), 6)
        assert [frozenset(pair) for pair in pairs.tolist()] == best_by_hand(values, 6)


class TestShortlist:
    @given(num=st.integers(2, 12), seed=st.integers(0, 100), share=st.floats(0, 1.5))
    def test_it_is_the_best_pairs_in_order_whatever_their_segments(self, num, seed, share):
        values = symmetric(num, seed)
        wanted = max(1, round(share * num * (num - 1) / 2))
        pairs = shortlist(values, wanted, rng=rng(seed))
        ranked = sorted(itertools.combinations(range(num), 2), key=lambda pair: -values[pair])
        assert [tuple(sorted(pair)) for pair in pairs.tolist()] == ranked[:wanted]

    def test_equal_ones_are_taken_at_random(self):
        counts = np.zeros((5, 5))
        for seed in range(2000):
            for left, right in shortlist(np.zeros((5, 5)), 2, rng=rng(seed)):
                counts[left, right] += 1
        expected = 2000 * 2 / 10
        assert np.abs(counts[np.triu_indices(5, 1)] - expected).max() < 5 * np.sqrt(expected)


class TestTournament:
    def test_each_query_is_the_best_of_ten_pairs_drawn(self):
        values, ranks = symmetric(60, 0), []
        for seed in range(40):
            pool = linear_task.segments(60, rng=rng())
            candidates = Candidates(pool, LinearPredictor(), rng(seed))
            pairs = chosen("tournament", values, candidates, 20)
            ranks += values[pairs[:, 0], pairs[:, 1]].tolist()
        # Values are spread evenly over (0, 1): the largest of ten is 10/11 on average.
        assert np.mean(ranks) == pytest.approx(10 / 11, abs=0.02)
        assert np.min(ranks) < 0.7, "softer than taking the best of all"

    def test_with_fewer_pairs_than_that_they_are_shared_out(self):
        pool = linear_task.segments(5, rng=rng())
        pairs = chosen(
            "tournament", symmetric(5, 0), Candidates(pool, LinearPredictor(), rng()), 10
        )
        assert len(as_sets(pairs)) == 10


class TestKCenter:
    LINE = np.array([[0.0], [1.0], [10.0], [11.0], [5.0], [6.0]])

    @pytest.fixture(params=["kcenter", "kcenter_observations"])
    def choose(self, request):
        """The selector, on segments that lie where they are told to in the space it looks at."""
        place = {"kcenter": candidates_at, "kcenter_observations": observed_at}[request.param]

        def choose(values, points, num, *, asked=()):
            return chosen(request.param, values, place(points, asked), num)

        return choose

    def test_the_next_pair_is_the_one_whose_nearer_segment_lies_farthest_from_those_before(
        self, choose
    ):
        values = np.zeros((6, 6))
        values[0, 1] = values[1, 0] = 1.0  # the best pair comes first
        pairs = choose(values, self.LINE, 3)
        assert set(pairs[0].tolist()) == {0, 1}
        assert set(pairs[1].tolist()) == {2, 3}, "9 and 10 away from the first"
        assert set(pairs[2].tolist()) == {4, 5}

    # Were the one segment asked about put into units of its own, it would lie amid the candidates.
    @pytest.mark.parametrize(("asked", "farthest"), [(0.0, {2, 3}), (11.0, {0, 1})])
    def test_distances_are_counted_from_what_was_asked_about_before(self, choose, asked, farthest):
        pairs = choose(np.zeros((6, 6)), self.LINE, 2, asked=[[asked]])
        assert set(pairs[0].tolist()) == farthest

    def test_only_pairs_of_high_value_are_considered(self, choose):
        values = symmetric(30, 0)
        pairs = choose(values, rng().normal(size=(30, 2)), 3)
        ranked = sorted(itertools.combinations(range(30), 2), key=lambda pair: -values[pair])
        assert as_sets(pairs) <= {frozenset(pair) for pair in ranked[:30]}

    def test_where_all_lie_at_one_place_the_best_are_taken(self, choose):
        values = symmetric(8, 0)
        pairs = choose(values, np.zeros((8, 2)), 4)
        ranked = sorted(itertools.combinations(range(8), 2), key=lambda pair: -values[pair])
        assert [frozenset(pair) for pair in pairs.tolist()] == [frozenset(p) for p in ranked[:4]]

    def test_no_observation_counts_for_its_unit(self):
        points, asked = rng(1).normal(size=(20, 3)), rng(2).normal(size=(4, 3))
        metres, millimetres = (
            chosen(
                "kcenter_observations",
                np.zeros((20, 20)),
                observed_at(points * unit, asked * unit),
                8,
            )
            for unit in (1.0, np.array([1.0, 1000.0, 1.0]))
        )
        np.testing.assert_array_equal(metres, millimetres)


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="there is a selector 'dpp' already"):
        selector("dpp")(lambda values, candidates, num: np.zeros((0, 2), np.int64))
