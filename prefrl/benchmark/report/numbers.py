"""Estimates as text: as many digits as their intervals are worth."""

from collections.abc import Iterable

import numpy as np

from prefrl.benchmark.report.statistics import Estimate


def digits_of(estimates: Iterable[Estimate]) -> int | None:
    """Returns digits behind the point for numbers shown together: two of the widest interval.

    Args:
        estimates: () each.

    Returns:
        None where none has an interval.
    """
    widths = [float(one.high - one.low) for one in estimates if one.high > one.low]
    return min(max(1 - int(np.floor(np.log10(max(widths)))), 0), 6) if widths else None


def plain_number(value: float, digits: int | None = None) -> str:
    """Writes a number for people.

    Args:
        value: the number.
        digits: behind the point; None gives three in all, or every one before the point where
            those are more.
    """
    if digits is None:
        digits = min(max(2 - int(np.floor(np.log10(abs(value)))), 0), 6) if value else 0
    rounded = round(value, digits) + 0.0  # No minus before a zero.
    return f"{rounded:,.{digits}f}".replace("-", "\u2212")


def interval_text(estimate: Estimate, digits: int | None = None) -> str:
    """Writes both ends of an interval that there is."""
    low, high = float(estimate.low), float(estimate.high)
    return f"{plain_number(low, digits)} to {plain_number(high, digits)}"
