import sys
from collections.abc import Iterator

import numpy as np
import pytest

from prefrl.errors import ConfigError, DataError
from prefrl.queries import (
    ACQUISITIONS,
    SELECTORS,
    STRATEGIES,
    Combined,
    Uniform,
    make_strategy,
    register,
)
from prefrl.queries.pairs import check_pool, num_pairs
from prefrl.queries.strategies import canonical_name
from prefrl.testing.made_up import LinearPredictor
from tests import linear_task


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
        assert make_strategy("disagreement") == Combined(
            ACQUISITIONS["disagreement"], SELECTORS["greedy"]
        )
        assert make_strategy("entropy+dpp") == Combined(ACQUISITIONS["entropy"], SELECTORS["dpp"])

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("random", "uniform"),
            ("uniform+greedy", "uniform"),
            ("kcenter", "uniform+kcenter_observations"),
            ("kcenter_disagree", "disagreement+kcenter_observations"),
            ("kcenter_disagreement", "disagreement+kcenter_observations"),
            ("kcenter_entropy", "mean_entropy+kcenter_observations"),
            ("mutual_information", "information_gain+greedy"),
            ("mutual_information+medoids", "information_gain+medoids"),
            ("duo", "duo+medoids"),
        ],
    )
    def test_other_projects_names_resolve_to_their_meaning(self, theirs, ours):
        one, other = make_strategy(theirs), make_strategy(ours)
        assert one == other or (isinstance(one, Uniform) and isinstance(other, Uniform))

    @pytest.mark.parametrize(
        ("given", "one"),
        [
            ("uniform+greedy", "uniform"),
            ("random", "uniform"),
            ("uniform", "uniform"),
            ("disagreement+greedy", "disagreement"),
            ("disagreement+dpp", "disagreement+dpp"),
            ("mutual_information+greedy", "information_gain"),
            ("kcenter_entropy", "mean_entropy+kcenter_observations"),
            ("duo", "duo+medoids"),
            ("duo+medoids", "duo+medoids"),
            ("duo+greedy", "duo+greedy"),
            ("module:Mine", "module:Mine"),
        ],
    )
    def test_a_strategy_of_several_names_has_one_that_means_the_same(self, given, one):
        assert canonical_name(given) == one
        assert canonical_name(one) == one
        if ":" not in given:
            ours, theirs = make_strategy(one), make_strategy(given)
            assert ours == theirs or (isinstance(ours, Uniform) and isinstance(theirs, Uniform))

    def test_an_unknown_name_comes_with_the_valid_ones_and_the_nearest(self):
        with pytest.raises(
            ConfigError,
            match=r"unknown strategy 'unifrm'; choose from .*uniform.*; did",
        ) as refused:
            make_strategy("unifrm")
        assert str(refused.value).endswith("did you mean uniform?")
        with pytest.raises(ConfigError, match=r"unknown strategy 'x'; choose from [a-z_, +]*$"):
            make_strategy("x")
        with pytest.raises(ConfigError, match=r"unknown selector 'kcentre'; .*mean kcenter\?$"):
            make_strategy("disagreement+kcentre")
        for name, said in {
            "disagreement+": "unknown selector ''",
            "kcenter+dpp": r"'kcenter\+dpp': 'kcenter' is a whole one and takes no selector",
            "+": "unknown strategy ''",
            "": "unknown strategy ''",
        }.items():
            with pytest.raises(ConfigError, match=said):
                make_strategy(name)

    def test_a_module_is_told_that_a_name_in_it_is_asked_for(self, tmp_path, monkeypatch):
        (tmp_path / "shots_of_tests.py").write_text("1 / 0")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(
            ConfigError, match="; one in the module shots_of_tests goes by shots_of_"
        ):
            make_strategy("shots_of_tests")

    @pytest.mark.usefixtures("registry")
    def test_a_strategy_of_ones_own_is_found_by_name(self):
        @register("first-come")
        class FirstCome(Uniform):
            pass

        assert type(make_strategy("first-come")) is FirstCome
        with pytest.raises(ConfigError, match="'first-come' is a whole one and takes no selector"):
            make_strategy("first-come+greedy")

    @pytest.mark.usefixtures("registry")
    def test_a_function_that_makes_one_can_be_registered(self):
        @register("mine")
        def make_mine() -> Uniform:
            return Uniform()

        assert isinstance(make_mine(), Uniform)
        assert isinstance(make_strategy("mine"), Uniform)

    @pytest.mark.usefixtures("registry")
    @pytest.mark.parametrize("name", ["uniform", "disagreement", "kcenter"])
    def test_a_taken_name_is_refused_and_stays_what_it_was(self, name):
        before = make_strategy(name)
        with pytest.raises(ValueError, match=f"there is a query strategy '{name}' already"):
            register(name)(Uniform)
        assert type(make_strategy(name)) is type(before)

    @pytest.mark.parametrize("name", ["a+b", "a:b"])
    def test_a_name_that_reads_as_something_else_is_refused(self, name):
        with pytest.raises(ValueError, match="has no '\\+' and no ':'"):
            register(name)(Uniform)


