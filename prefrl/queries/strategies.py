"""Query strategies by name: an acquisition with a selector, or one of your own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from prefrl.arguments import flag, function
from prefrl.errors import ArgumentError, ConfigError, name_of, not_a, option, unknown, with_type
from prefrl.own_modules import import_own, is_module
from prefrl.queries.candidates import Candidates
from prefrl.queries.ease import weighed
from prefrl.queries.pairs import check_pool, num_pairs, pairs_numbered, sides_drawn
from prefrl.queries.predictor import PairIndices, Predictor, QueryStrategy
from prefrl.queries.registry import (
    ACQUISITIONS,
    ALIASES,
    GREEDY,
    SELECTORS,
    STRATEGIES,
    Acquisition,
    Selector,
)
from prefrl.segments import SegmentBatch


def strategy_names() -> list[str]:
    """Lists every strategy that can be asked for by a name alone."""
    return sorted({*STRATEGIES, *ACQUISITIONS, *ALIASES})


def make_strategy(name: str) -> QueryStrategy:
    """Makes the strategy of a name.

    Args:
        name: an acquisition, `acquisition+selector`, another project's name for one, a registered
            name, or `module:name` of a class or function of your own.

    Raises:
        ConfigError: there is none; the valid names are listed.

    Example:
        >>> from prefrl.queries import make_strategy
        >>> strategy = make_strategy("entropy+kcenter")
        >>> make_strategy("entrpy")
        Traceback (most recent call last):
        prefrl.errors.ConfigError: unknown strategy 'entrpy'; choose from ...
    """
    if not isinstance(name, str):
        raise ArgumentError(not_a("name", name, "a strategy's name"))
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
        own = f"; one in the module {head} goes by {head}:NAME" if is_module(head) else ""
        raise ConfigError(unknown("strategy", head, strategy_names()) + own)
    if tail not in SELECTORS:
        raise ConfigError(unknown("selector", tail, sorted(SELECTORS)))
    if (head, tail) == ("uniform", GREEDY):
        return Uniform()
    return Combined(ACQUISITIONS[head], SELECTORS[tail])


def canonical_name(name: str) -> str:
    """Returns a strategy's one name: `uniform` for `uniform+greedy` and for `random`.

    Args:
        name: one that `make_strategy` takes; registered names and `module:name` stay as they are.
    """
    if ":" in name or name in STRATEGIES:
        return name
    head, tail = _parts(name)
    is_usual = tail == GREEDY and ALIASES.get(head, head) == head
    return head if is_usual else f"{head}+{tail}"


def _parts(name: str) -> tuple[str, str]:
    """Splits a name into acquisition and selector."""
    head, plus, tail = ALIASES.get(name, name).partition("+")
    head = head if head in ACQUISITIONS else ALIASES.get(head, head)
    return head, tail if plus else GREEDY


def _imported(path: str) -> QueryStrategy:
    """Imports `module:name`."""
    module_name, _, name = path.partition(":")
    try:
        module = import_own(module_name)
    except ConfigError as error:
        raise ConfigError(f"strategy {path!r} cannot be imported: {error}") from error
    try:
        found: Any = getattr(module, name)
    except AttributeError as error:
        raise ConfigError(
            f"strategy {path!r} cannot be imported: {module_name} has no {name!r}; "
            f"it has {', '.join(_public_names(module)) or 'nothing'}"
        ) from error
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(
                f"strategy {path!r} cannot be made without arguments: {with_type(error)}"
            ) from error
    if callable(getattr(found, "select", None)):
        strategy: QueryStrategy = found
        return strategy
    if callable(found):
        return Function(found)
    expected = "a class with a method `select`, or a function that selects"
    raise ConfigError(not_a(f"strategy {path!r}", found, expected))


def _public_names(module: ModuleType) -> list[str]:
    """Returns the first few names of what a module itself defines and could select with."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ][:5]


