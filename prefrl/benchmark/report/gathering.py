"""Rows of results put in order: one curve for each run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefrl.benchmark.grid.cells import TRAINING_RETURN, TRUE_REWARD, Row
from prefrl.benchmark.report.curves import Curve, Mode
from prefrl.benchmark.report.study import Study
from prefrl.errors import DataError
from prefrl.types import Float64Array

# What diverges beyond this is as good as infinite: sums and squares of it would be.
_LARGEST = 1e100


def study_of(rows: Sequence[Row], mode: Mode) -> Study:
    """Puts the rows of a mode in order.

    Args:
        rows: of any modes, as `read_results` returns them.
        mode: the one wanted.

    Raises:
        DataError: two cells are the same run as far as a report can tell.
    """
    rows = [row for row in rows if row["mode"] == mode.name]
    has_steps = all(row.get("step") is not None for row in rows)
    axis = mode.axis if mode.axis == "budget" or has_steps else "budget"
    runs: dict[tuple[str, str, str, int], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row["strategy"], row["env"], row["teacher"], row["seed"])
        runs.setdefault(key, {}).setdefault(row["cell"], []).append(row)
    curves = [_curve(cells, mode, axis) for _, cells in sorted(runs.items())]
    return Study(
        mode,
        axis,
        tuple(curve for curve in curves if curve.strategy != TRUE_REWARD),
        tuple(curve for curve in curves if curve.strategy == TRUE_REWARD),
    )


def _curve(cells: Mapping[str, Sequence[Row]], mode: Mode, axis: str) -> Curve:
    """Makes one run's curve; its cells may be several, with budgets of their own."""
    by_budget: dict[int, tuple[str, list[Row]]] = {}
    for cell, rows in cells.items():
        ordered = sorted(rows, key=lambda row: (row["budget"], row.get("step") or 0))
        budget = ordered[-1]["budget"]
        if budget in by_budget:
            raise DataError(
                f"cells {by_budget[budget][0]} and {cell} have the same strategy, environment, "
                "teacher, seed and final budget; a report cannot tell them apart"
            )
        by_budget[budget] = cell, ordered
    by_cell = [rows for _, (_, rows) in sorted(by_budget.items())]
    # Reward models of several cells continue one curve. A policy's curve over steps is the one of
    # the largest budget; what a smaller budget is worth, a run that ended with it says best.
    shown = by_cell[-1] if axis == "step" else [row for rows in by_cell for row in rows]
    counted = [rows[-1] for rows in by_cell] if axis == "step" else shown
    rows = _merged(shown, axis, earliest=mode.measure if axis == "step" else "")
    first = rows[0]
    names = {
        mode.measure,
        "select_s",
        TRAINING_RETURN,
        *(name.removeprefix("-") for name in mode.others),
    }
    return Curve(
        strategy=first["strategy"],
        stratum=(first["env"], first["teacher"]),
        seed=first["seed"],
        x=_column(rows, axis),
        budgets=_column(rows, "budget"),
        measures={name: _column(rows, name) for name in sorted(names)},
        final=_finite(shown[-1].get(mode.measure)),
        answers={row["budget"]: _finite(row.get(mode.measure)) for row in counted},
    )


def _merged(rows: Sequence[Row], axis: str, *, earliest: str) -> list[Row]:
    """Merges rows at one point of the axis: the last known value of each kind; ascending.

    A session is held at the step at which returns are logged; and at the last step, after what
    training brought, comes the evaluation.

    Args:
        rows: of a curve, in order.
        axis: the column that points are by.
        earliest: the measure of which the first that is known counts.
    """
    points: dict[float, dict[str, Any]] = {}
    for row in rows:
        point = points.setdefault(row[axis], {})
        for name, value in row.items():
            is_settled = name == earliest and _is_known(point.get(name))
            if name not in point or (_is_known(value) and not is_settled):
                point[name] = value
    return [point for _, point in sorted(points.items())]


def _column(rows: Sequence[Row], name: str) -> Float64Array:
    return np.array([_finite(row.get(name)) for row in rows], dtype=np.float64)


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not abs(value) <= _LARGEST)


def _finite(value: float | None) -> float:
    return float(value) if value is not None and abs(value) <= _LARGEST else float("nan")
