"""Compares two benchmarks of query strategies cell by cell, where both have the same cell.

    python scripts/compare_benchmarks.py docs/benchmarks/queries/reward runs/spread --budget 700

Reads the two folders' results.parquet and prints a Markdown table: each strategy's mean in both
benchmarks, the mean difference over the cells of the same environment, teacher and seed with its
95% interval (seeds resampled within environment and teacher), in how many of them the second
benchmark is the better, Wilcoxon's p with Holm's correction over the strategies, and the mean
difference in each environment with each teacher.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.command_line import OneLineParser, number_above_0
from prefrl.benchmark.grid.results import MEASURES, read_results
from prefrl.benchmark.report.statistics import bootstrap, holm, mean, signed_rank_p
from prefrl.errors import DataError, PrefrlError

LESS_IS_BETTER = ("nll", "ece", "select_s", "fit_s")

Values = Mapping[tuple[str, str, str, int], float]
"""A measure by strategy, environment, teacher and seed."""


def values_of(rows: Sequence[Mapping[str, Any]], *, measure: str, budget: int) -> Values:
    """Picks a measure at a budget, by cell; one that is not known is left out.

    Raises:
        DataError: two cells have the same name as far as a table can tell.
    """
    found: dict[tuple[str, str, str, int], float] = {}
    cells: dict[tuple[str, str, str, int], str] = {}
    for row in rows:
        value = row.get(measure, math.nan)  # Whoever wrote the file may know nothing of it.
        if row["budget"] != budget or not math.isfinite(value):
            continue
        run = (row["strategy"], row["env"], row["teacher"], row["seed"])
        # Whole runs of several budgets pass through the smaller ones.
        if cells.setdefault(run, row["cell"]) != row["cell"] and row["mode"] == "reward":
            raise DataError(
                f"cells {cells[run]} and {row['cell']} have the same strategy, environment, "
                "teacher and seed; they cannot be told apart"
            )
        found[run] = value
    return found


def table(first: Values, second: Values, *, less_is_better: bool) -> list[str]:
    """Returns the comparison as the lines of a Markdown table.

    Raises:
        DataError: the two have no cell in common.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise DataError("the two benchmarks have no cell in common at this budget")
    cases = sorted({(env, teacher) for _, env, teacher, _ in shared})
    strategies = sorted({strategy for strategy, *_ in shared})
    difference = {cell: second[cell] - first[cell] for cell in shared}
    by_case = {
        (strategy, case): np.array(
            [difference[c] for c in shared if (c[0], c[1:3]) == (strategy, case)]
        )
        for strategy in strategies
        for case in cases
    }
    pooled = {s: np.concatenate([by_case[s, case] for case in cases]) for s in strategies}
    p_values = holm([signed_rank_p(pooled[strategy]) for strategy in strategies])
    names = [f"{env}, {teacher}" for env, teacher in cases]
    head = ["strategy", "first", "second", "difference (95%)", "better in", "p", *names]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for strategy, p in zip(strategies, p_values, strict=True):
        strata = [by_case[strategy, case] for case in cases]
        # The statistic's own generator: the same results give the same table.
        found = bootstrap(strata, mean, rng=np.random.default_rng(0))
        is_better = pooled[strategy] < 0 if less_is_better else pooled[strategy] > 0
        means = [np.mean([v[c] for c in shared if c[0] == strategy]) for v in (first, second)]
        cells = [
            f"`{strategy}`",
            *(f"{value:.3f}" for value in means),
            f"{float(found.value):+.4f} ({float(found.low):+.4f} to {float(found.high):+.4f})",
            f"{is_better.sum()} of {len(is_better)}",
            f"{p:.2g}",
            *(f"{stratum.mean():+.4f}" if len(stratum) else "" for stratum in strata),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns the process's exit status."""
    parser = OneLineParser(prog="compare_benchmarks.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("first", type=Path, help="a benchmark's folder")
    parser.add_argument("second", type=Path, help="the folder of the one to hold against it")
    parser.add_argument("--budget", type=number_above_0, default=700, help="answers (700)")
    parser.add_argument("--measure", choices=MEASURES, default="accuracy", help="(accuracy)")
    asked = parser.parse_args(argv)
    try:
        both = [
            values_of(read_results(folder), measure=asked.measure, budget=asked.budget)
            for folder in (asked.first, asked.second)
        ]
        lines = table(*both, less_is_better=asked.measure in LESS_IS_BETTER)
    except PrefrlError as error:
        print(f"compare_benchmarks.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
