"""Figures, axes and colours that all plots share.

Drawn with matplotlib's `Figure` alone: pyplot's global state and any display stay untouched.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefrl.records.files import write_atomically
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MetricRows = Sequence[Mapping[str, float | None]]
"""Lines of `metrics.jsonl`; None or NaN where a metric is not known, or no key at all."""

WIDE_IN = (9.6, 4.0)
SQUARE_IN = (6.0, 6.0)
_DPI = 125
INK, MUTED, FAINT = "#1f2430", "#5f6673", "#d9dce2"
TRUE, LEARNED, SUCCESS = "#0b66b0", "#c8551b", "#2f7d4f"
"""Colours of the true reward, of the learned one and of success."""


def new_figure(title: str, size_in: tuple[float, float] = WIDE_IN) -> "Figure":
    """Makes an empty figure.

    Args:
        title: above it all; taken literally.
        size_in: width and height, in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=_DPI, layout="constrained", facecolor="white")
    figure.suptitle(
        title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK, parse_math=False
    )
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure to a PNG file.

    Raises:
        StorageError: the file could not be written.
    """
    write_atomically(path, lambda file: figure.savefig(file, format="png"))


def column(rows: MetricRows, key: str) -> Float64Array:
    """Returns (rows,) a metric of every row, NaN where it is not known."""
    values = (row.get(key) for row in rows)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def finish_axes(axes: "Axes", last_step: float) -> None:
    """Gives axes of returns over steps their limits, number formats and grid.

    Args:
        axes: drawn on already.
        last_step: where they end.
    """
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    axes.set_xlim(0, last_step or 1_000)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = axes.get_ylim()
    if high - low >= 10:  # Otherwise whole numbers would hide what differs.
        axes.locator_params(axis="y", integer=True)  # Where they stand, they are not rounded.
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    mute(axes)


def mute(axes: "Axes", *, label_size: float = 10) -> None:
    """Lets axes, ticks and grid step back behind what is drawn from data.

    Args:
        axes: drawn on already.
        label_size: of the axes' names, in points; ticks are a point smaller.
    """
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=MUTED, labelsize=label_size - 1, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=label_size)
