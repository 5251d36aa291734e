"""Defines the kinds of numbers that settings are, each with its range."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _not_a_truth_value(value: Any) -> Any:
    # Python, and pydantic with it, would take a YAML "yes" for the number 1; NumPy has a class of
    # its own for them.
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        raise ValueError("Input should be a number")
    return value


_NUMBER = BeforeValidator(_not_a_truth_value)
PositiveInt = Annotated[int, _NUMBER, Field(gt=0)]
CountInt = Annotated[int, _NUMBER, Field(ge=0)]
Probability = Annotated[float, _NUMBER, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, _NUMBER, Field(gt=0.0, lt=1.0)]
Share = Annotated[float, _NUMBER, Field(ge=0.0, lt=1.0)]
FiniteFloat = Annotated[float, _NUMBER, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, _NUMBER, Field(gt=0.0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, _NUMBER, Field(ge=0.0, allow_inf_nan=False)]
# For these, inf is a setting like any other: it never errs, it never clips.
NonNegativeOrInf = Annotated[float, _NUMBER, Field(ge=0.0)]
PositiveOrInf = Annotated[float, _NUMBER, Field(gt=0.0)]
