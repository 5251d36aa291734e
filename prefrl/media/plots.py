"""Pictures of a run, a benchmark and a reward model: PNG files of 1200 x 500 px, or 750 x 750.

Drawn with matplotlib's `Figure` alone: pyplot's global state and any display stay untouched.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.records.files import write_atomically
from prefrl.records.progress import short_number
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Rows = Sequence[Mapping[str, float | None]]
"""Lines of `metrics.jsonl`; None or NaN where a metric is not known, or no key at all."""


_SIZE_IN = (9.6, 4.0)
_SQUARE_IN = (6.0, 6.0)
_DPI = 125
INK, MUTED, FAINT = "#1f2430", "#5f6673", "#d9dce2"
_TRUE, _LEARNED = "#0b66b0", "#c8551b"
# Okabe and Ito 2008: distinct also to those who confuse red and green.
_ARMS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8f6bd1")
_DASHES = ("-", "--", ":", "-.")
# Of the right panel, which is narrow, only what stands before the brackets.
_LONG_LABELS = (
    "evaluation (deterministic policy, whole episodes)",
    "training episodes (exploring; may be cut short)",
)
_NUM_GRID_POINTS = 200
_LABEL_CHARACTER = 0.018  # of the axis: a digit above it
_DOT_POINTS2 = (24.0, 130.0)  # areas of the smallest dot drawn and of that of the fullest bin
_Z_95 = 1.96


class Bins(Protocol):
    """Predictions in groups, as those of `reliability_bins`."""

    @property
    def mean_predicted(self) -> Float64Array:
        """(bins,) mean predicted probability of "left", in [0, 1]."""

    @property
    def mean_observed(self) -> Float64Array:
        """(bins,) mean answer: 1 left, 0 right, 0.5 a tie."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(bins,) answers in each, at least 1."""


def plot_learning_curve(rows: Rows, path: str | os.PathLike[str], *, title: str) -> None:
    """Draws the true return, the query sessions and, beside it, the learned return.

    Where the policy was evaluated while it was trained, that is the curve, and the returns of
    training episodes, which explore and may be cut short, stand behind it.

    Args:
        rows: in order, with `step`, and where known `true_return`, `true_return_std`,
            `learned_return`, the same three as `eval_true_return` and so on, and `num_answers` (so
            far). A session is marked at the first row with more answers than before.
        path: the PNG file.
        title: above it all; taken literally.

    Raises:
        StorageError: the file could not be written.
    """
    figure = _new_figure(title)
    if _is_known(rows, "learned_return") or _is_known(rows, "eval_learned_return"):
        true_axes, learned_axes = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_return(learned_axes, rows, "learned_return", _LEARNED)
        learned_axes.set_ylabel("learned return (reward model's units)")
        true_label = "true return (never shown to the learner)"
    else:
        true_axes, true_label = figure.subplots(), "true return"
    _draw_return(true_axes, rows, "true_return", _TRUE)
    true_axes.set_ylabel(true_label)
    _mark_sessions(true_axes, *_sessions(rows))
    _save(figure, path)


