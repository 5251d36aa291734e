import itertools

import kmedoids
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from prefrl.queries.coverage import squared_distances
from prefrl.queries.diverse_selectors import greedy_mode, hull_vertices, pair_points
from prefrl.queries.selectors import shortlist
from tests.queries.placed import as_sets, candidates_at, chosen, rng, symmetric


class TestPairPoints:
    def test_it_is_the_better_segments_place_less_the_others_whichever_comes_first(self):
        candidates = candidates_at([[1.0, 5.0], [3.0, 4.0]])
        for pairs in ([[0, 1]], [[1, 0]]):
            np.testing.assert_allclose(pair_points(candidates, np.array(pairs)), [[2.0, -1.0]])

    @given(num=st.integers(1, 6), others=st.integers(1, 6), dims=st.integers(1, 4))
    def test_distances_are_those_between_all_points(self, num, others, dims):
        a, b = rng(num).normal(size=(num, dims)), rng(others).normal(size=(others, dims))
        expected = np.square(a[:, None] - b[None, :]).sum(-1)
        np.testing.assert_allclose(squared_distances(a, b), expected, atol=1e-12)


def clustered(num_clusters, size):
    """Segments in pairs: (2 i, 2 i + 1) lies in cluster i modulo the number of clusters."""
    centres = 100.0 * np.eye(num_clusters)
    places = np.concatenate([centres] * size) + rng().normal(
        size=(num_clusters * size, num_clusters)
    )
    points = np.zeros((2 * len(places), num_clusters + 1))
    points[::2, 1:] = places
    points[::2, 0] = 1.0  # the better one
    values = -np.ones((len(points), len(points)))
    for i in range(0, len(points), 2):
        values[i, i + 1] = values[i + 1, i] = 1.0
    return points, values


@pytest.mark.parametrize("name", ["medoids", "boundary_medoids", "successive_elimination", "dpp"])
def test_every_cluster_of_pairs_is_asked_about_once(name):
    points, values = clustered(4, 10)  # 40 good pairs, which are the whole shortlist of four
    pairs = chosen(name, values, candidates_at(points), 4)
    assert (values[pairs[:, 0], pairs[:, 1]] == 1.0).all()
    assert sorted((pairs.min(1) // 2 % 4).tolist()) == [0, 1, 2, 3]


class TestMedoids:
    def test_they_are_as_good_as_those_of_another_search(self):
        points = rng().normal(size=(40, 3))
        candidates = candidates_at(points)
        pairs = chosen("medoids", symmetric(40, 0), candidates, 5)
        listed = shortlist(symmetric(40, 0), 50, rng=rng())
        places = pair_points(candidates, listed)
        distances = np.sqrt(squared_distances(places, places))
        rows = [listed.tolist().index(sorted(pair)) for pair in pairs.tolist()]
        cost = distances[rows].min(0).sum()
        assert cost <= 1.1 * kmedoids.pam(distances, 5, init="build").loss


class TestHull:
    def test_the_corners_of_a_square_are_on_it_and_its_inside_is_not(self):
        points = np.array([[0.0, 0], [1, 0], [0.5, 0.5], [0, 1], [1, 1], [0.4, 0.6]])
        assert hull_vertices(points).tolist() == [0, 1, 3, 4]

    @pytest.mark.parametrize(
        "points",
        [np.zeros((9, 3)), np.arange(9.0)[:, None] * np.ones(3), rng().normal(size=(3, 5))],
        ids=["one place", "a line", "three points"],
    )
    def test_what_has_no_hull_is_all_boundary(self, points):
        assert hull_vertices(points).tolist() == list(range(len(points)))

    def test_many_dims_are_seen_in_their_first_principal_directions(self):
        points = rng().normal(size=(200, 50)) * np.geomspace(10, 0.01, 50)
        centred = points - points.mean(0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:4]
        expected = np.sort(ConvexHull(centred @ directions.T).vertices)
        np.testing.assert_array_equal(hull_vertices(points), expected)

    def test_with_too_small_a_boundary_the_best_others_follow(self):
        # Every pair of three segments: a triangle's hull has three corners.
        points = rng().normal(size=(12, 2))
        pairs = chosen("boundary_medoids", symmetric(12, 0), candidates_at(points), 30)
        assert len(as_sets(pairs)) == 30


class TestSuccessiveElimination:
    def by_hand(self, values, candidates, num):
        pairs = shortlist(values, 10 * num, rng=rng())
        points = pair_points(candidates, pairs)
        alive = list(range(len(pairs)))
        while len(alive) > num:
            i, j = min(
                itertools.combinations(alive, 2),
                key=lambda ij: np.linalg.norm(points[ij[0]] - points[ij[1]]),
            )
            alive.remove(max(i, j))  # the later is worth less
        return [frozenset(pair) for pair in pairs[alive].tolist()]

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("num", [1, 2, 5])
    def test_it_is_the_elimination_made_by_brute_force(self, seed, num):
        points = rng(seed).normal(size=(15, 3))
        values = symmetric(15, seed)
        pairs = chosen("successive_elimination", values, candidates_at(points), num)
        expected = self.by_hand(values, candidates_at(points), num)
        assert [frozenset(pair) for pair in pairs.tolist()] == expected


class TestGreedyMode:
    @given(num=st.integers(2, 8), seed=st.integers(0, 200), share=st.floats(0.1, 1))
    def test_each_row_adds_most_to_the_determinant(self, num, seed, share):
        factor = rng(seed).normal(size=(num, num + 2))
        kernel = factor @ factor.T
        wanted = max(1, round(share * num))
        rows: list[int] = []
        for _ in range(wanted):
            left = [row for row in range(num) if row not in rows]
            rows.append(
                max(left, key=lambda row: np.linalg.det(kernel[np.ix_([*rows, row], [*rows, row])]))
            )
        assert greedy_mode(kernel, wanted).tolist() == rows

    def test_past_the_kernels_rank_the_first_of_the_others_follow(self):
        kernel = np.outer([1.0, 3.0, 2.0, 1.0], [1.0, 3.0, 2.0, 1.0])
        assert greedy_mode(kernel, 3).tolist() == [1, 0, 2]
