"""The trainer tells the service how the run stands."""

from pathlib import Path

import pytest

from prefrl.errors import DataError
from prefrl.labelling.run_status import (
    MOST_POINTS,
    RunStatus,
    read_run_status,
    thinned,
    write_run_status,
)
from prefrl.labelling.store import LabelStore


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    status = RunStatus("Hopper-v4", step=2_000, curve=((0, 1.5), (1_000, 2)), accuracy=0.75)
    write_run_status(LabelStore(tmp_path / "labels.sqlite"), status)
    assert read_run_status(LabelStore(tmp_path / "labels.sqlite")) == status


def test_a_run_that_has_said_nothing_has_not_ended(tmp_path: Path) -> None:
    assert read_run_status(LabelStore(tmp_path / "labels.sqlite")) == RunStatus()


def test_what_a_newer_version_says_as_well_is_left_out(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels.sqlite")
    store.set_status("run", {"step": 3, "colour": "blue"})
    assert read_run_status(store) == RunStatus(step=3)


def test_a_long_curve_is_thinned_to_its_ends_and_points_between() -> None:
    curve = tuple((float(i), float(i)) for i in range(1_200))
    thin = thinned(curve)
    assert (len(thin), thin[0], thin[-1]) == (MOST_POINTS, curve[0], curve[-1])
    assert thinned(curve[:3]) == curve[:3]


def test_a_curve_of_too_many_points_is_refused() -> None:
    with pytest.raises(DataError, match=r"curve has 501 points; expected at most 500"):
        RunStatus(curve=((0.0, 0.0),) * 501)
