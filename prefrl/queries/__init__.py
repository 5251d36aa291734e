"""Query strategies: which pairs of segments are worth asking about."""

from prefrl.queries.acquisitions import preference_disagreement
from prefrl.queries.candidates import Candidates
from prefrl.queries.coverage import farthest_points, standardised
from prefrl.queries.diverse_selectors import pair_points
from prefrl.queries.registry import (
    ACQUISITIONS,
    ALIASES,
    SELECTORS,
    STRATEGIES,
    acquisition,
    register,
    selector,
)
from prefrl.queries.selectors import best_distinct_pairs
from prefrl.queries.strategies import Combined, Uniform, make_strategy, strategy_names, with_ease

__all__ = [
    "ACQUISITIONS",
    "ALIASES",
    "SELECTORS",
    "STRATEGIES",
    "Candidates",
    "Combined",
    "Uniform",
    "acquisition",
    "best_distinct_pairs",
    "farthest_points",
    "make_strategy",
    "pair_points",
    "preference_disagreement",
    "register",
    "selector",
    "standardised",
    "strategy_names",
    "with_ease",
]
