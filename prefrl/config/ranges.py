"""Defines the kinds of numbers that settings are, each with its range."""

import enum
from collections.abc import KeysView, Set
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

# Above it not every whole number is a float of its own.
LARGEST = 2**53
# Seeds are only mixed, never counted; a clock's nanoseconds make one.
LARGEST_SEED = 2**64 - 1


def _not_a_truth_value(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        value = value.value  # else pydantic fails over one of text
    # Python, and pydantic with it, would take a YAML "yes" for the number 1; NumPy has a class of
    # its own for them.
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        raise ValueError("expected a number")
    return value


def _in_order(value: Any) -> Any:
    # A set has an order of its own, which changes from one process to the next.
    if isinstance(value, (Set, memoryview)) and not isinstance(value, KeysView):
        raise ValueError("expected a list")
    return value


_NUMBER = BeforeValidator(_not_a_truth_value)
PositiveInt = Annotated[int, _NUMBER, Field(ge=1, le=LARGEST)]
CountInt = Annotated[int, _NUMBER, Field(ge=0, le=LARGEST)]
SeedInt = Annotated[int, _NUMBER, Field(ge=0, le=LARGEST_SEED)]
PortInt = Annotated[int, _NUMBER, Field(ge=0, le=65_535)]
Probability = Annotated[float, _NUMBER, Field(ge=0, le=1)]
OpenShare = Annotated[float, _NUMBER, Field(gt=0, lt=1)]
Share = Annotated[float, _NUMBER, Field(ge=0, lt=1)]
FiniteFloat = Annotated[float, _NUMBER, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, _NUMBER, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, _NUMBER, Field(ge=0, allow_inf_nan=False)]
# For these, inf is a setting like any other: it never errs, it never clips.
NonNegativeOrInf = Annotated[float, _NUMBER, Field(ge=0)]
PositiveOrInf = Annotated[float, _NUMBER, Field(gt=0)]
# Before a tuple: what has no order is no list.
InOrder = BeforeValidator(_in_order)