MODULE = """
from prefrl.queries import Uniform

class Mine(Uniform):
    pass

class Demanding(Uniform):
    def __init__(self, what):
        pass

def newest_first(pool, num_queries, predictor, *, rng):
    order = (-pool.episode).argsort(kind="stable")[: 2 * num_queries]
    return order.reshape(-1, 2)

number = 3
"""


class TestOnesOwnModule:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        (tmp_path / "my_strategies.py").write_text(MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("my_strategies", None)

    def test_a_class_is_made(self):
        assert type(make_strategy("my_strategies:Mine")).__name__ == "Mine"

    def test_a_function_selects(self):
        pool = linear_task.segments(10, rng=np.random.default_rng(0))
        strategy = make_strategy("my_strategies:newest_first")
        pairs = strategy.select(pool, 2, LinearPredictor(), rng=np.random.default_rng(0))
        assert sorted(pool.episode[pairs.reshape(-1)]) == sorted(pool.episode)[-4:]

    @pytest.mark.parametrize("text", ["import nothing; 1 / 0", "1 / 0", "def choose(:"])
    def test_a_module_that_fails_when_imported_is_named_with_what_it_said(self, text, tmp_path):
        (tmp_path / "broken_strategies.py").write_text(text)
        with pytest.raises(ConfigError, match="'broken_strategies:choose' cannot be imported: "):
            make_strategy("broken_strategies:choose")

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            (
                "my_strategies:Theirs",
                "cannot be imported: my_strategies has no 'Theirs'; it has Mine, Demanding, newest",
            ),
            (
                "no_such_module:Mine",
                "cannot be imported: No module named 'no_such_module' in the working folder",
            ),
            (
                "my_strategies:Demanding",
                "cannot be made without arguments: TypeError: .* missing 1 required",
            ),
            ("my_strategies:number", "is an int; expected a class with a method `select`"),
            (":Mine", "cannot be imported"),
        ],
    )
    def test_what_cannot_be_used_is_refused_in_one_line(self, path, said):
        with pytest.raises(ConfigError, match=f"strategy '{path}' {said}"):
            make_strategy(path)


class TestPools:
    @pytest.mark.parametrize(("num_segments", "pairs"), [(0, 0), (1, 0), (2, 1), (5, 10)])
    def test_pairs_are_counted_once(self, num_segments, pairs):
        assert num_pairs(num_segments) == pairs

    def test_a_pool_too_small_says_what_it_offers(self):
        pool = linear_task.segments(3, rng=np.random.default_rng(0))
        rng = np.random.default_rng(0)
        check_pool(pool, 3, rng)
        with pytest.raises(
            DataError, match="a pool of 3 segments offers 3 pairs; 4 queries were asked for"
        ):
            check_pool(pool, 4, rng)


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
        class Silent(LinearPredictor):
            def score_segments(self, segments):
                raise AssertionError

        pool = linear_task.segments(4, rng=np.random.default_rng(0))
        assert len(Uniform().select(pool, 2, Silent(), rng=np.random.default_rng(0))) == 2
