"""The former home of what `strategies`, `registry` and `pairs` hold."""

from prefrl.queries.pairs import check_pool, checked_pairs, num_pairs, sides_drawn
from prefrl.queries.strategies import Uniform, canonical_name

__all__ = [
    "Uniform",
    "canonical_name",
    "check_pool",
    "checked_pairs",
    "num_pairs",
    "sides_drawn",
]
