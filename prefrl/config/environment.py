"""Describes the environment of a reward model: its rows, their bounds, and what transforms them."""

from typing import Any

from pydantic import Field

from prefrl.config.checking import settings
from prefrl.config.ranges import CountInt, FiniteFloat, PositiveInt

Bounds = FiniteFloat | tuple[FiniteFloat | None, ...] | None
"""One bound for all dims, or one of each; None is unbounded."""


@settings("wrapper", kw_only=True)
class WrapperRecord:
    """A wrapper that changes what a reward model sees, or what counts as the true reward.

    Args:
        name: of its class.
        arguments: of its constructor, as far as they are known, as plain values.
    """

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


@settings("environment", kw_only=True)
class EnvironmentRecord:
    """Facts of an environment by which a reward model tells whether it fits.

    Args:
        observation_dim: O.
        action_dim: A.
        observation_low: of flattened observations.
        observation_high: of flattened observations.
        action_low: of flattened actions.
        action_high: of flattened actions.
        action_choices: of each discrete action, how many there are; empty for continuous ones.
        wrappers: those that transform, the outermost first; what only looks on is left out.
    """

    observation_dim: CountInt
    action_dim: CountInt
    observation_low: Bounds = None
    observation_high: Bounds = None
    action_low: Bounds = None
    action_high: Bounds = None
    action_choices: tuple[PositiveInt, ...] = ()
    wrappers: tuple[WrapperRecord, ...] = ()
