"""Query strategies: which pairs of segments are worth asking about."""

from prefrl.queries.base import STRATEGIES, Uniform, make_strategy, register
from prefrl.queries.coverage import farthest_points, observation_points
from prefrl.queries.uncertainty import Disagreement, preference_disagreement

__all__ = [
    "STRATEGIES",
    "Disagreement",
    "Uniform",
    "farthest_points",
    "make_strategy",
    "observation_points",
    "preference_disagreement",
    "register",
]