def plot_arms(
    arms: Mapping[str, Sequence[Rows]],
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
    figure = _new_figure(title)
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
    _finish_axes(axes, last_step)
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
    _save(figure, path)


def plot_reliability(bins: Bins, path: str | os.PathLike[str], *, title: str) -> None:
    """Draws what was answered against what was predicted; on the diagonal a model is calibrated.

    The area of a dot is in proportion to the answers in its bin (very small ones are drawn larger,
    to be seen); its bar is Wilson's 95% interval (1927), too long where ties are among them.

    Args:
        bins: may be none.
        path: the PNG file.
        title: above it all; taken literally.

    Raises:
        StorageError: the file could not be written.
    """
    figure = _new_figure(title, _SQUARE_IN)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    _finish_shares(axes)
    axes.set_xlabel("predicted probability that left is better")
    axes.set_ylabel("share of answers that said left")
    note = "no answers yet"
    if len(bins.counts):
        x, y = bins.mean_predicted, bins.mean_observed
        smallest, largest = _DOT_POINTS2
        areas = np.maximum(largest * bins.counts / bins.counts.max(), smallest)
        low, high = _wilson(y, bins.counts)
        axes.vlines(x, low, high, color=_TRUE, alpha=0.45, linewidth=1.4, clip_on=False)
        axes.scatter(x, y, areas, color=_TRUE, edgecolors="white", zorder=4, clip_on=False)
        note = f"{bins.counts.sum():,} answers, {_span(bins.counts)} a dot;  "
        note += "bars: 95% interval;  dashed: calibrated"
    axes.set_title(note, loc="left", color=MUTED, fontsize=9)
    _save(figure, path)


def _wilson(share: Float64Array, counts: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
    """Returns (bins,) ends of the score interval of each share; honest at 0, 1 and for few."""
    shrink = 1 / (1 + _Z_95**2 / counts)
    centre = shrink * (share + _Z_95**2 / (2 * counts))
    half = shrink * _Z_95 * np.sqrt(share * (1 - share) / counts + (_Z_95 / (2 * counts)) ** 2)
    return centre - half, centre + half


def _span(counts: NDArray[np.int64]) -> str:
    fewest, most = counts.min(), counts.max()
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


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


def _new_figure(title: str, size_in: tuple[float, float] = _SIZE_IN) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=_DPI, layout="constrained", facecolor="white")
    figure.suptitle(
        title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK, parse_math=False
    )
    return figure


def _save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    write_atomically(path, lambda file: figure.savefig(file, format="png"))


def _column(rows: Rows, key: str) -> Float64Array:
    """Returns (rows,) a metric of every row, NaN where it is not known."""
    values = (row.get(key) for row in rows)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _sessions(rows: Rows) -> tuple[Float64Array, Float64Array]:
    """Returns (sessions,) the step of each, and the answers there were after it."""
    answers = np.maximum.accumulate(np.nan_to_num(_column(rows, "num_answers")))
    is_session = np.diff(answers, prepend=0.0) > 0
    return _column(rows, "step")[is_session], answers[is_session]


def _is_known(rows: Rows, key: str) -> bool:
    return bool(np.isfinite(_column(rows, key)).any())


def _draw_return(axes: "Axes", rows: Rows, key: str, colour: str) -> None:
    """Draws the return of evaluations in front of that of training, or either alone."""
    last_step = float(_column(rows, "step").max(initial=0.0))
    xlabel = "environment steps"
    is_evaluated, is_trained = (_is_known(rows, name) for name in (f"eval_{key}", key))
    if is_evaluated and is_trained:
        _draw_line(axes, rows, key, colour, is_behind=True)
    if is_evaluated or is_trained:
        has_band = _draw_line(axes, rows, f"eval_{key}" if is_evaluated else key, colour)
        if has_band:
            xlabel += "  (band: one standard deviation over episodes)"
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no episode has ended yet", transform=axes.transAxes, ha="center")
    if is_evaluated:
        is_wide = key == "true_return"
        labels = _LONG_LABELS if is_wide else [text.split(" (")[0] for text in _LONG_LABELS]
        lines = axes.get_lines()[::-1]  # The evaluation's is drawn last, and named first.
        axes.legend(
            lines, labels[: len(lines)], loc="best", frameon=False, fontsize=8.5, labelcolor=INK
        )
    _finish_axes(axes, last_step)
    axes.set_xlabel(xlabel)


def _draw_line(axes: "Axes", rows: Rows, key: str, colour: str, *, is_behind: bool = False) -> bool:
    """Draws one return over the steps; returns whether there is a band around it."""
    steps, values, deviation = (_column(rows, name) for name in ("step", key, f"{key}_std"))
    known = np.isfinite(values)
    steps, values, deviation = steps[known], values[known], deviation[known]
    if is_behind:
        axes.plot(steps, values, color=colour, alpha=0.38, linewidth=1.2)
        return False
    has_band = bool(np.isfinite(deviation).any())
    if has_band:
        low, high = values - deviation, values + deviation
        axes.fill_between(steps, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.plot(
        steps,
        values,
        color=colour,
        linewidth=1.8,
        marker="o" if len(steps) <= 30 else "",
        markersize=3.5,
        clip_on=False,
    )
    axes.annotate(
        short_number(values[-1]),
        (steps[-1], values[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold",
        color=colour,
        annotation_clip=False,
    )
    return has_band


def _finish_axes(axes: "Axes", last_step: float) -> None:
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    axes.set_xlim(0, last_step or 1_000)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = axes.get_ylim()
    if high - low >= 10:  # Otherwise whole numbers would hide what differs.
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    mute(axes)


def _finish_shares(axes: "Axes") -> None:
    """Makes it a square from 0 to 1 in both directions."""
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(color=FAINT, linewidth=0.7)
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


def _mark_sessions(axes: "Axes", steps: Float64Array, answers: Float64Array) -> None:
    """Draws a hairline for every session; above those with room, the answers there were then."""
    if not len(steps):
        return
    for step in steps:
        axes.axvline(step, color=MUTED, alpha=0.28, linewidth=0.7, zorder=0.5)
    labels = [f"{count:,.0f}" for count in answers]
    gap = (2 + len(labels[-1])) * _LABEL_CHARACTER * axes.get_xlim()[1]
    labelled = _far_apart(steps, gap)
    above = axes.secondary_xaxis("top")
    above.set_xticks(steps[labelled], [labels[i] for i in labelled])
    above.set_xticks(steps, minor=True)
    above.set_xlabel("answers so far, at each query session", color=MUTED, fontsize=9)
    above.tick_params(which="both", colors=MUTED, labelsize=8.5, length=4)
    above.spines["top"].set_visible(False)


def _far_apart(positions: Float64Array, gap: float) -> list[int]:
    """Returns indices of the last position and, downwards, of each `gap` below the last taken."""
    taken = [len(positions) - 1]
    for index in range(len(positions) - 2, -1, -1):
        if positions[taken[-1]] - positions[index] >= gap:
            taken.append(index)
    return taken[::-1]


def _on_common_grid(seeds: Sequence[Rows], key: str) -> tuple[Float64Array, Float64Array]:
    """Returns (points,) steps that every seed covers; (seeds, points) the metric, interpolated."""
    known = []
    for rows in seeds:
        steps, values = _column(rows, "step"), _column(rows, key)
        if (finite := np.isfinite(values)).any():
            known.append((steps[finite], values[finite]))
    if not known:
        return np.zeros(0), np.zeros((0, 0))
    first = max(steps[0] for steps, _ in known)
    last = min(steps[-1] for steps, _ in known)
    grid = np.linspace(first, last, _NUM_GRID_POINTS) if last > first else np.array([last])
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in known])
