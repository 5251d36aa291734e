"""A teacher in another process: late, out of order, some never; and a trainer that is killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.config.pace import PaceConfig
from prefrl.feedback.dataset import PreferenceDataset
from tests.session.late_teacher import LateTeacher, is_never_answered, is_skipped
from tests.session.small_loop import BUDGET, STEPS, SmallRun, Unhurried

PACES = {
    "sync": PaceConfig("sync", answer_timeout=1.5),
    "answers": PaceConfig("answers", answer_timeout=1.5, max_steps_ahead=3_000),
    "steps": PaceConfig("steps", min_first_answers=6),
}


def started(module, *words):
    path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.session.{module}", *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture(autouse=True)
def teacher_process(tmp_path):
    process = started("late_teacher", tmp_path)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def assert_well_asked(run, folder):
    """No question is put twice but under its own id, and each answer is where it belongs."""
    windows: dict[int, Any] = {}
    for row in lines(folder / "asked.jsonl"):
        asked = windows.setdefault(row["id"], row)
        assert asked["windows"] == row["windows"]
    put = [frozenset(map(tuple, row["windows"])) for row in windows.values()]
    assert len(set(put)) == len(put)
    said = [row["id"] for row in lines(folder / "said.jsonl")]
    assert said != sorted(said), "answers came out of order"

    dataset = PreferenceDataset.load(folder / "comparisons.npz")
    assert dataset.num_answers <= BUDGET
    assert len(set(dataset.question)) == len(dataset)
    assert set(dataset.annotator) == {"late"}
    for number, p_left in zip(dataset.question.tolist(), dataset.p_left, strict=True):
        assert not is_never_answered(number)
        assert np.isnan(p_left) == is_skipped(number)
        left, right = windows[number]["returns"]
        assert np.isnan(p_left) or p_left == float(left > right)

    states = {e.question.id: e.standing.state for e in run.questions.entries()}
    assert states.keys() == windows.keys()
    assert not {"open", "leased"} & set(states.values())
    settled = {number for number, state in states.items() if state != "withdrawn"}
    assert settled == set(dataset.question.tolist())
    assert run.agent.num_steps == STEPS
    assert run.learner.fits[-1][1] == dataset.num_answers


@pytest.mark.parametrize("pace", PACES)
def test_a_run_ends_well_with_a_teacher_that_is_late_and_leaves_some_unanswered(tmp_path, pace):
    run = SmallRun(tmp_path, LateTeacher(tmp_path), PACES[pace], agent_class=Unhurried).run()
    assert_well_asked(run, tmp_path)
    if pace == "steps":
        assert run.said == []
    else:
        assert run.said[0].startswith("waiting for ")
        # Who waits has a session's share, but for what nobody ever answers.
        (_, first), (_, second), *_ = run.learner.fits
        assert first >= 8
        assert second >= 17


@pytest.mark.parametrize("pace", PACES)
def test_a_trainer_that_is_killed_goes_on_with_the_questions_that_it_left_open(tmp_path, pace):
    trainer = started("small_loop", tmp_path, json.dumps(dataclasses.asdict(PACES[pace])))
    deadline_s = time.monotonic() + 120
    while len(lines_so_far(tmp_path / "asked.jsonl")) < 12:
        assert trainer.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    first = SmallRun(tmp_path, LateTeacher(tmp_path)).questions.entries()
    assert len(first) == 12

    run = SmallRun(tmp_path, LateTeacher(tmp_path), PACES[pace], agent_class=Unhurried).run()
    assert_well_asked(run, tmp_path)
    # The first session was not put a second time in other words.
    again = run.questions.entries()[:12]
    for before, after in zip(first, again, strict=True):
        assert before.question.left.start == after.question.left.start
        assert before.question.left.episode == after.question.left.episode


def lines_so_far(path):
    """Whole lines of a file that is being written."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()
