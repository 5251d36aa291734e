"""Candidates that lie where a test puts them."""

import numpy as np

from prefrl.queries import SELECTORS, Candidates
from tests import linear_task


def as_sets(pairs: np.ndarray) -> set[frozenset[int]]:
    """The pairs, whichever side their segments stand on."""
    return {frozenset(pair) for pair in pairs.tolist()}


def symmetric(num: int, seed: int) -> np.ndarray:
    """(S, S) symmetric values, no two pairs with the same."""
    values = np.zeros((num, num))
    left, right = np.triu_indices(num, k=1)
    values[left, right] = np.random.default_rng(seed).permutation(len(left)) / len(left)
    return values + values.T


def rng(seed=0):
    return np.random.default_rng(seed)


class Placed:
    """A predictor whose segments lie where they are told to; each is worth its first number."""

    def __init__(self, points, asked):
        self.points = np.asarray(points, dtype=np.float32)
        self.asked = np.asarray(asked, dtype=np.float32).reshape(-1, self.points.shape[1])

    def score_segments(self, segments):
        return self.points[:, :1]

    def embed_segments(self, segments):
        return self.points

    def asked_embeddings(self):
        return self.asked

    def asked_observation_embeddings(self):
        raise AssertionError


def candidates_at(points, asked=(), seed=0):
    pool = linear_task.segments(len(points), rng=rng())
    return Candidates(pool, Placed(points, asked), rng(seed))


def chosen(name, values, candidates, num):
    return SELECTORS[name](values, candidates, num)
