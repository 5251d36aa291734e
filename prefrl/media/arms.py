"""The arms of a comparison: each one's curve over its seeds."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefrl.media.canvas import INK, MUTED, MetricRows, column, finish_axes, new_figure, save
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito 2008: distinct also to those who confuse red and green.
_ARMS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8f6bd1")
_DASHES = ("-", "--", ":", "-.")
_NUM_GRID_POINTS = 200


def plot_arms(
    arms: Mapping[str, Sequence[MetricRows]],
    path: str | os.PathLike[str],
    *,
    title: str,
    ylabel: str,
    key: str = "true_return",
) -> None:
    """Draws each arm's mean over its seeds, in a band from the lowest seed to the highest.

    The band is the range and no confidence interval: with the few seeds of a benchmark it claims
    nothing that they do not show.

    Args:
        arms: label -> the rows of each seed; runs without a known metric are left out.
        path: the PNG file.
        title: above it all; taken literally.
        ylabel: says what `key` is.
        key: the metric drawn.

    Raises:
        StorageError: the file could not be written.
    """
    figure = new_figure(title)
    axes = figure.subplots()
    entries = []
    last_step = 0.0
    for index, (label, seeds) in enumerate(arms.items()):
        grid, values = _on_common_grid(seeds, key)
        line = _draw_arm(axes, grid, values, index)
        last_mean = values[:, -1].mean() if len(values) else -np.inf
        num_seeds = f"{len(values)} seed{'' if len(values) == 1 else 's'}"
        entries.append((last_mean, line, f"{label}  ({num_seeds})"))
        last_step = max([last_step, *grid[-1:]])
    finish_axes(axes, last_step)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(ylabel)
    entries.sort(key=lambda entry: -entry[0])  # From the top down, as the lines end.
    legend = axes.legend(
        [line for _, line, _ in entries],
        [text for _, _, text in entries],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        fontsize=9,
        title="mean, and lowest to highest seed",
        title_fontsize=9,
        alignment="left",
        labelcolor=INK,
    )
    legend.get_title().set_color(MUTED)
    for text in legend.get_texts():
        text.set_parse_math(False)
    save(figure, path)


def _draw_arm(axes: "Axes", grid: Float64Array, values: Float64Array, index: int) -> "Line2D":
    colour, dashes = _ARMS[index % len(_ARMS)], _DASHES[index // len(_ARMS) % len(_DASHES)]
    marker = "o" if len(grid) == 1 else ""
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(grid, low, high, color=colour, alpha=0.13, linewidth=0)
    mean = values.mean(axis=0) if len(values) else grid
    (line,) = axes.plot(
        grid, mean, color=colour, linestyle=dashes, marker=marker, linewidth=1.8, clip_on=False
    )
    return line


def _on_common_grid(seeds: Sequence[MetricRows], key: str) -> tuple[Float64Array, Float64Array]:
    """Returns (points,) steps that every seed covers; (seeds, points) the metric, interpolated."""
    known = []
    for rows in seeds:
        steps, values = column(rows, "step"), column(rows, key)
        if (finite := np.isfinite(values)).any():
            known.append((steps[finite], values[finite]))
    if not known:
        return np.zeros(0), np.zeros((0, 0))
    first = max(steps[0] for steps, _ in known)
    last = min(steps[-1] for steps, _ in known)
    grid = np.linspace(first, last, _NUM_GRID_POINTS) if last > first else np.array([last])
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in known])
