import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from prefrl.queries import farthest_points, standardised
from prefrl.segments import observation_embeddings
from tests import linear_task


def rng(seed=0):
    return np.random.default_rng(seed)


def test_each_point_chosen_is_the_one_farthest_from_those_before():
    line = np.array([[0.0], [1.0], [10.0], [4.0]], dtype=np.float32)
    for seed in range(20):
        chosen = farthest_points(line, 4, rng=rng(seed)).tolist()
        expected = {0: [0, 2, 3, 1], 1: [1, 2, 3, 0], 2: [2, 0, 3, 1], 3: [3, 2, 0, 1]}
        assert chosen == expected[chosen[0]]


def test_where_it_begins_is_drawn():
    line = np.arange(10, dtype=np.float32)[:, None]
    assert len({int(farthest_points(line, 1, rng=rng(seed))[0]) for seed in range(50)}) > 5


def test_the_same_stream_chooses_the_same_points():
    points = rng(1).normal(size=(50, 3)).astype(np.float32)
    first, again = (farthest_points(points, 20, rng=rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@given(
    points=arrays(np.float32, (12, 2), elements=st.floats(-100, 100, width=32)),
    num_chosen=st.integers(1, 12),
)
def test_points_are_distinct_even_where_they_lie_on_each_other(points, num_chosen):
    chosen = farthest_points(points, num_chosen, rng=rng())
    assert len(set(chosen.tolist())) == num_chosen


def test_a_rare_place_is_chosen_early():
    crowd = rng(2).normal(scale=0.1, size=(990, 4))
    rare = rng(3).normal(loc=5.0, scale=0.1, size=(10, 4))
    points = np.concatenate([crowd, rare]).astype(np.float32)
    for seed in range(10):
        assert (farthest_points(points, 2, rng=rng(seed)) >= 990).any()


def test_a_segment_lies_at_its_mean_and_its_last_observation():
    # Two segments of two steps; means 1 and 3, ends 2 and 2: only the means tell them apart.
    observations = np.array([[[0.0], [2.0]], [[4.0], [2.0]]], dtype=np.float32)
    points = standardised(observation_embeddings(observations))
    np.testing.assert_allclose(points, [[-1.0, 0.0], [1.0, 0.0]])


def test_units_do_not_matter():
    observations = linear_task.segments(40, rng=rng(4)).observations
    scaled = (observations * np.array([1e3, 1e-2, 1.0, 7.0]) + 5.0).astype(np.float32)
    np.testing.assert_allclose(
        standardised(observation_embeddings(observations)),
        standardised(observation_embeddings(scaled)),
        atol=2e-2,
    )


def test_a_single_segment_lies_at_the_origin():
    assert not standardised(
        observation_embeddings(np.array([[[3.0, 4.0]]], dtype=np.float32))
    ).any()


@pytest.mark.parametrize("num_chosen", [1, 5])
def test_all_of_a_pool_can_be_chosen(num_chosen):
    points = np.zeros((num_chosen, 2), dtype=np.float32)
    assert sorted(farthest_points(points, num_chosen, rng=rng())) == list(range(num_chosen))
