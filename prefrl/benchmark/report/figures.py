"""The pictures of a report, made to be read with twenty strategies as well as with two.

A strategy has the same colour everywhere, `uniform` is always black, the true reward a grey dashed
line. Where more than eight would share a panel, the best six and `uniform` are told apart and the
others drawn as a grey background.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefrl.benchmark.grid.cells import TRUE_REWARD
from prefrl.benchmark.report.analysis import Analysis, Band, digits_of, plain_number
from prefrl.benchmark.report.statistics import Estimate
from prefrl.benchmark.report.study import UNIFORM, Study
from prefrl.media.plots import FAINT, INK, MUTED, mute

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN = 9.6
_DPI = 125
_LABEL_SIZE = 9.5
_BACKGROUND = "#c3c7d0"
# Okabe and Ito 2008, and three more; the second ten of twenty are dashed.
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"),
    *("#56b4e9", "#8f6bd1", "#8c4a2f", "#7f9a1a", "#c2185b"),
)
_DASHES: tuple[Any, ...] = ("-", (0, (3.2, 1.3)), (0, (1, 1)))
_MOST_TOLD_APART = 8
_NUM_BEST = 6
_FEW_POINTS = 12
_WIDE = 20.0  # times as much: then in steps of ten
_LONG_TITLE = 24
_AXIS_LABELS = {
    "budget": "answers",
    "step": "environment steps",
    "share": "share of the run, from its start to its end",
}


def png_of(figure: "Figure") -> bytes:
    """The picture's file; the same figures give the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def figures_of(analysis: Analysis) -> dict[str, "Figure"]:
    """Every picture that the study has figures for, by name."""
    has_overall = any(
        np.isfinite(band.height.value).any() for band in analysis.by_strategy.values()
    )
    has_finals = any(np.isfinite(estimate.value) for estimate in analysis.finals.values())
    seconds = analysis.others["select_s"]
    figures: dict[str, Callable[[Analysis], Figure]] = {}
    bands = [band for of_stratum in analysis.by_stratum.values() for band in of_stratum.values()]
    if any(np.isfinite(band.height.value).any() for band in bands):
        figures["curves-by-environment"] = _curves_by_stratum
    if has_overall and len(analysis.ranking) > 1 and len(analysis.study.grid()) > 1:
        figures["curves-by-strategy"] = _curves_by_strategy
    if has_finals:
        figures["interquartile-means"] = _interquartile_means
        figures["profiles"] = _profiles
    if analysis.improvement:
        figures["improvement"] = _improvement
    if any(np.isfinite(estimate.value) for estimate in seconds.values()):
        figures["selection-time"] = _selection_time
    return {name: draw(analysis) for name, draw in figures.items()}


def score_label(study: Study) -> str:
    """What a score on the study's scale is."""
    if study.scale.reference:
        return f"{study.mode.label}, {study.scale.reference} = 1"
    return study.mode.label


