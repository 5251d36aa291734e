"""The figures of a report, made to be read with twenty strategies as well as with two.

Where more than eight would share a panel, the best six and `uniform` are told apart and the others
drawn as a grey background.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from prefrl.benchmark.grid.cells import TRUE_REWARD
from prefrl.benchmark.report.analysis import Analysis, Band
from prefrl.benchmark.report.curves import UNIFORM
from prefrl.benchmark.report.drawing import (
    add_legend,
    add_title,
    draw_band,
    draw_intervals,
    draw_reference,
    finish_curves,
    grid_panels,
    name_axes,
    row_panels,
)
from prefrl.benchmark.report.layout import Layout
from prefrl.benchmark.report.study import Study
from prefrl.benchmark.report.theme import style_of
from prefrl.media.plots import FAINT, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Analysis, Layout], "Figure"]

_MOST_TOLD_APART = 8
_NUM_BEST = 6
_WIDE_RANGE = 20.0  # times as much: then in steps of ten
_AXIS_LABELS = {
    "budget": "answers",
    "step": "environment steps",
    "share": "share of the run, from its start to its end",
}


def drawn_for(analysis: Analysis) -> dict[str, Draw]:
    """Returns the functions that draw what the study has measurements for, by name of figure."""
    has_overall = any(
        np.isfinite(band.height.value).any() for band in analysis.by_strategy.values()
    )
    has_finals = any(np.isfinite(estimate.value) for estimate in analysis.finals.values())
    seconds = analysis.others["select_s"]
    drawn: dict[str, Draw] = {}
    bands = [band for of_stratum in analysis.by_stratum.values() for band in of_stratum.values()]
    if any(np.isfinite(band.height.value).any() for band in bands):
        drawn["curves-by-environment"] = _curves_by_stratum
    if has_overall and len(analysis.ranking) > 1 and len(analysis.study.grid()) > 1:
        drawn["curves-by-strategy"] = _curves_by_strategy
    if has_finals:
        drawn["interquartile-means"] = _interquartile_means
        drawn["profiles"] = _profiles
    if analysis.improvement:
        drawn["improvement"] = _improvement
    if any(np.isfinite(estimate.value) for estimate in seconds.values()):
        drawn["selection-time"] = _selection_time
    return drawn


def score_label(study: Study) -> str:
    """Names a score on the study's scale."""
    if study.scale.reference:
        return f"{study.mode.label}, {study.scale.reference} = 1"
    return study.mode.label


def _told_apart(analysis: Analysis) -> tuple[str, ...]:
    """Returns the strategies that a shared panel names, the best first."""
    others = [name for name in analysis.ranking if name != UNIFORM]
    named = others if len(others) <= _MOST_TOLD_APART else others[:_NUM_BEST]
    return tuple(name for name in analysis.ranking if name in {*named, UNIFORM})


def _curves_by_stratum(analysis: Analysis, layout: Layout) -> "Figure":
    study = analysis.study
    names = _told_apart(analysis)
    figure, panels = grid_panels(
        len(study.strata),
        layout.strata_columns,
        layout,
        height_in=2.0 if layout.is_stacked else 2.5,
    )
    handles: dict[str, Any] = {}
    for axes, stratum in zip(panels, study.strata, strict=True):
        env, teacher = stratum
        bands = analysis.by_stratum[stratum]
        for name in (*sorted(set(bands) - set(names)), *(n for n in reversed(names) if n in bands)):
            line = draw_band(axes, bands[name], study, name, is_named=name in names)
            handles[name if name in names else ""] = line
        if env in analysis.reference:
            handles[TRUE_REWARD] = draw_reference(axes, analysis.reference[env])
        add_title(axes, f"{env}, {teacher}" if teacher else env, layout)
        finish_curves(axes, study.axis)
        if len(grid := study.grid(stratum)) == 1:
            axes.set_xticks(grid)
    num_others = len(study.strategies) - len(names)
    labels = {name: name for name in (*names, TRUE_REWARD)} | {"": f"{num_others} others"}
    add_legend(figure, [(handles[key], labels[key]) for key in labels if key in handles], layout)
    name_axes(figure, _AXIS_LABELS[study.axis], study.mode.label, layout)
    return figure


