"""The figures of a study: returns over steps, over answers, over computing time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lab.studies import TRUE, Row, Study
from lab.study_report import title_of
from lab.study_results import Result, Results, curves_at, iqm_of
from prefrl.media.canvas import FAINT, INK, WIDE_IN, finish_axes, mute, new_figure, save
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito 2008: distinct also to those who confuse red and green.
_ARMS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SIZE_IN = (9.6, 7.0)
_NUM_GRID_POINTS = 120


def draw_figures(results: Results) -> list[Path]:
    """Draws what there are runs for, into the study's folder.

    Returns:
        the files: ROW.png, and ROW-agents.png where other agents stand beside it.
    """
    study, drawn = results.study, []
    for row in study.rows.values():
        if row.equal_cpu_to is not None or not any(results.of(row.name, a) for a in row.arms):
            continue
        path = study.folder / f"{row.name}.png"
        save(_row_figure(results, row), path)
        drawn.append(path)
        beside = [r for r in study.rows.values() if r.equal_cpu_to == row.name]
        if any(results.of(other.name, arm) for other in beside for arm in other.arms):
            path = study.folder / f"{row.name}-agents.png"
            save(_agents_figure(results, [row, *beside]), path)
            drawn.append(path)
    return drawn


def _row_figure(results: Results, row: Row) -> "Figure":
    """Draws a row's arms over steps and computing time; learned ones over answers, too."""
    study = results.study
    runs_of = {arm: runs for arm in row.arms if (runs := results.of(row.name, arm))}
    learned = [arm for arm in runs_of if study.is_learned(arm)]
    figure = new_figure(title_of(results, row), _SIZE_IN if learned else WIDE_IN)
    panels = list(figure.subplots(2 if learned else 1, 2).flat)
    lines = []
    for arm, runs in runs_of.items():
        steps = np.unique(np.concatenate([run.curve["step"] for run in runs]))
        line = _draw(panels[0], runs, "step", steps, _colour(study, arm))
        lines.append((line, f"{study.arms[arm].title}  ({_num_seeds(runs)})"))
        minutes = _common_grid(runs, "cpu_s")
        _draw(panels[1], runs, "cpu_s", minutes, _colour(study, arm), scale=1 / 60)
    finish_axes(panels[0], float(row.steps))
    finish_axes(panels[1], max(run.cpu_s for runs in runs_of.values() for run in runs) / 60)
    panels[0].set(xlabel="environment steps", ylabel="true return")
    panels[1].set(xlabel="CPU minutes")
    if learned:
        _draw_answers(panels[2], results, row, learned)
        _draw_learned(panels[3], results, row, learned)
    _legend(figure, lines)
    return figure


def _draw_answers(axes: "Axes", results: Results, row: Row, arms: Sequence[str]) -> None:
    most = 0.0
    for arm in arms:
        runs = results.of(row.name, arm)
        answers = np.unique(np.concatenate([run.curve["num_answers"] for run in runs]))
        _draw(axes, runs, "num_answers", answers, _colour(results.study, arm), marker="o")
        most = max(most, float(answers[-1]))
    finish_axes(axes, 1.03 * most)
    axes.set(xlabel="answers given", ylabel="true return")
    if len(true := results.finals(row.name, TRUE)):
        axes.axhline(
            float(iqm_of(true).value), color=_colour(results.study, TRUE), linestyle="--", zorder=1
        )
        axes.set_xlabel("answers given (dashed: the true reward's final policies)")


def _draw_learned(axes: "Axes", results: Results, row: Row, arms: Sequence[str]) -> None:
    """Draws each run's path: one that goes right and down pleases its reward alone."""
    from matplotlib.ticker import StrMethodFormatter

    for arm in arms:
        colour = _colour(results.study, arm)
        for run in results.of(row.name, arm):
            learned, true = run.curve["eval_learned_return"], run.curve["eval_true_return"]
            axes.plot(learned, true, color=colour, linewidth=0.8, alpha=0.6)
            axes.plot(learned[-1:], true[-1:], color=colour, marker="o", markersize=3)
    axes.set_xlabel("learned return, by the reward of the time; a line a seed")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(color=FAINT, linewidth=0.7)
    mute(axes)


def _agents_figure(results: Results, rows: Sequence[Row]) -> "Figure":
    """Draws agents over computing time, up to where the first row's runs end."""
    study = results.study
    figure = new_figure(f"{rows[0].env}: agents at equal computing time")
    arms = [arm for arm in rows[0].arms if any(results.of(r.name, arm) for r in rows[1:])]
    panels = figure.subplots(1, max(len(arms), 1), sharey=True, squeeze=False)[0]
    lines = []
    for axes, arm in zip(panels, arms, strict=True):
        limit_s = results.cpu_s(rows[0].name, arm)
        end_s = float(limit_s.mean()) if len(limit_s) else np.inf
        last_s = 0.0
        for index, row in enumerate(rows):
            runs = results.of(row.name, arm)
            if not runs:
                continue
            grid = _common_grid(runs, "cpu_s")
            grid = grid[grid <= end_s]
            line = _draw(axes, runs, "cpu_s", grid, _ARMS[index], scale=1 / 60)
            last_s = max([last_s, *grid[-1:]])
            if axes is panels[0]:
                lines.append((line, study.agents[row.agent].title))
        finish_axes(axes, last_s / 60)
        axes.set_xlabel("CPU minutes")
        title = axes.set_title(study.arms[arm].title, loc="left", fontsize=10, color=INK)
        title.set_parse_math(False)
    panels[0].set_ylabel("true return")
    _legend(figure, lines)
    return figure


def _colour(study: Study, arm: str) -> str:
    return _ARMS[list(study.arms).index(arm) % len(_ARMS)]


def _num_seeds(runs: Sequence[Result]) -> str:
    return f"{len(runs)} seed{'' if len(runs) == 1 else 's'}"


def _common_grid(runs: Sequence[Result], axis: str) -> Float64Array:
    """Returns points that every run covers."""
    first = max(run.curve[axis][0] for run in runs)
    last = min(run.curve[axis][-1] for run in runs)
    return np.linspace(first, last, _NUM_GRID_POINTS) if last > first else np.array([last])


def _draw(
    axes: "Axes",
    runs: Sequence[Result],
    axis: str,
    grid: Float64Array,
    colour: str,
    *,
    scale: float = 1.0,
    marker: str = "",
) -> "Line2D":
    """Draws the interquartile mean over seeds in its 95% interval; returns the line."""
    band = curves_at(runs, axis, grid)
    axes.fill_between(scale * grid, band.low, band.high, color=colour, alpha=0.13, linewidth=0)
    (line,) = axes.plot(
        *(scale * grid, band.value),
        color=colour,
        linewidth=1.7,
        marker=marker or ("o" if len(grid) == 1 else ""),
        markersize=3,
    )
    return line


def _legend(figure: "Figure", lines: "Sequence[tuple[Line2D, str]]") -> None:
    legend = figure.legend(
        [line for line, _ in lines],
        [text for _, text in lines],
        loc="outside lower left",
        ncols=max(len(lines), 1),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        title="interquartile mean and its 95% interval",
        title_fontsize=9,
        alignment="left",
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
