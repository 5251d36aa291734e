"""Query strategies: which pairs of segments are worth asking about."""

from prefrl.queries.base import STRATEGIES, Uniform, make_strategy, register
from prefrl.queries.uncertainty import Disagreement, preference_disagreement

__all__ = [
    "STRATEGIES",
    "Disagreement",
    "Uniform",
    "make_strategy",
    "preference_disagreement",
    "register",
]
