"""Sizes of a report's figures: one layout for a page or a paper, one for a phone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Sizes of all figures of a report at one width.

    Args:
        width_in: of every figure.
        strata_columns: panels beside each other where each shows an environment.
        strategy_columns: panels beside each other where each shows a strategy.
        legend_columns: most entries beside each other.
        label_size: of names of axes and strategies, in points.
        title_characters: a panel's title is broken or made smaller beyond so many.
        is_stacked: panels that share rows stand below each other.
    """

    width_in: float
    strata_columns: int
    strategy_columns: int
    legend_columns: int
    label_size: float
    title_characters: int
    is_stacked: bool


WIDE = Layout(
    width_in=9.6,
    strata_columns=3,
    strategy_columns=4,
    legend_columns=5,
    label_size=9.5,
    title_characters=24,
    is_stacked=False,
)
# Drawn as wide as a phone's page: a point is about 1.3 pixels there, as it is with the wide one.
NARROW = Layout(
    width_in=3.75,
    strata_columns=2,
    strategy_columns=2,
    legend_columns=2,
    label_size=8.5,
    title_characters=18,
    is_stacked=True,
)
