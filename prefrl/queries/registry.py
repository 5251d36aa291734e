"""The registry: every acquisition, selector and strategy that users may ask for by name."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import ArgumentError, not_a
from prefrl.queries.candidates import Candidates
from prefrl.queries.predictor import PairIndices, QueryStrategy

Values = NDArray[np.floating]
"""(S, S) symmetric: the value of asking about each pair of a pool; the higher, the sooner asked."""

Acquisition = Callable[[Candidates], Values]
Selector = Callable[[Values, Candidates, int], PairIndices]

ACQUISITIONS: dict[str, Acquisition] = {}
SELECTORS: dict[str, Selector] = {}

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

_Registered = TypeVar("_Registered")
_Maker = TypeVar("_Maker", bound=Callable[[], QueryStrategy])


def acquisition(name: str) -> Callable[[Acquisition], Acquisition]:
    """Makes an acquisition available by name, to be combined with any selector.

    Args:
        name: what users type.

    Raises:
        ValueError: from the decorator, where the name is taken.

    Example:
        >>> import numpy as np
        >>> from prefrl.queries import acquisition, make_strategy
        >>> @acquisition("close_call")
        ... def close_call(candidates):
        ...     mean = candidates.scores.mean(axis=1)
        ...     return -np.abs(mean[:, None] - mean[None, :])
        >>> strategy = make_strategy("close_call+kcenter")
    """
    return _registered_in(ACQUISITIONS, "an acquisition", name)


def selector(name: str) -> Callable[[Selector], Selector]:
    """Makes a selector available by name, to be combined with any acquisition.

    Args:
        name: what users type.

    Raises:
        ValueError: from the decorator, where the name is taken.
    """
    return _registered_in(SELECTORS, "a selector", name)


def _registered_in(
    table: dict[str, _Registered], kind: str, name: str
) -> Callable[[_Registered], _Registered]:
    _check_name(name)

    def add(part: _Registered) -> _Registered:
        if name in table:
            raise ValueError(f"there is {kind} {name!r} already")
        table[name] = part
        return part

    return add


def register(name: str) -> Callable[[_Maker], _Maker]:
    """Makes a strategy available by name: put it above a class, or a function that makes one.

    Args:
        name: what users type.

    Raises:
        ValueError: the name is taken, or reads as something else.

    Example:
        >>> from prefrl.queries import make_strategy, register
        >>> @register("longest_shots")
        ... class LongestShots:
        ...     def select(self, pool, num_queries, predictor, *, rng):
        ...         order = predictor.score_segments(pool).mean(axis=1).argsort()
        ...         low, high = order[:num_queries], order[::-1][:num_queries]
        ...         return rng.permuted(np.stack([low, high], axis=1), axis=1)
        >>> strategy = make_strategy("longest_shots")
    """
    _check_name(name)

    def add(make: _Maker) -> _Maker:
        if name in {*STRATEGIES, *ACQUISITIONS, *ALIASES}:
            raise ValueError(f"there is a query strategy {name!r} already")
        if "+" in name or ":" in name:
            raise ValueError(f"a query strategy's name has no '+' and no ':', as {name!r} does")
        STRATEGIES[name] = make
        return make

    return add


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ArgumentError(not_a("name", name, "a name that users type"))
