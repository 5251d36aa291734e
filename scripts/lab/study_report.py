"""The tables of a study, in Markdown, from the results that are kept of it."""

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lab.studies import TRUE, Row, Target
from lab.study_results import (
    Results,
    detectable,
    difference,
    iqm_of,
    mean_of,
    share_of,
)
from prefrl.benchmark.report.numbers import digits_of, interval_text, plain_number
from prefrl.benchmark.report.statistics import Estimate
from prefrl.types import Float64Array


def report_lines(results: Results, figures: Sequence[Path]) -> list[str]:
    """Returns the lines between the page's markers.

    Args:
        results: of the study; rows without any are left out.
        figures: that were drawn, each named after its row.
    """
    study = results.study
    lines = [f"{_num_finished(results)}.", ""]
    for row in study.rows.values():
        if row.equal_cpu_to is None and any(results.of(row.name, arm) for arm in row.arms):
            lines += _row_lines(results, row)
            lines += _figure_lines(results, row.name, figures)
    lines += _titled("Area under the curve", _area_lines(results))
    lines += _titled("Differences", _difference_lines(results))
    lines += _titled("Targets", _target_lines(results))
    return lines


def _num_finished(results: Results) -> str:
    cells = list(results.study.cells())
    finished = [cell for cell in cells if results.study.result_path(cell).exists()]
    left = results.study.cpu_min([cell for cell in cells if cell not in finished])
    rest = f"; the others take about {left / 60:,.0f} hours of one core" if left else ""
    return f"{len(finished)} of {len(cells)} runs are finished{rest}"


def _titled(title: str, lines: list[str]) -> list[str]:
    return [f"### {title}", "", *lines, ""] if lines else []


def title_of(results: Results, row: Row) -> str:
    """Names a row for people."""
    return f"{row.env}, {results.study.agents[row.agent].title}, {row.steps:,} steps"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    head = [f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)]


def _row_lines(results: Results, row: Row) -> list[str]:
    """Returns a row's arms, and beside them other agents at equal computing time."""
    arms = [arm for arm in row.arms if results.of(row.name, arm)]
    true = results.finals(row.name, TRUE)
    table = []
    for arm in arms:
        finals = results.finals(row.name, arm)
        share = ""
        if arm != TRUE and len(true):
            share = _with_interval(share_of([finals], [true]), 2)
        table.append(
            [
                results.study.arms[arm].title,
                f"{len(finals)} of {len(row.seeds)}",
                _with_interval(mean_of(finals)),
                _with_interval(iqm_of(finals)),
                f"{plain_number(finals.min(), 0)} to {plain_number(finals.max(), 0)}",
                share,
                _mean(results, row.name, arm, "reward_true_correlation"),
                _minutes(results.cpu_s(row.name, arm)),
            ]
        )
    header = ["arm", "seeds", "mean (95% interval)", "IQM (95% interval)", "lowest to highest"]
    header += ["share of true", "correlation", "CPU min (lowest to highest)"]
    lines = [f"### {title_of(results, row)}", ""]
    lines += [row.note, ""] if row.note else []
    lines += [*_table(header, table), ""]
    beside = list(_beside(results, row))
    if beside:
        header = ["at equal computing time", "arm", "CPU min", "seeds", "mean (95% interval)"]
        header += ["IQM (95% interval)", "ended sooner"]
        lines += [*_table(header, beside), ""]
    return lines


def _minutes(seconds: Float64Array) -> str:
    low, mean, high = (one / 60 for one in (seconds.min(), seconds.mean(), seconds.max()))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def _beside(results: Results, row: Row) -> Iterator[list[str]]:
    for other in results.study.rows.values():
        if other.equal_cpu_to != row.name:
            continue
        for arm in other.arms:
            runs, values = results.of(other.name, arm), results.at_limit(other.name, arm)
            limit_s = results.cpu_limit_s(other.name, arm)
            if not runs or math.isnan(limit_s):
                continue
            yield [
                f"{results.study.agents[other.agent].title}, of {other.steps:,} steps",
                results.study.arms[arm].title,
                f"{limit_s / 60:.1f}",
                f"{len(values)} of {len(other.seeds)}",
                _with_interval(mean_of(values)),
                _with_interval(iqm_of(values)),
                str(len(runs) - len(values)),
            ]


def _figure_lines(results: Results, row: str, figures: Sequence[Path]) -> list[str]:
    page = results.study.page.parent
    return [
        line
        for figure in figures
        if figure.stem in (row, f"{row}-agents")
        for line in (f"![{figure.stem}]({Path(os.path.relpath(figure, page)).as_posix()})", "")
    ]


def _area_lines(results: Results) -> list[str]:
    """Returns areas as shares of the true arm's, by task, and averaged over those of a pool."""
    study = results.study
    table = []
    pools: dict[tuple[str, str], list[tuple[Float64Array, Float64Array]]] = {}
    for row in study.rows.values():
        true = results.areas(row.name, TRUE)
        if row.equal_cpu_to is not None or not len(true):
            continue
        for arm in row.arms:
            areas = results.areas(row.name, arm)
            if arm != TRUE and len(areas):
                pools.setdefault((row.pool, arm), []).append((areas, true))
                share = _with_interval(share_of([areas], [true]), 2)
                title = title_of(results, row)
                table.append([title, study.arms[arm].title, _sizes(areas, true), share])
    for (pool, arm), members in pools.items():
        if pool and len(members) > 1:
            mine, theirs = zip(*members, strict=True)
            share = _with_interval(share_of(mine, theirs), 2)
            title = f"{pool}: mean of {len(members)} tasks"
            table.append([title, study.arms[arm].title, "", share])
    header = ["runs", "arm", "seeds, and of the true arm", "share of the true arm's area"]
    return _table(header, table)


