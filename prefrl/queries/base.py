"""Query strategies by name: an acquisition with a selector, or one of your own."""

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from prefrl.errors import ConfigError, DataError
from prefrl.queries.acquisitions import ACQUISITIONS, Acquisition
from prefrl.queries.candidates import Candidates
from prefrl.queries.predictor import Pairs, Predictor, QueryStrategy
from prefrl.queries.selectors import SELECTORS, Selector
from prefrl.segments import SegmentBatch

STRATEGIES: dict[str, Callable[[], QueryStrategy]] = {}
"""Strategies that are no acquisition with a selector, by name."""

ALIASES: dict[str, str] = {
    # What a name alone means, where that is not the greedy selector.
    "duo": "duo+medoids",
    # B-Pref's samplers, which measure raw observations.
    "kcenter": "uniform+kcenter_observations",
    "kcenter_disagree": "disagreement+kcenter_observations",
    "kcenter_disagreement": "disagreement+kcenter_observations",
    "kcenter_entropy": "mean_entropy+kcenter_observations",
    # APReL's acquisition functions.
    "mutual_information": "information_gain",
    "random": "uniform",
}
"""Other projects' names, and what they mean here."""

GREEDY = "greedy"
"""The selector of an acquisition that is named alone, but for what `ALIASES` says of it."""

_Maker = TypeVar("_Maker", bound=Callable[[], QueryStrategy])


def register(name: str) -> Callable[[_Maker], _Maker]:
    """Makes a strategy available by name: put it above a class, or a function that makes one.

    Args:
        name: what users type.

    Raises:
        ValueError: the name is taken, or reads as something else.
    """

    def add(make: _Maker) -> _Maker:
        if name in {*STRATEGIES, *ACQUISITIONS, *ALIASES}:
            raise ValueError(f"there is a query strategy {name!r} already")
        if "+" in name or ":" in name:
            raise ValueError(f"a query strategy's name has no '+' and no ':', as {name!r} does")
        STRATEGIES[name] = make
        return make

    return add


def strategy_names() -> list[str]:
    """What can be asked for by a name alone."""
    return sorted({*STRATEGIES, *ACQUISITIONS, *ALIASES})


def make_strategy(name: str) -> QueryStrategy:
    """The strategy of that name.

    Args:
        name: an acquisition, `acquisition+selector`, another project's name for one, a registered
            name, or `module:name` of a class or function of your own.

    Raises:
        ConfigError: there is none; the valid names are listed.
    """
    if ":" in name:
        return _imported(name)
    if name in STRATEGIES:
        return STRATEGIES[name]()
    first, plus, _ = name.partition("+")
    is_whole = first in STRATEGIES or ("+" in ALIASES.get(first, "") and first not in ACQUISITIONS)
    if plus and is_whole:
        raise ConfigError(f"strategy {name!r}: {first!r} is a whole one and takes no selector")
    head, tail = _parts(name)
    if head not in ACQUISITIONS:
        raise ConfigError(_unknown("strategy", head, strategy_names()))
    if tail not in SELECTORS:
        raise ConfigError(_unknown("selector", tail, sorted(SELECTORS)))
    if (head, tail) == ("uniform", GREEDY):
        return Uniform()
    return Combined(ACQUISITIONS[head], SELECTORS[tail])


def canonical_name(name: str) -> str:
    """The one name of a strategy that has several: `uniform` of `uniform+greedy` and of `random`.

    Args:
        name: one that `make_strategy` takes; registered names and `module:name` stay as they are.
    """
    if ":" in name or name in STRATEGIES:
        return name
    head, tail = _parts(name)
    is_usual = tail == GREEDY and ALIASES.get(head, head) == head
    return head if is_usual else f"{head}+{tail}"


def _parts(name: str) -> tuple[str, str]:
    """Acquisition and selector."""
    head, plus, tail = ALIASES.get(name, name).partition("+")
    head = head if head in ACQUISITIONS else ALIASES.get(head, head)
    return head, tail if plus else GREEDY


def _unknown(what: str, name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {what} {name!r}; choose from {', '.join(valid)}{hint}"


def _imported(path: str) -> QueryStrategy:
    """`module:name`, looked for in the working directory as well."""
    module_name, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # whatever a user's own module does
        raise ConfigError(f"strategy {path!r} cannot be imported: {_said_by(error)}") from error
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(
                f"strategy {path!r} cannot be made without arguments: {_said_by(error)}"
            ) from error
    if callable(getattr(found, "select", None)):
        strategy: QueryStrategy = found
        return strategy
    if callable(found):
        return Function(found)
    raise ConfigError(
        f"strategy {path!r} is a {type(found).__name__}; expected a class with a method `select`, "
        "or a function that selects"
    )


def _said_by(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


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


def checked_pairs(pairs: Pairs, num_segments: int, num_queries: int) -> Pairs:
    """What a strategy chose, which may be a user's own.

    Raises:
        DataError: it is not as many distinct pairs of different segments as were asked for.
    """
    pairs = np.asarray(pairs)
    if pairs.shape != (num_queries, 2) or not np.issubdtype(pairs.dtype, np.integer):
        raise DataError(
            f"the query strategy chose an array of shape {pairs.shape} and type {pairs.dtype}; "
            f"expected ({num_queries}, 2) whole numbers"
        )
    if pairs.min() < 0 or pairs.max() >= num_segments:
        raise DataError(
            f"the query strategy chose segments {pairs.min()} to {pairs.max()}; the pool has 0 to "
            f"{num_segments - 1}"
        )
    if (pairs[:, 0] == pairs[:, 1]).any():
        raise DataError("the query strategy paired a segment with itself")
    if len(np.unique(np.sort(pairs, axis=1), axis=0)) < num_queries:
        raise DataError("the query strategy chose a pair twice")
    return pairs


def sides_drawn(pairs: Pairs, *, rng: np.random.Generator) -> Pairs:
    """The pairs, each turned round half of the time.

    Which side a segment stands on must carry no information.
    """
    pairs = pairs.astype(np.int64)
    swap = rng.random(len(pairs)) < 0.5
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs


@dataclass(frozen=True)
class Combined:
    """An acquisition gives every pair of the pool a value, a selector picks a batch.

    Args:
        values_of: the acquisition.
        choose: the selector.
    """

    values_of: Acquisition
    choose: Selector

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> Pairs:
        """(num_queries, 2) distinct pairs."""
        check_pool(pool, num_queries)
        candidates = Candidates(pool, predictor, rng)
        values = self.values_of(candidates)
        return sides_drawn(self.choose(values, candidates, num_queries), rng=rng)


@dataclass(frozen=True)
class Function:
    """A function as a strategy.

    Args:
        choose: takes what `QueryStrategy.select` takes, and returns what it returns.
    """

    choose: Callable[..., Pairs]

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> Pairs:
        """(num_queries, 2) the function's choice."""
        return self.choose(pool, num_queries, predictor, rng=rng)


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
        return sides_drawn(np.stack([left[chosen], right[chosen]], axis=1), rng=rng)
