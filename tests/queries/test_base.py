from collections.abc import Iterator

import numpy as np
import pytest

from prefrl.errors import ConfigError, DataError
from prefrl.queries import STRATEGIES, Disagreement, Uniform, make_strategy, register
from prefrl.queries.base import check_pool, num_pairs
from tests import linear_task
from tests.contracts.strategy_contract import LinearPredictor


@pytest.fixture
def registry() -> Iterator[None]:
    """Takes what a test registers out again."""
    before = dict(STRATEGIES)
    yield
    STRATEGIES.clear()
    STRATEGIES.update(before)


class TestRegistry:
    def test_strategies_are_made_by_name(self):
        assert isinstance(make_strategy("uniform"), Uniform)
        assert isinstance(make_strategy("disagreement"), Disagreement)
        assert make_strategy("uniform") is not make_strategy("uniform")

    def test_an_unknown_name_comes_with_the_valid_ones_and_the_nearest(self):
        with pytest.raises(
            ConfigError,
            match=r"unknown strategy 'unifrm'; choose from .*uniform; did",
        ) as refused:
            make_strategy("unifrm")
        assert str(refused.value).endswith("did you mean uniform?")
        with pytest.raises(ConfigError, match=r"unknown strategy 'x'; choose from [a-z_, +]*$"):
            make_strategy("x")

    @pytest.mark.usefixtures("registry")
    def test_a_strategy_of_ones_own_is_found_by_name(self):
        @register("first-come")
        class FirstCome(Uniform):
            pass

        assert type(make_strategy("first-come")) is FirstCome

    @pytest.mark.usefixtures("registry")
    def test_a_function_that_makes_one_can_be_registered(self):
        @register("mine")
        def make_mine() -> Uniform:
            return Uniform()

        assert isinstance(make_mine(), Uniform)
        assert isinstance(make_strategy("mine"), Uniform)

    @pytest.mark.usefixtures("registry")
    def test_a_taken_name_is_refused_and_stays_what_it_was(self):
        with pytest.raises(ValueError, match="there is a query strategy 'uniform' already"):
            register("uniform")(Disagreement)
        assert isinstance(make_strategy("uniform"), Uniform)


class TestPools:
    @pytest.mark.parametrize(("num_segments", "pairs"), [(0, 0), (1, 0), (2, 1), (5, 10)])
    def test_pairs_are_counted_once(self, num_segments, pairs):
        assert num_pairs(num_segments) == pairs

    def test_a_pool_too_small_says_what_it_offers(self):
        pool = linear_task.segments(3, rng=np.random.default_rng(0))
        check_pool(pool, 3)
        with pytest.raises(
            DataError, match="a pool of 3 segments offers 3 pairs; 4 queries were asked for"
        ):
            check_pool(pool, 4)


class TestUniform:
    def draw(self, num_segments: int, num_queries: int, num_draws: int) -> np.ndarray:
        """(num_segments, num_segments) how often each segment stood left of each other."""
        pool = linear_task.segments(num_segments, rng=np.random.default_rng(0))
        rng, counts = np.random.default_rng(1), np.zeros((num_segments, num_segments), dtype=int)
        for _ in range(num_draws):
            pairs = Uniform().select(pool, num_queries, LinearPredictor(), rng=rng)
            np.add.at(counts, tuple(pairs.T), 1)
        return counts

    @pytest.mark.parametrize("num_queries", [1, 3, 5])
    def test_every_pair_is_equally_likely_on_either_side(self, num_queries):
        num_draws, num_ordered = 3000, 30
        counts = self.draw(6, num_queries, num_draws)[~np.eye(6, dtype=bool)]
        expected = num_draws * num_queries / num_ordered
        # Five standard deviations, of draws that are taken for independent.
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)

    @pytest.mark.parametrize(("num_segments", "num_queries"), [(8, 4), (9, 4), (1000, 500)])
    def test_segments_are_used_once_where_there_are_enough(self, num_segments, num_queries):
        counts = self.draw(num_segments, num_queries, 1)
        assert (counts.sum(0) + counts.sum(1)).max() == 1

    def test_the_predictor_is_not_asked(self):
        class Silent:
            def score_segments(self, segments):
                raise AssertionError

        pool = linear_task.segments(4, rng=np.random.default_rng(0))
        assert len(Uniform().select(pool, 2, Silent(), rng=np.random.default_rng(0))) == 2
