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
from tests.session.late_teacher import LateTeacher, is_never_answered, is_skipped, whole_rows
from tests.session.small_loop import BUDGET, STEPS, CountingAgent, SmallRun
from tests.waiting import wait_until

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
    wait_until((tmp_path / "ready").exists, of=process)
    yield process
    process.kill()
    process.wait()


def has_more_than(teacher, said):
    """Tells whether the process has said more by now, or has nothing more to say."""
    return teacher.said() > said or teacher.said() >= teacher.answerable()


def patient_run(folder, pace):
    """A run beside the process, for which it makes no difference how fast either of them is.

    The agent steps on when the process has said something more, and the time of a wait passes only
    when there is nothing left to come.
    """
    teacher = LateTeacher(folder)

    class Unhurried(CountingAgent):
        def _take(self, what, num_steps):
            for _ in range(0, num_steps, 1_000):
                said = teacher.said()
                wait_until(lambda said=said: has_more_than(teacher, said))
            super()._take(what, num_steps)

    run = SmallRun(folder, teacher, PACES[pace], agent_class=Unhurried)
    now_s = [0.0]

    def clock():
        if teacher.collected() >= teacher.answerable():
            now_s[0] += 1.0
        return now_s[0]

    pacer: Any = run.loop.pacer
    pacer.clock = pacer.asker.clock = clock
    pacer.sleep = lambda _: time.sleep(0.02)
    return run


def assert_well_asked(run, folder):
    """No question is put twice but under its own id, and each answer is where it belongs."""
    windows: dict[int, Any] = {}
    for row in whole_rows(folder / "asked.jsonl"):
        asked = windows.setdefault(row["id"], row)
        assert asked["windows"] == row["windows"]
    put = [frozenset(map(tuple, row["windows"])) for row in windows.values()]
    assert len(set(put)) == len(put)
    said = [row["id"] for row in whole_rows(folder / "said.jsonl")]
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
    run = patient_run(tmp_path, pace).run()
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
    wait_until(lambda: len(whole_rows(tmp_path / "asked.jsonl")) >= 12, of=trainer)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    first = SmallRun(tmp_path, LateTeacher(tmp_path)).questions.entries()
    assert len(first) >= 12  # and what was asked in the place of skipped ones

    run = patient_run(tmp_path, pace).run()
    assert_well_asked(run, tmp_path)
    # The first session was not put a second time in other words.
    again = run.questions.entries()[: len(first)]
    for before, after in zip(first, again, strict=True):
        assert before.question.left.start == after.question.left.start
        assert before.question.left.episode == after.question.left.episode
