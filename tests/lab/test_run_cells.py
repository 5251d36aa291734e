"""Runs of a benchmark are finished side by side, stopped in time, gone on with, and kept small."""

import json
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.run_cells import (
    Job,
    finish_side_by_side,
    kept,
    run_missing,
    write_between_markers,
)
from tests.waiting import wait_until

BEGUN = "import pathlib, sys; out = pathlib.Path(sys.argv[1]); out.mkdir(); "
SUMMED_UP = "(out / 'summary.json').write_text('{}')"
WAITS = "import time; (out / 'began').touch(); time.sleep(600)"


@dataclass(frozen=True)
class Program(Job):
    """Python in place of a run."""

    code: str = BEGUN + SUMMED_UP

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.code, str(self.out)]


def program(folder: Path, name: str, code: str = BEGUN + SUMMED_UP) -> Program:
    return Program(name, folder / "runs" / name, (), folder / f"{name}.json", code)


def reached(job: Job) -> dict[str, float]:
    return {"final_true_return_mean": 7.0, "wall_s": 2.0}


def test_a_run_is_begun_with_its_settings_and_gone_on_with_without(tmp_path):
    job = Job("one", tmp_path / "one", ("--seed", "3"), tmp_path / "one.json")
    start = [sys.executable, "-m", "prefrl", "run"]
    assert job.command() == [*start, "--seed", "3", "--out", str(job.out)]
    job.out.mkdir()
    (job.out / "config.yaml").touch()
    assert job.command() == [*start, "--resume", str(job.out)]


def test_what_is_missing_is_run_and_what_is_finished_kept(tmp_path, capsys):
    known, finished, new = (program(tmp_path, name) for name in ("known", "finished", "new"))
    known.result.write_text("{}")
    finished.out.mkdir(parents=True)
    (finished.out / "summary.json").write_text("{}")
    assert run_missing([known, finished, new], keep=reached, at_once=2)
    assert capsys.readouterr().out.splitlines() == ["finished: 7 in 2 s", "new: 7 in 2 s"]
    assert json.loads(new.result.read_text()) == reached(new)
    assert not known.out.exists()
    assert not finished.log.exists()


def test_a_run_that_fails_is_not_kept_and_its_last_line_is_shown(tmp_path, capsys):
    bad = program(tmp_path, "bad", "print('before'); raise SystemExit('no such robot')")
    good = program(tmp_path, "good")
    assert not run_missing([bad, good], keep=reached, at_once=1)
    said, _ = capsys.readouterr().out.splitlines()
    assert said == f"bad: failed with status 1, see {bad.log}: no such robot"
    assert not bad.result.exists()
    assert good.result.exists()


def test_runs_at_work_when_the_time_is_over_are_asked_to_stop(tmp_path):
    at_work, waiting = program(tmp_path, "one", BEGUN + WAITS), program(tmp_path, "two")
    ended = []
    assert not finish_side_by_side(
        [at_work, waiting], at_once=1, on_end=lambda job, _: ended.append(job), minutes=1 / 60
    )
    assert ended == []
    assert not waiting.out.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_runs_also_where_a_shell_put_them_in_the_background(tmp_path, number):
    job = program(tmp_path, "one", BEGUN + WAITS)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # As such a shell does.
    try:

        def send() -> None:
            wait_until((job.out / "began").exists)
            os.kill(os.getpid(), number)

        sending = threading.Thread(target=send)
        sending.start()
        with pytest.raises(KeyboardInterrupt):
            run_missing([job], keep=reached, at_once=1)
        sending.join()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "KeyboardInterrupt" in job.log.read_text()
    assert not job.result.exists()


def test_runs_have_one_thread_each(tmp_path):
    code = (
        "import os; raise SystemExit(os.environ['OMP_NUM_THREADS'] + os.environ['MKL_NUM_THREADS'])"
    )
    job = program(tmp_path, "one", code)
    assert finish_side_by_side([job], at_once=1, on_end=lambda job, status: None)
    assert job.log.read_text() == "11\n"


def test_a_curve_has_evaluations_alone_and_the_answers_by_then(tmp_path):
    rows = [
        {"step": 100, "cpu_s": 1.0, "num_answers": 3},
        {"step": 150, "cpu_s": 1.5, "eval_true_return": 2.004, "eval_learned_return": None},
        {"step": 200, "cpu_s": 2.0, "num_answers": 8, "true_return": 5.0},
        {"step": 300, "cpu_s": 3.0, "eval_true_return": 4.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "summary.json").write_text('{"seed": 5}')
    names = ("step", "num_answers", "cpu_s", "eval_true_return", "eval_learned_return")
    found = kept(tmp_path, names, measured=("eval_true_return",))
    assert found["seed"] == 5
    assert found["curve"] == [
        {
            "step": 150,
            "num_answers": 3,
            "cpu_s": 1.5,
            "eval_true_return": 2.0,
            "eval_learned_return": None,
        },
        {"step": 300, "num_answers": 8, "cpu_s": 3.0, "eval_true_return": 4.0},
    ]


def test_lines_are_put_between_the_markers_and_the_words_around_them_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter\n")
    write_between_markers(page, ["new"])
    assert page.read_text() == (
        "before\n<!-- tables: begin -->\n\nnew\n<!-- tables: end -->\nafter\n"
    )
    write_between_markers(page, ["new"])
    assert page.read_text().count("new") == 1
