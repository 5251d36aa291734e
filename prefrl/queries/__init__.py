"""Query strategies: which pairs of segments are worth asking about."""

from prefrl.queries.acquisitions import ACQUISITIONS, acquisition, preference_disagreement
from prefrl.queries.base import (
    ALIASES,
    STRATEGIES,
    Combined,
    Uniform,
    make_strategy,
    register,
    strategy_names,
)
from prefrl.queries.candidates import Candidates
from prefrl.queries.coverage import farthest_points, standardised
from prefrl.queries.selectors import SELECTORS, selector

__all__ = [
    "ACQUISITIONS",
    "ALIASES",
    "SELECTORS",
    "STRATEGIES",
    "Candidates",
    "Combined",
    "Uniform",
    "acquisition",
    "farthest_points",
    "make_strategy",
    "preference_disagreement",
    "register",
    "selector",
    "standardised",
    "strategy_names",
]