def _sizes(mine: Float64Array, theirs: Float64Array) -> str:
    return f"{len(mine)}, {len(theirs)}"


def _difference_lines(results: Results) -> list[str]:
    study = results.study
    table = []
    for left, right in _pairs(results):
        mine, theirs = results.compared(*left), results.compared(*right)
        if not len(mine) or not len(theirs):
            continue
        planned = len(study.rows[left[0]].seeds), len(study.rows[right[0]].seeds)
        estimate = difference(mine, theirs)
        shown = detectable(mine, theirs, planned)
        table.append(
            [
                _arm_title(results, left, right),
                _sizes(mine, theirs),
                _with_interval(estimate),
                "" if math.isnan(shown) else plain_number(shown, 0),
            ]
        )
    header = ["difference of mean returns", "seeds", "difference (95% interval)"]
    return _table([*header, "difference that could have shown"], table)


def _pairs(results: Results) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yields what is compared: with the true arm, with fewer answers, with other agents."""
    for row in results.study.rows.values():
        if row.equal_cpu_to is not None:
            for arm in row.arms:
                yield (row.equal_cpu_to, arm), (row.name, arm)
            continue
        learned = [arm for arm in row.arms if arm != TRUE]
        for arm in learned:
            if TRUE in row.arms:
                yield (row.name, arm), (row.name, TRUE)
        for less, more in itertools.pairwise(learned):
            yield (row.name, more), (row.name, less)


def _arm_title(results: Results, left: tuple[str, str], right: tuple[str, str]) -> str:
    study = results.study
    row, other = study.rows[left[0]], study.rows[right[0]]
    arms = study.arms[left[1]].title, study.arms[right[1]].title
    if row is other:
        return f"{row.env}, {row.steps:,} steps: {arms[0]} less {arms[1]}"
    agents = study.agents[row.agent].title, study.agents[other.agent].title
    return f"{row.env}, {arms[0]}, equal computing time: {agents[0]} less {agents[1]}"


def _target_lines(results: Results) -> list[str]:
    study = results.study
    table = []
    for target in study.targets:
        row = study.rows[target.row]
        value = results.value_of(target)
        num = len(results.of(target.row, target.arm))
        table.append(
            [
                f"{title_of(results, row)}, {study.arms[target.arm].title}",
                _aim(results, target),
                "" if value is None else _number(target, value),
                f"{num} of {len(row.seeds)}",
                _share_above(results, target),
                _verdict(target, value, is_complete=num == len(row.seeds)),
            ]
        )
    header = ["runs", "target", "measured", "seeds", "share of seeds that reach it", "met"]
    return _table(header, table)


def _aim(results: Results, target: Target) -> str:
    if target.statistic == "seeds":
        assert target.height is not None
        within = f" within {target.within_s / 60:.0f} CPU min" if target.within_s else ""
        what = f"share of seeds with a return of {plain_number(target.height)} or more{within}"
    elif target.measure == "return":
        what = f"{'IQM' if target.statistic == 'iqm' else 'mean'} return"
    elif target.measure == "over_row":
        other = results.study.rows[str(target.other)]
        title = results.study.agents[other.agent].title
        what = f"mean return beyond that of {title} at equal computing time"
    else:
        what = {"share_of_true": "share of true", "overhead": "overhead"}[target.measure]
    bound = target.at_least if target.at_least is not None else target.at_most
    assert bound is not None
    side = "at least" if target.at_least is not None else "at most"
    text = f"{what}: {side} {_number(target, bound)}"
    if target.stretch is not None:
        text += f", stretch {_number(target, target.stretch)}"
    return f"{text} ({target.source})" if target.source else text


def _number(target: Target, value: float) -> str:
    is_share = target.statistic == "seeds" or target.measure in ("share_of_true", "overhead")
    return plain_number(value, 2 if is_share else 0)


def _share_above(results: Results, target: Target) -> str:
    """Returns the share of seeds above a target that is about returns."""
    finals = results.finals(target.row, target.arm)
    if target.measure != "return" or target.at_least is None or target.statistic == "seeds":
        return ""
    return plain_number(float(np.mean(finals >= target.at_least)), 2) if len(finals) else ""


def _verdict(target: Target, value: float | None, *, is_complete: bool) -> str:
    if value is None:
        return "not known yet"
    if target.at_least is not None:
        is_met = value >= target.at_least
        is_stretched = target.stretch is not None and value >= target.stretch
    else:
        assert target.at_most is not None
        is_met, is_stretched = value <= target.at_most, False
    word = "yes, the stretch, too" if is_stretched else "yes" if is_met else "no"
    return word if is_complete else f"{word}, so far"


def _mean(results: Results, row: str, arm: str, key: str) -> str:
    values = [r.summary[key] for r in results.of(row, arm) if r.summary.get(key) is not None]
    return f"{np.mean(values):.2f}" if values else ""


def _with_interval(estimate: Estimate, digits: int | None = None) -> str:
    """Writes an estimate with its interval, where it has one."""
    if not np.isfinite(estimate.value):
        return ""
    if digits is None:
        digits = min(digits_of([estimate]) or 0, 1)
    text = plain_number(float(estimate.value), digits)
    if np.isfinite(estimate.low):
        text += f" ({interval_text(estimate, digits)})"
    return text
