"""The learning curve of a run: returns over its steps, and when it asked."""

import os
from typing import TYPE_CHECKING

import numpy as np

from prefrl.media.canvas import (
    INK,
    LEARNED,
    MUTED,
    TRUE,
    MetricRows,
    column,
    finish_axes,
    new_figure,
    save,
)
from prefrl.records.progress import short_number
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the right panel, which is narrow, only what stands before the brackets.
_LONG_LABELS = (
    "evaluation (deterministic policy, whole episodes)",
    "training episodes (exploring; may be cut short)",
)
_LABEL_CHARACTER = 0.018  # of the axis: a digit above it


def plot_learning_curve(rows: MetricRows, path: str | os.PathLike[str], *, title: str) -> None:
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
    figure = new_figure(title)
    if _is_known(rows, "learned_return") or _is_known(rows, "eval_learned_return"):
        true_axes, learned_axes = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_return(learned_axes, rows, "learned_return", LEARNED)
        learned_axes.set_ylabel("learned return (reward model's units)")
        true_label = "true return (never shown to the learner)"
    else:
        true_axes, true_label = figure.subplots(), "true return"
    _draw_return(true_axes, rows, "true_return", TRUE)
    true_axes.set_ylabel(true_label)
    _mark_sessions(true_axes, *_sessions(rows))
    save(figure, path)


def _is_known(rows: MetricRows, key: str) -> bool:
    return bool(np.isfinite(column(rows, key)).any())


def _draw_return(axes: "Axes", rows: MetricRows, key: str, colour: str) -> None:
    """Draws the return of evaluations in front of that of training, or either alone."""
    last_step = float(column(rows, "step").max(initial=0.0))
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
        axes.text(
            0.5, 0.5, "no episode ended while training", transform=axes.transAxes, ha="center"
        )
    if is_evaluated:
        is_wide = key == "true_return"
        labels = _LONG_LABELS if is_wide else [text.split(" (")[0] for text in _LONG_LABELS]
        lines = axes.get_lines()[::-1]  # The evaluation's is drawn last, and named first.
        axes.legend(
            lines, labels[: len(lines)], loc="best", frameon=False, fontsize=8.5, labelcolor=INK
        )
    finish_axes(axes, last_step)
    axes.set_xlabel(xlabel)


def _draw_line(
    axes: "Axes", rows: MetricRows, key: str, colour: str, *, is_behind: bool = False
) -> bool:
    """Draws one return over the steps; returns whether there is a band around it."""
    steps, values, deviation = (column(rows, name) for name in ("step", key, f"{key}_std"))
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


def _sessions(rows: MetricRows) -> tuple[Float64Array, Float64Array]:
    """Returns (sessions,) the step of each, and the answers there were after it."""
    answers = np.maximum.accumulate(np.nan_to_num(column(rows, "num_answers")))
    is_session = np.diff(answers, prepend=0.0) > 0
    return column(rows, "step")[is_session], answers[is_session]


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
