import io
import os
import signal
import threading

import pytest

from prefrl.benchmark.grid.cell_process import THREAD_VARIABLES, death, function_name
from prefrl.benchmark.grid.executors import LocalExecutor, num_cores, run_grid
from prefrl.errors import ConfigError
from tests.benchmark.grid_cells import act, cell_that, entries
from tests.waiting import is_alive, wait_until


def run(ledger, cells, *, jobs=2, **options):
    """Runs cells; the failures, and what was shown."""
    shown = io.StringIO()
    executor = LocalExecutor(jobs=jobs, **options)
    failures = run_grid(cells, act, ledger=ledger, executor=executor, stream=shown)
    return failures, shown.getvalue()


def failure_of(ledger, does):
    """The failure of a cell beside which another one is finished all the same."""
    cells = [cell_that(does), cell_that("return", seed=1)]
    failures, shown = run(ledger, cells)
    (failure,) = failures
    assert failure.cell == cells[0]
    assert [row["seed"] for row in ledger.rows()] == [1]
    assert [ledger.failure(cell) for cell in cells] == [failure, None]
    assert f"{cells[0].id} failed: {failure.reason} (see " in shown
    return failure


def test_results_come_back_and_progress_is_shown(ledger):
    cells = [cell_that("return", seed=seed) for seed in range(3)]
    failures, shown = run(ledger, cells)
    assert failures == []
    assert sorted(row["score"] for row in ledger.rows()) == [0, 0.5, 1]
    assert "cells: 100%" in shown
    assert "3/3" in shown


def test_finished_cells_are_not_run_again(ledger, diary):
    cells = [cell_that("return", diary, seed=seed) for seed in range(2)]
    run(ledger, cells[:1])
    run(ledger, [*cells, *cells])
    begun = [words[0] for words in entries(diary) if words[1] == "begins"]
    assert begun == ["0", "1"]


def test_a_cell_that_raises_is_reported_with_its_traceback(ledger):
    failure = failure_of(ledger, "raise")
    assert failure.reason == "ValueError: seven is not"
    assert "Traceback (most recent call last)" in failure.text
    assert "grid_cells.py" in failure.text
    assert "a colour" in failure.text


def test_a_cell_that_is_killed_has_failed_with_its_last_words(ledger):
    failure = failure_of(ledger, "die")
    assert failure.reason == (
        "its process was killed by SIGKILL; the system may have run out of memory"
    )
    assert "these are my last words" in failure.text


def test_a_cell_that_exits_has_failed(ledger):
    assert failure_of(ledger, "exit").reason == (
        "its process exited with status 3 before it had a result"
    )


def test_a_cell_that_runs_out_of_memory_says_so(ledger):
    assert failure_of(ledger, "run out of memory").reason == "it ran out of memory (MemoryError)"


def test_a_cell_that_returns_no_rows_has_failed(ledger):
    assert failure_of(ledger, "return a set").reason == (
        "DataError: the cell returned a set; expected a list of mappings"
    )


def test_every_signal_has_a_name_in_a_death():
    assert death(-signal.SIGSEGV) == "its process was killed by SIGSEGV"
    assert death(-signal.SIGRTMIN - 1) == f"its process was killed by signal {signal.SIGRTMIN + 1}"


def test_a_failed_cell_is_tried_again_the_next_time(ledger, diary):
    cell = cell_that("raise", diary)
    run(ledger, [cell])
    failures, _ = run(ledger, [cell])
    assert len(failures) == 1
    assert len(entries(diary)) == 2


def test_no_more_cells_run_side_by_side_than_jobs(ledger, diary):
    run(ledger, [cell_that("wait for company", diary, seed=seed) for seed in range(4)])
    running, most = 0, 0
    for words in entries(diary):
        running += {"begins": 1, "ends": -1}[words[1]]
        most = max(most, running)
    assert most == 2


def test_threads_are_set_before_anything_is_imported(ledger):
    run(ledger, [cell_that("return", variables=list(THREAD_VARIABLES))], jobs=1, threads=3)
    (row,) = ledger.rows()
    assert [row[name] for name in THREAD_VARIABLES] == ["3", "3", "3"]


def test_cells_read_what_they_are_given(ledger):
    ledger.inputs.mkdir()
    (ledger.inputs / "given.txt").write_text("a pool")
    run(ledger, [cell_that("read")])
    assert [row["text"] for row in ledger.rows()] == ["a pool"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (8, 1)),
        ({"jobs": 2}, (2, 4)),
        ({"jobs": 3}, (3, 2)),
        ({"jobs": 16}, (16, 1)),
        ({"threads": 4}, (2, 4)),
        ({"threads": 16}, (1, 16)),
        ({"jobs": 4, "threads": 4}, (4, 4)),
    ],
)
def test_cores_are_shared_out_unless_both_numbers_are_asked_for(monkeypatch, asked, expected):
    monkeypatch.setattr("prefrl.benchmark.grid.executors.num_cores", lambda: 8)
    executor = LocalExecutor(**asked)
    assert (executor.jobs, executor.threads) == expected


def test_there_is_a_core():
    assert 1 <= num_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["jobs", "threads"])
def test_a_number_below_1_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} is 0; expected 1 or more"):
        LocalExecutor(**{name: 0})


def test_a_function_that_other_processes_cannot_find_is_refused(ledger):
    with pytest.raises(ConfigError, match=r"lambda.* cannot be found by other processes"):
        run_grid(
            [cell_that("return")],
            lambda cell, work, keep: [],
            ledger=ledger,
            executor=LocalExecutor(jobs=1),
            stream=io.StringIO(),
        )
    assert function_name(act) == "tests.benchmark.grid_cells:act"


def test_ctrl_c_ends_what_runs_and_loses_nothing_finished(ledger, diary, tmp_path):
    waiting = cell_that("wait for", diary, seed=1, sign=str(tmp_path / "never"))

    def interrupt():
        wait_until(lambda: ["1", "waits"] in entries(diary))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(ledger, [cell_that("return", seed=0), waiting], jobs=1)
    (pid,) = (int(words[2]) for words in entries(diary) if words[1] == "begins")
    assert not is_alive(pid)
    assert [row["seed"] for row in ledger.rows()] == [0]
    assert ledger.failure(waiting) is None
    assert ledger.pending([waiting]) == [waiting]
