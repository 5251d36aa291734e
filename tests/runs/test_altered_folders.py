"""Run folders that somebody has altered, or that a kill has left, are not gone on with silently."""

import json
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prefrl import resume, run
from prefrl.errors import StorageError
from tests import tiny_runs
from tests.runs.stopped import stopped_after


@pytest.fixture(scope="module")
def in_flight(tmp_path_factory):
    return stopped_after(3, tiny_runs.ppo(), tmp_path_factory.mktemp("flight") / "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(tiny_runs.ppo(), out=folder, show_progress=False)
    return folder


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("more", [{}, {"steps": 1_500}])
@pytest.mark.parametrize("kind", ["in_flight", "finished"])
def test_a_log_that_was_altered_is_refused_by_its_line(tmp_path, request, kind, more):
    folder = tmp_path / "run"
    shutil.copytree(request.getfixturevalue(kind), folder)
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines()
    line = json.loads(lines[1])
    lines[1] = json.dumps({**line, "true_return": 1_000.0})
    path.write_text("\n".join(lines) + "\n")
    before = content(folder)
    with pytest.raises(StorageError, match=r"metrics\.jsonl was changed .*: line 2 is not the one"):
        resume(folder, show_progress=False, **more)
    assert content(folder) == before


@pytest.mark.parametrize("more", [{}, {"steps": 1_500}])
@pytest.mark.parametrize("line", ['{"step": 9999}\n', "no line"])
def test_nothing_can_be_added_to_the_log_of_a_run_that_has_ended(tmp_path, finished, line, more):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line)
    last = len((folder / "metrics.jsonl").read_text().splitlines())
    before = content(folder)
    with pytest.raises(StorageError, match=rf"after the run had ended: line {last} is none that"):
        resume(folder, show_progress=False, **more)
    assert content(folder) == before


def points(folder):
    """Returns the steps at which TensorBoard has each scalar."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [one.step for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_no_point_twice_after_a_kill(tmp_path, in_flight, finished):
    folder = tmp_path / "run"
    shutil.copytree(in_flight, folder)
    # The kill came before the last checkpoint was there.
    max((folder / "checkpoints").iterdir()).unlink()
    resume(folder, show_progress=False)
    assert points(folder) == points(finished)
