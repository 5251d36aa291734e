"""What every query strategy must keep to: inherit `StrategyContract`, provide `make_strategy`."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.queries.predictor import Pairs, QueryStrategy
from prefrl.segments import FloatArray, SegmentBatch, observation_embeddings
from tests import linear_task
from tests.contracts.teacher_contract import global_generator_key


@dataclass(frozen=True)
class LinearPredictor:
    """K heads that weigh a segment's inputs each in its own way; `scale` 0 tells none apart."""

    num_heads: int = 3
    scale: float = 1.0
    num_asked: int = 30

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        inputs = segments.inputs().sum(1)
        weights = np.random.default_rng(0).normal(size=(inputs.shape[1], self.num_heads))
        return (self.scale * inputs @ weights).astype(np.float32)

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        return self._unit(segments.inputs().mean(1))

    def asked_embeddings(self) -> FloatArray:
        return self._unit(self._asked().inputs().mean(1))

    def asked_observation_embeddings(self) -> FloatArray:
        return observation_embeddings(self._asked().observations)

    def _asked(self) -> SegmentBatch:
        return linear_task.segments(30, rng=np.random.default_rng(9))[: self.num_asked]

    def _unit(self, points: FloatArray) -> FloatArray:
        if self.scale == 0.0:
            points = np.ones_like(points)
        return points / np.linalg.norm(points, axis=1, keepdims=True)


def as_sets(pairs: Pairs) -> set[frozenset[int]]:
    """The pairs, whichever side their segments stand on."""
    return {frozenset(pair) for pair in pairs.tolist()}


class StrategyContract:
    """The conformance suite of the `QueryStrategy` protocol.

    A subclass overrides the fixture `make_strategy`, which returns a function that builds a new
    strategy.
    """

    @pytest.fixture
    def make_strategy(self) -> Callable[[], QueryStrategy]:
        raise NotImplementedError

    @pytest.fixture
    def pool(self) -> SegmentBatch:
        return linear_task.segments(40, rng=np.random.default_rng(0))

    def select(self, make_strategy, pool, num_queries, predictor=None, seed=0) -> Pairs:
        """What a new strategy chooses, after the checks that hold for every choice."""
        predictor = predictor or LinearPredictor()
        rng = np.random.default_rng(seed)
        pairs = make_strategy().select(pool, num_queries, predictor, rng=rng)
        assert pairs.shape == (num_queries, 2)
        assert pairs.dtype == np.int64
        assert ((pairs >= 0) & (pairs < len(pool))).all()
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert len(as_sets(pairs)) == num_queries
        return pairs

    @pytest.mark.parametrize("num_queries", [1, 7, 20, 21, 100, 780])
    def test_as_many_distinct_pairs_are_chosen_as_were_asked_for(
        self, make_strategy, pool, num_queries
    ):
        self.select(make_strategy, pool, num_queries)

    @pytest.mark.parametrize("num_segments", [2, 3, 5])
    def test_small_pools_are_used_up_to_their_last_pair(self, make_strategy, pool, num_segments):
        every_pair = num_segments * (num_segments - 1) // 2
        for num_queries in range(1, every_pair + 1):
            self.select(make_strategy, pool[:num_segments], num_queries)

    @pytest.mark.parametrize(
        ("num_segments", "num_queries"), [(0, 1), (1, 1), (2, 2), (5, 11), (40, 781)]
    )
    def test_more_queries_than_pairs_are_refused(
        self, make_strategy, pool, num_segments, num_queries
    ):
        with pytest.raises(DataError, match=f"a pool of {num_segments} segments offers"):
            self.select(make_strategy, pool[:num_segments], num_queries)

    @pytest.mark.parametrize("num_queries", [0, -1])
    def test_no_queries_are_refused(self, make_strategy, pool, num_queries):
        with pytest.raises(DataError, match=f"{num_queries} queries were asked for"):
            self.select(make_strategy, pool, num_queries)

    @pytest.mark.parametrize(
        "predictor",
        [
            LinearPredictor(num_heads=1),
            LinearPredictor(num_heads=8),
            LinearPredictor(scale=0.0),
            LinearPredictor(scale=1e-30),
            LinearPredictor(scale=1e30),
            LinearPredictor(num_asked=0),
        ],
        ids=[
            *("one head", "eight heads", "constant scores", "tiny scores", "huge scores"),
            "nothing asked before",
        ],
    )
    @pytest.mark.parametrize("num_queries", [5, 30])
    def test_any_predictor_will_do(self, make_strategy, pool, predictor, num_queries):
        self.select(make_strategy, pool, num_queries, predictor)

    @pytest.mark.parametrize("num_queries", [5, 30])
    def test_the_same_stream_makes_the_same_choice(self, make_strategy, pool, num_queries):
        one, other = (self.select(make_strategy, pool, num_queries, seed=3) for _ in range(2))
        np.testing.assert_array_equal(one, other)

    def test_a_strategy_does_not_remember_its_last_choice(self, make_strategy, pool):
        strategy, predictor = make_strategy(), LinearPredictor()
        one, other = (
            strategy.select(pool, 8, predictor, rng=np.random.default_rng(3)) for _ in range(2)
        )
        np.testing.assert_array_equal(one, other)

    def test_the_side_a_segment_stands_on_carries_no_information(self, make_strategy, pool):
        num_first_left = num_pairs = 0
        for seed in range(200):
            pairs = self.select(make_strategy, pool[:8], 6, seed=seed)
            num_first_left += int((pairs[:, 0] < pairs[:, 1]).sum())
            num_pairs += len(pairs)
        # Five standard deviations of so many tosses of a coin.
        assert abs(num_first_left - num_pairs / 2) < 5 * np.sqrt(num_pairs) / 2

    def test_the_pool_stays_as_it_is_and_no_global_generator_is_drawn_from(
        self, make_strategy, pool
    ):
        before = {f.name: getattr(pool, f.name).copy() for f in fields(pool)}
        generator = global_generator_key()
        self.select(make_strategy, pool, 10)
        for name, array in before.items():
            np.testing.assert_array_equal(getattr(pool, name), array)
        assert global_generator_key() == generator