def _curves_by_strategy(analysis: Analysis, layout: Layout) -> "Figure":
    study = analysis.study
    names = [name for name in analysis.ranking if name != UNIFORM or len(analysis.ranking) == 1]
    figure, panels = grid_panels(
        len(names), layout.strategy_columns, layout, height_in=2.0, share=True
    )
    handles: dict[str, Any] = {}
    for axes, name in zip(panels, names, strict=True):
        for other in names:
            if other != name:
                band = analysis.by_strategy[other]
                handles["the others"] = draw_band(axes, band, study, other, is_named=False)
        if UNIFORM in analysis.by_strategy:
            band = analysis.by_strategy[UNIFORM]
            handles[UNIFORM] = draw_band(axes, band, study, UNIFORM, is_named=True)
        draw_band(axes, analysis.by_strategy[name], study, name, is_named=True)
        add_title(axes, name, layout, style_of(study, name)["color"])
        finish_curves(axes, "share" if study.is_in_shares else study.axis)
    entries = [(line, label) for label, line in sorted(handles.items(), reverse=True)]
    add_legend(figure, entries, layout)
    axis = _AXIS_LABELS["share" if study.is_in_shares else study.axis]
    name_axes(figure, axis, score_label(study), layout)
    return figure


def _interquartile_means(analysis: Analysis, layout: Layout) -> "Figure":
    study = analysis.study
    has_areas = any(np.isfinite(estimate.value) for estimate in analysis.areas.values())
    columns = [("at the final budget" if study.axis == "budget" else "at the end", analysis.finals)]
    if has_areas:
        columns.append(("over the whole curve", analysis.areas))
    figure, panels = row_panels(analysis.ranking, len(columns), layout)
    for axes, (title, estimates) in zip(panels, columns, strict=True):
        draw_intervals(axes, analysis, estimates, analysis.ranking)
        if UNIFORM in estimates:
            axes.axvline(float(estimates[UNIFORM].value), color=MUTED, linewidth=0.8, zorder=0)
        add_title(axes, title, layout)
        axes.set_xlabel(score_label(study))
    return figure


def _improvement(analysis: Analysis, layout: Layout) -> "Figure":
    names = sorted(analysis.improvement, key=lambda name: -float(analysis.improvement[name].value))
    figure, (axes,) = row_panels(names, 1, layout)
    draw_intervals(axes, analysis, analysis.improvement, names)
    axes.axvline(0.5, color=MUTED, linewidth=0.8, zorder=0)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(_in_lines("probability that a run of it beats", "a run of uniform", layout))
    return figure


def _profiles(analysis: Analysis, layout: Layout) -> "Figure":
    figure, (axes,) = grid_panels(1, 1, layout, height_in=2.7)
    names = _told_apart(analysis)
    handles: dict[str, Any] = {}
    known = [name for name in analysis.ranking if name in analysis.profiles]
    for name in sorted(known, key=lambda name: (name in names, -known.index(name))):
        band = Band(analysis.thresholds, analysis.profiles[name])
        is_named = name in names
        line = draw_band(axes, band, analysis.study, name, is_named=is_named, has_markers=False)
        handles[name if is_named else ""] = line
    num_others = len(known) - sum(name in names for name in known)
    labels = {name: name for name in names} | {"": f"{num_others} others"}
    add_legend(figure, [(handles[key], labels[key]) for key in labels if key in handles], layout)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_xlabel(f"threshold: {score_label(analysis.study)}")
    axes.set_ylabel("share of runs above it")
    return figure


def _selection_time(analysis: Analysis, layout: Layout) -> "Figure":
    from matplotlib.ticker import LogLocator

    seconds = {
        name: estimate
        for name, estimate in analysis.others["select_s"].items()
        if np.isfinite(estimate.value)
    }
    names = sorted(seconds, key=lambda name: float(seconds[name].value))
    figure, (axes,) = row_panels(names, 1, layout)
    values = [float(estimate.value) for estimate in seconds.values()]
    if min(values) > 0 and max(values) > _WIDE_RANGE * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if layout.is_stacked:
            axes.xaxis.set_major_locator(LogLocator(numticks=3))
    draw_intervals(axes, analysis, seconds, names)
    if axes.get_xscale() == "linear":
        axes.set_xlim(left=0)
    axes.set_xlabel(_in_lines("seconds spent on selecting queries,", "in one run", layout))
    return figure


def _in_lines(first: str, second: str, layout: Layout) -> str:
    return f"{first}\n{second}" if layout.is_stacked else f"{first} {second}"
