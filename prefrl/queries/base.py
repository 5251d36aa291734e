"""Query strategies by name, and the plainest of them."""

import difflib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from prefrl.errors import ConfigError, DataError
from prefrl.segments import SegmentBatch
from prefrl.types import Pairs, Predictor, QueryStrategy

STRATEGIES: dict[str, Callable[[], QueryStrategy]] = {}
_Maker = TypeVar("_Maker", bound=Callable[[], QueryStrategy])


def register(name: str) -> Callable[[_Maker], _Maker]:
    """Makes a strategy available by name: put it above a class, or a function that makes one.

    Args:
        name: what users type.

    Raises:
        ValueError: the name is taken.
    """

    def add(make: _Maker) -> _Maker:
        if name in STRATEGIES:
            raise ValueError(f"there is a query strategy {name!r} already")
        STRATEGIES[name] = make
        return make

    return add


def make_strategy(name: str) -> QueryStrategy:
    """The strategy of that name.

    Raises:
        ConfigError: there is none; the valid names are listed.
    """
    if name not in STRATEGIES:
        valid = ", ".join(sorted(STRATEGIES))
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"unknown strategy {name!r}; choose from {valid}{hint}")
    return STRATEGIES[name]()


def num_pairs(num_segments: int) -> int:
    """How many different pairs a pool of segments offers."""
    return num_segments * (num_segments - 1) // 2


def check_pool(pool: SegmentBatch, num_queries: int) -> None:
    """Refuses a pool that cannot fill the batch.

    Raises:
        DataError: fewer different pairs than queries, or no queries at all.
    """
    if not 1 <= num_queries <= num_pairs(len(pool)):
        raise DataError(
            f"a pool of {len(pool)} segments offers {num_pairs(len(pool))} pairs; "
            f"{num_queries} queries were asked for"
        )


@register("uniform")
class Uniform:
    """Pairs drawn uniformly, each segment used once as long as there are enough."""

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> Pairs:
        """(num_queries, 2) distinct pairs; the predictor is not asked."""
        check_pool(pool, num_queries)
        if 2 * num_queries <= len(pool):
            return rng.permutation(len(pool))[: 2 * num_queries].reshape(-1, 2).astype(np.int64)
        left, right = np.triu_indices(len(pool), k=1)
        chosen = rng.choice(len(left), size=num_queries, replace=False)
        pairs = np.stack([left[chosen], right[chosen]], axis=1)
        # Which side a segment stands on must carry no information.
        swap = rng.random(num_queries) < 0.5
        pairs[swap] = pairs[swap][:, ::-1]
        return pairs.astype(np.int64)
