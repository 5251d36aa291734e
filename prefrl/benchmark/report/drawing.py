"""Parts that a report's figures are made of: panels, bands, intervals, titles and legends."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefrl.benchmark.report.analysis import Analysis, Band
from prefrl.benchmark.report.layout import Layout
from prefrl.benchmark.report.numbers import digits_of, plain_number
from prefrl.benchmark.report.statistics import Estimate
from prefrl.benchmark.report.study import Study
from prefrl.benchmark.report.theme import BACKGROUND, style_of
from prefrl.media.plots import FAINT, INK, MUTED, mute

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW_POINTS = 12


def draw_band(
    axes: "Axes",
    band: Band,
    study: Study,
    name: str,
    *,
    is_named: bool,
    has_markers: bool = True,
) -> Any:
    """Draws a strategy's curve with its interval, or without one in the grey of the background.

    Returns:
        The line, for a legend.
    """
    style = style_of(study, name) if is_named else {"color": BACKGROUND, "linestyle": "-"}
    is_known = np.isfinite(band.height.value)
    x, value = band.x[is_known], band.height.value[is_known]
    low, high = band.height.low[is_known], band.height.high[is_known]
    few = has_markers and len(x) <= _FEW_POINTS
    single = len(x) == 1
    if is_named and not single:
        axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)
    elif is_named and np.isfinite(low).all():
        axes.vlines(x, low, high, color=style["color"], alpha=0.5)
    (line,) = axes.plot(
        x,
        value,
        **style,
        linewidth=1.7 if is_named else 0.9,
        marker="o" if few and (is_named or single) else "",
        markersize=4 if single else 2.6,
        zorder=3 if is_named else 1,
    )
    return line


def draw_reference(axes: "Axes", band: Band) -> Any:
    """Draws the arm on the true reward; one that is known at one point only is a level."""
    is_known = np.isfinite(band.height.value)
    x, value = band.x[is_known], band.height.value[is_known]
    if len(x) == 1:
        return axes.axhline(value[0], color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2)
    (line,) = axes.plot(x, value, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2, zorder=2)
    return line


def draw_intervals(
    axes: "Axes", analysis: Analysis, estimates: Mapping[str, Estimate], names: Sequence[str]
) -> None:
    """Draws a row for each strategy: its estimate, its interval and the number beside them."""
    # On steps of ten each number has digits of its own.
    digits = None if axes.get_xscale() == "log" else digits_of(estimates.values())
    for row, name in enumerate(names):
        estimate = estimates[name]
        if not np.isfinite(estimate.value):
            axes.text(0.02, row, "not known", transform=axes.get_yaxis_transform(), va="center",
                      fontsize=8.5, color=MUTED)  # fmt: skip
            continue
        colour = style_of(analysis.study, name)["color"]
        value, low, high = (float(e) for e in (estimate.value, estimate.low, estimate.high))
        if np.isfinite(low):
            axes.plot([low, high], [row, row], color=colour, linewidth=5, alpha=0.3,
                      solid_capstyle="butt")  # fmt: skip
        axes.plot([value], [row], color=colour, marker="o", markersize=5.5)
        axes.annotate(
            plain_number(value, digits),
            (1.0, row),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
        )


def row_panels(
    names: Sequence[str], num_panels: int, layout: Layout
) -> tuple["Figure", list["Axes"]]:
    """Returns panels that share rows, one a strategy."""
    height_in = 0.75 + 0.27 * len(names)
    rows, columns = (num_panels, 1) if layout.is_stacked else (1, num_panels)
    figure = _new_figure(height_in * rows, layout)
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axes in panels:
        axes.grid(axis="x", color=FAINT, linewidth=0.7)
        mute(axes, label_size=layout.label_size)
        axes.tick_params(axis="y", length=0, labelsize=layout.label_size, labelcolor=INK)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels if layout.is_stacked else panels[:1]:
        axes.set_yticks(range(len(names)), [shortened(name, layout) for name in names])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
    return figure, panels


def grid_panels(
    num: int, most_columns: int, layout: Layout, *, height_in: float, share: bool = False
) -> tuple["Figure", list["Axes"]]:
    """Returns so many panels, row by row.

    Args:
        num: of panels.
        most_columns: beside each other.
        layout: of the figure.
        height_in: of a row of several panels; one panel is higher.
        share: both axes.
    """
    columns = min(num, most_columns)
    rows = -(-num // columns)
    figure = _new_figure(rows * height_in * (1 if columns > 1 else 1.3) + 0.5, layout)
    grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[num:]:
        axes.set_visible(False)
    if share:  # Above an empty place the numbers are needed again.
        for column in range(columns):
            last = [axes for axes in grid[:, column] if axes.get_visible()][-1]
            last.tick_params(labelbottom=True)
    for axes in panels[:num]:
        mute(axes, label_size=layout.label_size)
    return figure, panels[:num]


def finish_curves(axes: "Axes", axis: str) -> None:
    """Adds the grid and the numbers below: shares as percentages, steps in thousands."""
    from matplotlib.ticker import EngFormatter, PercentFormatter

    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.margins(x=0.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1) if axis == "share" else EngFormatter(sep=""))


def _new_figure(height_in: float, layout: Layout) -> "Figure":
    from matplotlib.figure import Figure

    size = (layout.width_in, height_in)
    return Figure(figsize=size, layout="constrained", facecolor="white")


def shortened(name: str, layout: Layout) -> str:
    """Returns a name as a figure has room for it: of a very long one, its beginning and its end."""
    half = layout.title_characters
    return name if len(name) <= 2 * half + 1 else f"{name[:half]}…{name[-half:]}"


def name_axes(figure: "Figure", x: str, y: str, layout: Layout) -> None:
    """Names the axes of all panels at once."""
    figure.supxlabel(x, fontsize=layout.label_size, color=INK, parse_math=False)
    figure.supylabel(y, fontsize=layout.label_size, color=INK, parse_math=False)


def add_title(axes: "Axes", text: str, layout: Layout, colour: str = INK) -> None:
    """Puts a title above a panel, in two lines or smaller letters where it is long."""
    most, text = layout.title_characters, shortened(text, layout)
    if len(text) > most and layout.is_stacked:
        text = text.replace(", ", ",\n").replace("+", "\n+")
    longest = max(map(len, text.split("\n")), default=1)
    size = layout.label_size * min(1.0, max(most / max(longest, 1), 0.6))
    title = axes.set_title(text, loc="left", fontsize=size, fontweight="bold", color=colour)
    title.set_parse_math(False)


def add_legend(figure: "Figure", entries: Sequence[tuple[Any, str]], layout: Layout) -> None:
    """Puts a legend above all panels; a single entry needs none."""
    if len(entries) < 2:
        return
    legend = figure.legend(
        [line for line, _ in entries],
        [shortened(label, layout) for _, label in entries],
        loc="outside upper center",
        ncols=min(len(entries), layout.legend_columns),
        frameon=False,
        fontsize=layout.label_size - 0.5,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
