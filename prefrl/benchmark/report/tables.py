"""A report's numbers as tables: CSV files for whoever wants to go on from them."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefrl.benchmark.report.analysis import Analysis, Band
from prefrl.benchmark.report.statistics import Estimate, iqm

_ENDS = ("low", "high")


@dataclass(frozen=True)
class Table:
    """The content of one CSV file.

    Args:
        header: names of its columns.
        rows: as long as the header, each; NaN and None are left empty.
    """

    header: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def csv(self) -> str:
        """Returns the file's text."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([_cell(value) for value in row] for row in self.rows)
        return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.6g}"
    return "" if value is None else value


def tables_of(analysis: Analysis) -> dict[str, Table]:
    """Returns every table that the study has measurements for, by name."""
    tables = {
        "verdicts": _verdicts(analysis),
        "scores": _scores(analysis),
        "scores-by-environment": _scores_by_stratum(analysis),
        "curves": Table(
            ("strategy", "env", "teacher", "x", "interquartile_mean", *_ENDS),
            list(_curve_rows(analysis)),
        ),
        "differences-by-environment": Table(
            ("env", "teacher", "strategy", "num_pairs", "num_higher", "mean"),
            [
                (*stratum, name, len(gaps), int((gaps > 0).sum()), float(gaps.mean()))
                for name, by_stratum in analysis.gaps.items()
                for stratum, gaps in by_stratum.items()
            ],
        ),
        "improvement": Table(
            ("strategy", "probability", *_ENDS),
            [(name, *_numbers(estimate)) for name, estimate in analysis.improvement.items()],
        ),
        "profiles": Table(
            ("strategy", "threshold", "share_above", *_ENDS),
            [
                row
                for name, profile in analysis.profiles.items()
                for row in _band_rows((name,), Band(analysis.thresholds, profile))
            ],
        ),
        "answers-needed": Table(
            ("env", "teacher", "strategy", "answers", "uniform_answers", "target"),
            [
                (*stratum, name, needed, answers.budget, answers.target)
                for stratum, answers in analysis.answers.items()
                for name, needed in answers.needed.items()
            ],
        ),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _verdicts(analysis: Analysis) -> Table:
    header = ("strategy", "of", "outcome", "num_pairs", "difference", *_ENDS)
    rows = [
        (
            *(verdict.strategy, of, verdict.outcome, verdict.num_pairs),
            *(*_numbers(verdict.difference), verdict.p, verdict.p_corrected, verdict.sentence),
        )
        for of, verdicts in analysis.verdicts.items()
        for verdict in verdicts
    ]
    return Table((*header, "p", "p_corrected", "sentence"), rows)


def _scores(analysis: Analysis) -> Table:
    study = analysis.study
    groups = {"final": analysis.finals, "area": analysis.areas, **analysis.others}
    rows = []
    for name in analysis.ranking:
        finals = study.finals(name)
        sizes = sum(map(len, finals.values())), len(finals)
        rows += [(name, of, *_numbers(group[name]), *sizes) for of, group in groups.items()]
    return Table(
        ("strategy", "of", "interquartile_mean", *_ENDS, "num_runs", "num_environments"), rows
    )


def _scores_by_stratum(analysis: Analysis) -> Table:
    rows = []
    for name in analysis.ranking:
        for stratum, seeds in sorted(analysis.study.finals(name).items()):
            scores = np.array(list(seeds.values()))
            rows.append((*stratum, name, len(scores), float(scores.mean()), float(iqm(scores))))
    return Table(("env", "teacher", "strategy", "num_runs", "mean", "interquartile_mean"), rows)


def _curve_rows(analysis: Analysis) -> Iterator[tuple[Any, ...]]:
    """Yields the curves over all strata first, with no environment beside them."""
    for name, band in analysis.by_strategy.items():
        yield from _band_rows((name, "", ""), band)
    for stratum, bands in analysis.by_stratum.items():
        for name, band in bands.items():
            yield from _band_rows((name, *stratum), band)


def _band_rows(keys: tuple[str, ...], band: Band) -> Iterator[tuple[Any, ...]]:
    heights = band.height
    for x, value, low, high in zip(band.x, heights.value, heights.low, heights.high, strict=True):
        if np.isfinite(value):
            yield (*keys, float(x), float(value), float(low), float(high))


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    return float(estimate.value), float(estimate.low), float(estimate.high)