def _style(study: Study, strategy: str) -> dict[str, Any]:
    if strategy == UNIFORM:
        return {"color": INK, "linestyle": "-"}
    index = [name for name in study.strategies if name != UNIFORM].index(strategy)
    dashes = _DASHES[index // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": dashes}


def _told_apart(analysis: Analysis) -> tuple[str, ...]:
    """Strategies that a shared panel names, the best first."""
    others = [name for name in analysis.ranking if name != UNIFORM]
    named = others if len(others) <= _MOST_TOLD_APART else others[:_NUM_BEST]
    return tuple(name for name in analysis.ranking if name in {*named, UNIFORM})


def _curves_by_stratum(analysis: Analysis) -> "Figure":
    study = analysis.study
    names = _told_apart(analysis)
    figure, panels = _panels(len(study.strata), 3, height_in=2.5, share=False)
    handles: dict[str, Any] = {}
    for axes, stratum in zip(panels, study.strata, strict=True):
        env, teacher = stratum
        bands = analysis.by_stratum[stratum]
        for name in (*sorted(set(bands) - set(names)), *(n for n in reversed(names) if n in bands)):
            line = _draw_band(axes, bands[name], study, name, is_named=name in names)
            handles[name if name in names else ""] = line
        if env in analysis.reference:
            handles[TRUE_REWARD] = _draw_reference(axes, analysis.reference[env])
        _title(axes, f"{env}, {teacher}" if teacher else env)
        _finish_curves(axes, study.axis)
        if len(grid := study.grid(stratum)) == 1:
            axes.set_xticks(grid)
    num_others = len(study.strategies) - len(names)
    labels = {name: name for name in (*names, TRUE_REWARD)} | {"": f"{num_others} others"}
    _legend(figure, [(handles[key], labels[key]) for key in labels if key in handles])
    _label(figure, _AXIS_LABELS[study.axis], study.mode.label)
    return figure


def _curves_by_strategy(analysis: Analysis) -> "Figure":
    study = analysis.study
    names = [name for name in analysis.ranking if name != UNIFORM or len(analysis.ranking) == 1]
    figure, panels = _panels(len(names), 4, height_in=2.0, share=True)
    handles: dict[str, Any] = {}
    for axes, name in zip(panels, names, strict=True):
        for other in names:
            if other != name:
                band = analysis.by_strategy[other]
                handles["the others"] = _draw_band(axes, band, study, other, is_named=False)
        if UNIFORM in analysis.by_strategy:
            band = analysis.by_strategy[UNIFORM]
            handles[UNIFORM] = _draw_band(axes, band, study, UNIFORM, is_named=True)
        _draw_band(axes, analysis.by_strategy[name], study, name, is_named=True)
        _title(axes, name, _style(study, name)["color"])
        _finish_curves(axes, "share" if study.is_in_shares else study.axis)
    _legend(figure, [(line, label) for label, line in sorted(handles.items(), reverse=True)])
    _label(figure, _AXIS_LABELS["share" if study.is_in_shares else study.axis], score_label(study))
    return figure


def _interquartile_means(analysis: Analysis) -> "Figure":
    study = analysis.study
    has_areas = any(np.isfinite(estimate.value) for estimate in analysis.areas.values())
    columns = [("at the final budget" if study.axis == "budget" else "at the end", analysis.finals)]
    if has_areas:
        columns.append(("over the whole curve", analysis.areas))
    figure, panels = _rows(analysis.ranking, len(columns))
    for axes, (title, estimates) in zip(panels, columns, strict=True):
        _draw_intervals(axes, analysis, estimates, analysis.ranking)
        if UNIFORM in estimates:
            axes.axvline(float(estimates[UNIFORM].value), color=MUTED, linewidth=0.8, zorder=0)
        _title(axes, title)
        axes.set_xlabel(score_label(study))
    return figure


def _improvement(analysis: Analysis) -> "Figure":
    names = sorted(analysis.improvement, key=lambda name: -float(analysis.improvement[name].value))
    figure, (axes,) = _rows(names, 1)
    _draw_intervals(axes, analysis, analysis.improvement, names)
    axes.axvline(0.5, color=MUTED, linewidth=0.8, zorder=0)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("probability that a run of it beats a run of uniform")
    return figure


def _profiles(analysis: Analysis) -> "Figure":
    figure, (axes,) = _panels(1, 1, height_in=2.7, share=False)
    names = _told_apart(analysis)
    handles: dict[str, Any] = {}
    known = [name for name in analysis.ranking if name in analysis.profiles]
    for name in sorted(known, key=lambda name: (name in names, -known.index(name))):
        band = Band(analysis.thresholds, analysis.profiles[name])
        is_named = name in names
        line = _draw_band(axes, band, analysis.study, name, is_named=is_named, has_markers=False)
        handles[name if is_named else ""] = line
    num_others = len(known) - sum(name in names for name in known)
    labels = {name: name for name in names} | {"": f"{num_others} others"}
    _legend(figure, [(handles[key], labels[key]) for key in labels if key in handles])
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_xlabel(f"threshold: {score_label(analysis.study)}")
    axes.set_ylabel("share of runs above it")
    return figure


def _selection_time(analysis: Analysis) -> "Figure":
    seconds = {
        name: estimate
        for name, estimate in analysis.others["select_s"].items()
        if np.isfinite(estimate.value)
    }
    names = sorted(seconds, key=lambda name: float(seconds[name].value))
    figure, (axes,) = _rows(names, 1)
    values = [float(estimate.value) for estimate in seconds.values()]
    if min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _draw_intervals(axes, analysis, seconds, names)
    if axes.get_xscale() == "linear":
        axes.set_xlim(left=0)
    axes.set_xlabel("seconds spent on selecting queries, in one run")
    return figure


def _draw_band(
    axes: "Axes",
    band: Band,
    study: Study,
    name: str,
    *,
    is_named: bool,
    has_markers: bool = True,
) -> Any:
    style = _style(study, name)
    if not is_named:
        style = {"color": _BACKGROUND, "linestyle": "-"}
    is_known = np.isfinite(band.height.value)
    x, value = band.x[is_known], band.height.value[is_known]
    few = has_markers and len(x) <= _FEW_POINTS
    single = len(x) == 1
    if is_named and not single:
        low, high = band.height.low[is_known], band.height.high[is_known]
        axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)
    elif is_named and np.isfinite(band.height.low[is_known]).all():
        axes.vlines(
            x,
            band.height.low[is_known],
            band.height.high[is_known],
            color=style["color"],
            alpha=0.5,
        )
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