def as_strategy(given: Any) -> QueryStrategy:
    """Returns a strategy of somebody's own: an object that selects, or a function that does.

    Raises:
        ArgumentError: it is neither.
    """
    expected = "an object with a method select(pool, num_queries, predictor, *, rng)"
    if isinstance(given, str):
        hint = f"{expected}; a strategy's name goes into RunConfig(strategy={given!r})"
        raise ArgumentError(not_a("strategy", given, hint))
    if not isinstance(given, type) and callable(getattr(given, "select", None)):
        strategy: QueryStrategy = given
        return strategy
    if isinstance(given, type) or not callable(given):
        raise ArgumentError(not_a("strategy", given, expected))
    return Function(given)


@dataclass(frozen=True)
class Combined:
    """An acquisition gives every pair of the pool a value, a selector picks a batch.

    Args:
        values_of: the acquisition.
        choose: the selector.
        weighs_ease: the worth of an answer is weighed by its chance to be a decisive one, as far as
            the answers so far tell that; see `prefrl.queries.ease`.
    """

    values_of: Acquisition
    choose: Selector
    weighs_ease: bool = False

    def __post_init__(self) -> None:
        function("values_of", self.values_of, "a function of Candidates: ACQUISITIONS['entropy']")
        function("choose", self.choose, "a function that selects: SELECTORS['greedy']")
        flag("weighs_ease", self.weighs_ease)

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> PairIndices:
        """Returns (num_queries, 2) distinct pairs."""
        check_pool(pool, num_queries, rng)
        candidates = Candidates(pool, predictor, rng)
        values = self.values_of(candidates)
        if self.weighs_ease and candidates.ease is not None:
            values = weighed(values, candidates.ease, rng=rng)
        return sides_drawn(self.choose(values, candidates, num_queries), rng=rng)


@dataclass(frozen=True)
class Function:
    """A function as a strategy.

    Args:
        choose: takes what `QueryStrategy.select` takes, and returns what it returns.
    """

    choose: Callable[..., PairIndices]

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> PairIndices:
        """Returns (num_queries, 2) the function's choice."""
        return self.choose(pool, num_queries, predictor, rng=rng)


def with_ease(strategy: QueryStrategy) -> "Combined":
    """Returns a strategy that weighs what an answer is worth by how likely it is a decisive one.

    Args:
        strategy: an acquisition with a selector, as `make_strategy` makes them.

    Raises:
        ArgumentError: it is no strategy.
        ConfigError: it is a whole one, which gives pairs no worth that could be weighed.

    Example:
        >>> from prefrl.queries import make_strategy, with_ease
        >>> strategy = with_ease(make_strategy("entropy+kcenter"))
    """
    strategy = as_strategy(strategy)
    if isinstance(strategy, Uniform):
        strategy = Combined(ACQUISITIONS["uniform"], SELECTORS[GREEDY])
    if not isinstance(strategy, Combined):
        raise ConfigError(
            f"{option('queries.ease')} is on, but the query strategy {strategy_name(strategy)} is "
            "a whole one; ease weighs an acquisition with a selector: "
            f"choose from {', '.join(sorted(ACQUISITIONS))}, or leave it out"
        )
    return replace(strategy, weighs_ease=True)


def strategy_name(strategy: QueryStrategy) -> str:
    """Returns the name of a strategy's class, or of the function that it is."""
    return name_of(strategy.choose if isinstance(strategy, Function) else strategy)


class Uniform:
    """Pairs drawn uniformly, each segment used once as long as there are enough."""

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> PairIndices:
        """Returns (num_queries, 2) distinct pairs; the predictor is not asked."""
        check_pool(pool, num_queries, rng)
        if 2 * num_queries <= len(pool):
            return rng.permutation(len(pool))[: 2 * num_queries].reshape(-1, 2).astype(np.int64)
        chosen = rng.choice(num_pairs(len(pool)), size=num_queries, replace=False)
        return sides_drawn(pairs_numbered(chosen, len(pool)), rng=rng)
