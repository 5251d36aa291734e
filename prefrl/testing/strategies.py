"""The contract of a query strategy."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from prefrl.arguments import flag, whole_number
from prefrl.errors import ContractError, DataError
from prefrl.queries.pairs import checked_pairs, num_pairs
from prefrl.queries.predictor import PairIndices, QueryStrategy
from prefrl.segments import SegmentBatch
from prefrl.testing.clauses import calling, leaving_alone, require
from prefrl.testing.made_up import PREDICTORS, LinearPredictor, padded, segments

NUM_SEGMENTS = 40
NUM_TOSSES = 200

_Select = Callable[..., PairIndices]


def check_strategy(
    strategy: QueryStrategy | type[QueryStrategy] | Callable[..., PairIndices],
    *,
    seed: int = 0,
    draws_sides: bool = True,
    repeats_segments: bool = True,
) -> None:
    """Checks that a query strategy keeps to its contract.

    It chooses as many distinct pairs of different segments as it is asked for, down to the last
    pair of a small pool and whatever the predictor says; the same `rng` gives the same choice, the
    second time too; padding behind short segments plays no part; it writes to nothing and draws
    from `rng` alone; and the side a segment stands on says nothing of it.

    Args:
        strategy: one, its class, or a function that selects, as `--strategy module:name` takes.
        seed: of the made-up segments.
        draws_sides: False where sides are meant to say something, as the better one always left:
            a teacher who favours a side then misleads the reward model.
        repeats_segments: False where each segment is asked about at most once, so that a pool of S
            gives S / 2 queries at most.

    Raises:
        ContractError: it does not; the line names the clause.

    Example:
        >>> from prefrl.queries import make_strategy
        >>> check_strategy(make_strategy("disagreement"))
    """
    seed = whole_number("seed", seed)
    draws_sides = flag("draws_sides", draws_sides)
    repeats_segments = flag("repeats_segments", repeats_segments)
    select = _select_of(strategy)
    pool = segments(NUM_SEGMENTS, rng=np.random.default_rng(seed))

    def most(num_segments: int) -> int:
        return num_pairs(num_segments) if repeats_segments else num_segments // 2

    for num_queries in (1, 7, 20, 21, 100, num_pairs(NUM_SEGMENTS)):
        if num_queries <= most(NUM_SEGMENTS):
            _chosen(select, pool, num_queries, seed=seed)
    for num_segments in (2, 3, 5):
        for num_queries in range(1, most(num_segments) + 1):
            _chosen(select, pool[:num_segments], num_queries, seed=seed)
    for kind, predictor in PREDICTORS.items():
        for num_queries in (5, 20):
            _chosen(select, pool, num_queries, predictor, seed=seed, kind=kind)
    _check_repeats(strategy, select, pool, seed)
    with leaving_alone("the strategy", pool=pool):
        _chosen(select, pool, 10, seed=seed)
    for num_queries in (5, 20):
        plain, longer = (
            _chosen(select, one, num_queries, seed=seed) for one in (pool, padded(pool))
        )
        require(
            np.array_equal(plain, longer),
            "the strategy takes padding for steps: it chose other pairs of the same segments in "
            "longer arrays",
        )
    if draws_sides:
        _check_sides(select, pool[:8], most(8), seed)


def _select_of(strategy: Any) -> _Select:
    if isinstance(strategy, type):
        with calling("making the strategy without arguments"):
            strategy = strategy()
    select: Any = getattr(strategy, "select", strategy)
    if not callable(select):
        raise ContractError(
            f"a {type(strategy).__name__} is no strategy: expected a method `select`, or a "
            "function that selects"
        )
    return select  # type: ignore[no-any-return]


def _chosen(
    select: _Select,
    pool: SegmentBatch,
    num_queries: int,
    predictor: LinearPredictor | None = None,
    *,
    seed: int,
    kind: str = "",
) -> PairIndices:
    """Returns the choice, after the checks that hold for every one."""
    asked = f"asked for {num_queries} of {num_pairs(len(pool))} pairs"
    asked += f" with a predictor {kind}" if kind else ""
    rng = np.random.default_rng(seed)
    with calling(f"the strategy, {asked},"):
        pairs = select(pool, num_queries, predictor or LinearPredictor(), rng=rng)
    require(
        isinstance(pairs, np.ndarray),
        f"{asked}, the strategy returned a {type(pairs).__name__}; expected an array",
    )
    try:
        return checked_pairs(pairs, len(pool), num_queries)
    except DataError as error:
        raise ContractError(f"{asked}: {error}") from error


def _check_repeats(strategy: Any, select: _Select, pool: SegmentBatch, seed: int) -> None:
    for num_queries in (5, 20):
        one, other = (_chosen(_select_of(strategy), pool, num_queries, seed=seed) for _ in range(2))
        require(
            np.array_equal(one, other),
            "the strategy chose other pairs from the same pool with the same `rng`; all chance "
            "comes from `rng`",
        )
        for again in (_chosen(select, pool, num_queries, seed=seed) for _ in range(2)):
            require(
                np.array_equal(one, again),
                "the strategy chose other pairs when it was asked a second time; nothing is "
                "remembered from one choice to the next",
            )


def _check_sides(select: _Select, pool: SegmentBatch, most: int, seed: int) -> None:
    """Checks that sides are tossed for: neither they nor the pool's order may tell anything."""
    left, total = Counter[frozenset[int]](), Counter[frozenset[int]]()
    for toss in range(NUM_TOSSES):
        pairs = _chosen(select, pool, min(6, most), seed=seed + 1 + toss)
        for one, other in pairs.tolist():
            pair = frozenset((one, other))
            left[pair] += one < other
            total[pair] += 1
    # Sum of squares of P variables that are nearly normal: mean P, variance at most 2 P.
    squares = sum((left[pair] - n / 2) ** 2 / (n / 4) for pair, n in total.items())
    require(
        squares < len(total) + 6 * np.sqrt(2 * len(total)),
        "the side on which the strategy puts a segment tells something of it; toss for it with "
        "`rng`, or say draws_sides=False",
    )