def _draw_reference(axes: "Axes", band: Band) -> Any:
    is_known = np.isfinite(band.height.value)
    x, value = band.x[is_known], band.height.value[is_known]
    if len(x) == 1:
        return axes.axhline(value[0], color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2)
    (line,) = axes.plot(x, value, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2, zorder=2)
    return line


def _draw_intervals(
    axes: "Axes", analysis: Analysis, estimates: Mapping[str, Estimate], names: Sequence[str]
) -> None:
    """One row a strategy: its estimate, its interval, and the figure in words."""
    # On steps of ten each figure has digits of its own.
    digits = None if axes.get_xscale() == "log" else digits_of(estimates.values())
    for row, name in enumerate(names):
        estimate = estimates[name]
        if not np.isfinite(estimate.value):
            axes.text(0.02, row, "not known", transform=axes.get_yaxis_transform(), va="center",
                      fontsize=8.5, color=MUTED)  # fmt: skip
            continue
        colour = _style(analysis.study, name)["color"]
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


def _rows(names: Sequence[str], num_columns: int) -> tuple["Figure", list["Axes"]]:
    """Panels that share rows, one a strategy."""
    figure = _new_figure(0.75 + 0.27 * len(names))
    panels = list(figure.subplots(1, num_columns, sharey=True, squeeze=False).flat)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.grid(axis="x", color=FAINT, linewidth=0.7)
        mute(axes, label_size=_LABEL_SIZE)
        axes.tick_params(axis="y", length=0, labelsize=9.5, labelcolor=INK)
    for label in panels[0].get_yticklabels():
        label.set_parse_math(False)
    return figure, panels


def _panels(
    num: int, most_columns: int, *, height_in: float, share: bool
) -> tuple["Figure", list["Axes"]]:
    columns = min(num, most_columns)
    rows = -(-num // columns)
    figure = _new_figure(rows * height_in * (1 if columns > 1 else 1.3) + 0.5)
    grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[num:]:
        axes.set_visible(False)
    if share:  # Above an empty place the numbers are needed again.
        for column in range(columns):
            last = [axes for axes in grid[:, column] if axes.get_visible()][-1]
            last.tick_params(labelbottom=True)
    for axes in panels[:num]:
        mute(axes, label_size=_LABEL_SIZE)
    return figure, panels[:num]


def _finish_curves(axes: "Axes", axis: str) -> None:
    from matplotlib.ticker import EngFormatter, PercentFormatter

    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.margins(x=0.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1) if axis == "share" else EngFormatter(sep=""))


def _new_figure(height_in: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained", facecolor="white")


def _label(figure: "Figure", x: str, y: str) -> None:
    """Names the axes of all panels at once."""
    figure.supxlabel(x, fontsize=9.5, color=INK, parse_math=False)
    figure.supylabel(y, fontsize=9.5, color=INK, parse_math=False)


def _title(axes: "Axes", text: str, colour: str = INK) -> None:
    size = 9.5 * min(1.0, max(_LONG_TITLE / max(len(text), 1), 0.6))
    title = axes.set_title(text, loc="left", fontsize=size, fontweight="bold", color=colour)
    title.set_parse_math(False)


def _legend(figure: "Figure", entries: Sequence[tuple[Any, str]]) -> None:
    if len(entries) < 2:
        return
    legend = figure.legend(
        [line for line, _ in entries],
        [label for _, label in entries],
        loc="outside upper center",
        ncols=min(len(entries), 5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
