"""A strategy that breaks a clause of its contract is found out, in one line that says which."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prefrl.errors import ContractError
from prefrl.testing import check_strategy
from tests.testing.broken import broken


def fair(pool: Any, num_queries: int, predictor: Any, *, rng: np.random.Generator) -> Any:
    """Keeps to every clause."""
    left, right = np.triu_indices(len(pool), k=1)
    chosen = rng.choice(len(left), size=num_queries, replace=False)
    return rng.permuted(np.stack([left[chosen], right[chosen]], axis=1), axis=1)


BROKEN: dict[str, tuple[str, Callable[..., Any]]] = {}
breaks = broken(BROKEN)


@breaks("asked for 1 of 780 pairs: the query strategy chose an array of shape (0, 2)")
def one_pair_too_few(pool, num_queries, predictor, *, rng):
    return fair(pool, num_queries, predictor, rng=rng)[:-1]


@breaks("expected (1, 2) whole numbers")
def fractions(pool, num_queries, predictor, *, rng):
    return fair(pool, num_queries, predictor, rng=rng).astype(float)


@breaks("returned a list; expected an array")
def lists(pool, num_queries, predictor, *, rng):
    return fair(pool, num_queries, predictor, rng=rng).tolist()


@breaks("the pool has 0 to 39")
def segments_that_do_not_exist(pool, num_queries, predictor, *, rng):
    return fair(pool, num_queries, predictor, rng=rng) + len(pool)


@breaks("paired a segment with itself")
def a_segment_with_itself(pool, num_queries, predictor, *, rng):
    return rng.permutation(len(pool))[:num_queries, None].repeat(2, axis=1)


@breaks("chose a pair twice")
def pairs_drawn_with_replacement(pool, num_queries, predictor, *, rng):
    left = rng.integers(len(pool), size=num_queries)
    return np.stack([left, (left + 1) % len(pool)], axis=1)


@breaks("the strategy, asked for 21 of 780 pairs, raised DataError")
def each_segment_once(pool, num_queries, predictor, *, rng):
    from prefrl.errors import DataError

    if 2 * num_queries > len(pool):
        raise DataError("too many")
    return rng.permutation(len(pool))[: 2 * num_queries].reshape(-1, 2)


@breaks("with a predictor that was asked nothing before, raised ValueError")
def something_must_have_been_asked(pool, num_queries, predictor, *, rng):
    predictor.asked_embeddings().max(axis=0)
    return fair(pool, num_queries, predictor, rng=rng)


@breaks("from the same pool with the same `rng`")
def chance_of_its_own(pool, num_queries, predictor, *, rng):
    return fair(pool, num_queries, predictor, rng=np.random.default_rng())


@breaks("chose other pairs when it was asked a second time")
def remembers() -> Any:
    class Remembers:
        def __init__(self) -> None:
            self.calls = itertools.count()

        def select(self, pool, num_queries, predictor, *, rng):
            pairs = fair(pool, num_queries, predictor, rng=rng)
            return pairs if next(self.calls) < 1 else pairs[::-1]

    return Remembers


@breaks("writes to pool.observations, which is not its own")
def scales_the_pool(pool, num_queries, predictor, *, rng):
    pool.observations[:] *= 1.5
    return fair(pool, num_queries, predictor, rng=np.random.default_rng(0))


@breaks("draws from the global generator['numpy']")
def draws_globally(pool, num_queries, predictor, *, rng):
    np.random.random()  # noqa: NPY002
    return fair(pool, num_queries, predictor, rng=rng)


@breaks("the strategy takes padding for steps")
def chance_from_the_number_of_steps(pool, num_queries, predictor, *, rng):
    rng.random(pool.observations.shape[1])
    return fair(pool, num_queries, predictor, rng=rng)


@breaks("the side on which the strategy puts a segment tells something of it")
def the_lower_number_left(pool, num_queries, predictor, *, rng):
    return np.sort(fair(pool, num_queries, predictor, rng=rng), axis=1)


@breaks("the side on which the strategy puts a segment tells something of it")
def the_better_one_left(pool, num_queries, predictor, *, rng):
    pairs = fair(pool, num_queries, predictor, rng=rng)
    scores = predictor.score_segments(pool).mean(1)
    return np.take_along_axis(pairs, np.argsort(-scores[pairs], axis=1), axis=1)


@pytest.mark.parametrize(("said", "strategy"), BROKEN.values(), ids=BROKEN)
def test_a_broken_strategy_is_found_out(said: str, strategy: Callable[..., Any]) -> None:
    part = strategy() if strategy is remembers else strategy
    with pytest.raises(ContractError) as caught:
        check_strategy(part)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_a_class_and_an_instance_are_all_checked() -> None:
    class Fair:
        def select(self, pool, num_queries, predictor, *, rng):
            return fair(pool, num_queries, predictor, rng=rng)

    for strategy in (fair, Fair, Fair()):
        check_strategy(strategy)


def test_what_is_no_strategy_is_named() -> None:
    with pytest.raises(ContractError, match="a str is no strategy"):
        check_strategy("uniform")  # type: ignore[arg-type]


def test_a_strategy_that_says_so_may_use_each_segment_once_or_leave_the_sides() -> None:
    check_strategy(each_segment_once, repeats_segments=False)
    check_strategy(the_better_one_left, draws_sides=False)
    with pytest.raises(ContractError, match="raised DataError: too many"):
        check_strategy(each_segment_once, draws_sides=False)


@pytest.mark.parametrize("seed", range(20))
def test_a_fair_strategy_passes_from_every_seed(seed: int) -> None:
    check_strategy(fair, seed=seed)
