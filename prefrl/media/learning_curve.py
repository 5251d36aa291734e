"""The learning curve of a run: returns over its steps, and when it asked."""

import os
from typing import TYPE_CHECKING

import numpy as np

from prefrl.media.canvas import (
    INK,
    LEARNED,
    MUTED,
    SUCCESS,
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
    from matplotlib.figure import Figure

_EVALUATION = "evaluation (deterministic policy, whole episodes)"
_TRAINING = "training episodes (exploring; may be cut short)"
_FINAL = "final policy (deterministic, whole episodes)"
_LABEL_CHARACTER = 0.018  # of the axis: a digit above it


def plot_learning_curve(rows: MetricRows, path: str | os.PathLike[str], *, title: str) -> None:
    """Draws the true return, the query sessions and, beside it, the learned return.

    Where the policy was evaluated while it was trained, that is the curve, and the returns of
    training episodes, which explore and may be cut short, stand behind it. The final policy's
    evaluation is a point of its own where no other stands at that step. Where the environment
    reports success, its rate has a panel.

    Args:
        rows: in order, with `step`, and where known `true_return`, `true_return_std`,
            `learned_return` and `success_rate`, the same four as `eval_true_return` and so on, and
            as `final_true_return` and so on, and `num_answers` (so far). A session is marked at
            the first row with more answers than before.
        path: the PNG file.
        title: above it all; taken literally.

    Raises:
        StorageError: the file could not be written.
    """
    figure = new_figure(title)
    has_learned, has_success = (_is_drawn(rows, key) for key in ("learned_return", "success_rate"))
    true_axes, others = _panels(figure, has_learned + has_success)
    if has_learned:
        learned_axes = others.pop(0)
        _draw(learned_axes, rows, "learned_return", LEARNED)
        learned_axes.set_ylabel("learned return\n(reward model's units)")
    if has_success:
        success_axes = others.pop(0)
        _draw(success_axes, rows, "success_rate", SUCCESS)
        success_axes.set_ylabel("share of episodes\nthat succeeded")
        success_axes.set_ylim(-0.04, 1.04)
    _draw(true_axes, rows, "true_return", TRUE, is_wide=True)
    true_axes.set_ylabel(
        "true return (never shown to the learner)" if has_learned else "true return"
    )
    _mark_sessions(true_axes, *_sessions(rows))
    save(figure, path)


def _panels(figure: "Figure", num_others: int) -> tuple["Axes", list["Axes"]]:
    """Returns the axes on the left, and those on the right of it, one below the other."""
    if not num_others:
        return figure.subplots(), []
    grid = figure.add_gridspec(num_others, 2, width_ratios=(3, 2))
    wide = figure.add_subplot(grid[:, 0])
    return wide, [figure.add_subplot(grid[row, 1]) for row in range(num_others)]


def _is_known(rows: MetricRows, key: str) -> bool:
    return bool(np.isfinite(column(rows, key)).any())


def _is_drawn(rows: MetricRows, key: str) -> bool:
    return any(_is_known(rows, f"{prefix}{key}") for prefix in ("", "eval_", "final_"))


def _draw(axes: "Axes", rows: MetricRows, key: str, colour: str, *, is_wide: bool = False) -> None:
    """Draws a metric of evaluations in front of that of training, or either alone."""
    last_step = float(column(rows, "step").max(initial=0.0))
    xlabel = "environment steps"
    is_evaluated, is_trained = (_is_known(rows, name) for name in (f"eval_{key}", key))
    labels = []  # In the order that lines are drawn in: what matters most is drawn last.
    has_band = False
    if is_trained:
        has_band = _draw_line(axes, rows, key, colour, is_behind=is_evaluated)
        labels.append(_TRAINING)
    if is_evaluated:
        has_band = _draw_line(axes, rows, f"eval_{key}", colour)
        labels.append(_EVALUATION)
    elif _is_known(rows, f"final_{key}"):
        _draw_final(axes, rows, key, colour)
        labels.append(_FINAL)
    if has_band:
        xlabel += "  (band: one standard deviation over episodes)"
    if not labels:
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no episode ended while training", transform=axes.transAxes, ha="center"
        )
    elif labels != [_TRAINING]:
        if not is_wide:  # Of a panel that is narrow, only what stands before the brackets.
            labels = [text.split(" (")[0] for text in labels]
        axes.legend(
            axes.get_lines()[::-1],
            labels[::-1],
            loc="best",
            frameon=False,
            fontsize=8.5,
            labelcolor=INK,
        )
    finish_axes(axes, last_step)
    axes.set_xlabel(xlabel)


def _draw_line(
    axes: "Axes", rows: MetricRows, key: str, colour: str, *, is_behind: bool = False
) -> bool:
    """Draws one metric over the steps; returns whether there is a band around it."""
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
    if not _is_known(rows, f"final_{key}"):  # Its number stands there.
        _name_value(axes, steps[-1], values[-1], colour)
    return has_band


def _draw_final(axes: "Axes", rows: MetricRows, key: str, colour: str) -> None:
    """Draws the evaluation of the final policy: a diamond, and how far its episodes differ."""
    value, deviation = (column(rows, f"final_{key}{end}") for end in ("", "_std"))
    known = np.flatnonzero(np.isfinite(value))[-1]
    step, value, deviation = column(rows, "step")[known], value[known], deviation[known]
    if np.isfinite(deviation):
        axes.vlines(step, value - deviation, value + deviation, color=colour, alpha=0.5)
    axes.plot([step], [value], color=colour, marker="D", markersize=6, linewidth=0, clip_on=False)
    _name_value(axes, step, value, colour)


def _name_value(axes: "Axes", step: float, value: float, colour: str) -> None:
    axes.annotate(
        short_number(value),
        (step, value),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold",
        color=colour,
        annotation_clip=False,
    )


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
