"""People label a finished run, a stopped one, or recorded data; here a script does, over HTTP."""

import _thread
import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl import TeacherConfig, load_comparisons, resume, run
from prefrl.cli import main
from tests.cli.in_process import call
from tests.runs.labeller import Labeller

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.labelling.store import LabelStore
from tests.runs.cheetah import cheetah, faster
from tests.runs.label.labelling import recorded, said_in, velocity

pytestmark = pytest.mark.usefixtures("graphics", "without_curves")


def test_a_finished_run_is_asked_about_goes_on_where_it_was_and_learns(tmp_path, label, capsys):
    folder = tmp_path / "run"
    run(cheetah(teacher=TeacherConfig()), out=folder, show_progress=False)
    before = load_comparisons(folder / "comparisons.npz")
    first = label(folder, folder, "--budget", 3, "--repeat-share", 0).answered(3)
    ended = first.end()
    assert ended.status == 0, ended.err
    assert "Ctrl-C ends the service; what was answered is kept\n" in ended.err
    assert "3 questions are answered here" in ended.out
    assert f"prefrl learn --run {folder}" in ended.out
    links = (folder / "labelling.json").read_text()
    second = label(folder, folder, "--budget", 5, "--repeat-share", 0).answered(2)
    assert second.end().status == 0
    assert (folder / "labelling.json").read_text() == links
    given = {**first.labeller.said, **second.labeller.said}
    assert len(given) == 5
    said = said_in(folder / "comparisons.npz", given)
    assert min(given) > before.question.max()
    np.testing.assert_array_equal(said.p_left[: len(before)], before.p_left)
    new = said.select(np.arange(len(before), len(said)))
    assert set(new.annotator) == {"annotator 1"}
    np.testing.assert_array_equal(new.p_left == 1, velocity(new) > 0)
    refused = call(tmp_path, ["label", "run", "--budget", "5"]).refusal
    assert "--budget is 5, but 5 questions were answered here already; choose more" in refused
    copy = tmp_path / "copy.sqlite"
    assert main(["label", "backup", str(folder), str(copy)]) == 0
    with contextlib.closing(LabelStore(copy)) as store:
        assert {one.question for one in store.answers()} == set(given)
    assert main(["learn", "--run", str(folder)]) == 0, capsys.readouterr().err
    assert resume(folder, steps=840, show_progress=False).summary["num_answers"] == len(said)


def answered_to_the_end(label, folder, path, first):
    """All eight answers about a file, by a first labelling and one that goes on from it."""
    second = label(folder, "--data", path, "--budget", 8)
    second.until(lambda it: "All questions are answered" in it.said)
    ended = second.end()
    assert ended.status == 0, ended.err
    assert "8 questions are answered here" in ended.out
    given = {**first.labeller.said, **second.labeller.said}
    assert sorted(given) == list(range(8))
    return given


def test_the_pairs_of_recorded_data_are_asked_about_in_their_order(tmp_path, label, capsys):
    path, folder = tmp_path / "home" / "walks.npz", tmp_path / "home" / "walks-labels"
    dataset = recorded()
    dataset.save(path)
    first = label(folder, "--data", path).answered(3)
    assert first.end().status == 0
    said = said_in(folder / "comparisons.npz", answered_to_the_end(label, folder, path, first))
    assert said.env_id == "HalfCheetah-v4"
    in_order = np.argsort(said.question)
    np.testing.assert_array_equal(velocity(said)[in_order], velocity(dataset))
    words = ["--data", str(folder / "comparisons.npz"), "--out", str(tmp_path / "model")]
    words += ["--reward-model.max-updates", "4", "--reward-model.hidden-dim", "8"]
    assert main(["learn", *words]) == 0, capsys.readouterr().err
    for other, why in (
        (["--segment-length", "5"], "has the answers about other data, or other segments of it"),
        (["--budget", "8"], "--budget is 8, but 8 questions were answered here already"),
        (["--ease"], "--ease is True, but the pairs of"),
    ):
        assert why in call(tmp_path / "home", ["label", "--data", "walks.npz", *other]).refusal


def test_after_a_kill_the_same_command_takes_over_from_the_service_that_is_left(tmp_path, label):
    path, folder = tmp_path / "home" / "walks.npz", tmp_path / "home" / "walks-labels"
    recorded().save(path)
    first = label(folder, "--data", path, "--open-ahead", 4).answered(3)
    first.process.kill()
    first.end()
    said_in(folder / "comparisons.npz", answered_to_the_end(label, folder, path, first))


def test_segments_of_recorded_pictures_are_chosen_where_there_are_no_pairs(tmp_path, label):
    path, folder = tmp_path / "home" / "films.npz", tmp_path / "answers"
    rng = np.random.default_rng(0)
    np.savez(
        path,
        observations=rng.normal(size=(60, 9)).astype(np.float32),
        actions=np.zeros((60, 0), np.float32),
        frames=rng.integers(0, 255, (60, 16, 16, 3)).astype(np.uint8),
        episode=np.repeat([4, 7], 30),
    )
    words = ("--data", path, "--out", folder, "--segment-length", 5, "--budget", 4)
    labelling = label(folder, *words).answered(4)
    assert labelling.end().status == 0
    said = said_in(folder / "comparisons.npz", labelling.labeller.given)
    assert len(said) == 4
    assert said.left[0].segment_length == 5
    np.testing.assert_array_equal(said.p_left == 1, velocity(said) > 0)


def test_a_stopped_run_has_its_questions_answered_and_takes_over_when_it_goes_on(tmp_path, label):
    folder = tmp_path / "run"
    asked, has_stopped = threading.Event(), threading.Event()

    def judge(sides: Any) -> str:
        if not asked.is_set():
            asked.set()
            _thread.interrupt_main()
            has_stopped.wait()  # So that the question is open still.
        return faster(sides)

    labeller = Labeller(folder, judge)
    labeller.start()
    with pytest.raises(KeyboardInterrupt):
        run(cheetah(), out=folder, show_progress=False)
    labeller.is_over.set()
    has_stopped.set()
    labeller.join()
    num_open = len(_open_in(folder))
    assert num_open > 0
    labelling = label(folder, folder)
    labelling.until(lambda it: not _open_in(folder))
    given = labelling.labeller.said
    assert len(given) == num_open
    result = resume(folder, show_progress=False)
    assert result.summary["num_answers"] == cheetah().budget
    ended = labelling.until(lambda it: not it.process.is_alive).end()
    assert ended.status == 0, ended.err
    assert "another process serves the run in" in ended.err
    assert "the run learns from them when it goes on" in ended.out
    said = load_comparisons(folder / "comparisons.npz")
    assert given.keys() <= set(said.question.tolist())


def _open_in(folder: Path) -> list[int]:
    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        return list(store.standings("open", "leased"))
