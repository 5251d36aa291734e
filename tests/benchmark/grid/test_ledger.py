import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from prefrl.benchmark.grid.cells import Cell
from prefrl.benchmark.grid.executors import LocalExecutor, run_grid
from prefrl.benchmark.grid.ledger import Ledger
from prefrl.benchmark.grid.results import read_results
from prefrl.errors import ConfigError, StorageError
from tests.benchmark.grid_cells import act, cell_that, entries
from tests.waiting import is_alive, wait_until

ROOT = Path(__file__).parents[3]
COMMON = {"steps": 100, "network": {"width": 64}}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "out", COMMON)


def finish(ledger, cell, rows):
    ledger.folder(cell).begin(cell)
    ledger.folder(cell).finish(rows)


def test_rows_carry_their_cells_parts(ledger):
    cell = cell_that("return", seed=3)
    finish(ledger, cell, [{"step": 0, "score": 1.5}, {"step": 1, "score": None}])
    first, second = ledger.rows()
    parts = {name: part for name, part in cell.fields().items() if name != "settings"}
    assert first == {"cell": cell.id, **parts, "step": 0, "score": 1.5}
    assert second["score"] is None
    assert second["seed"] == 3


def test_a_finished_cell_is_pending_no_more_and_its_work_folder_is_gone(ledger):
    done, waiting = cell_that("return", seed=0), cell_that("return", seed=1)
    ledger.folder(done).begin(done)
    ledger.folder(done).unpack()
    ledger.folder(done).work.joinpath("big.bin").write_bytes(b"0" * 100)
    ledger.folder(done).finish([])
    assert ledger.pending([done, waiting, waiting]) == [waiting]
    assert not ledger.folder(done).work.exists()


def test_cells_are_added_later_and_finished_ones_stay(ledger):
    old, new = cell_that("return", seed=0), cell_that("return", seed=1)
    finish(ledger, old, [{"score": 1}])
    again = Ledger(ledger.out, {"network": {"width": 64.0}, "steps": 100})
    assert again.pending([old, new]) == [new]
    assert [row["score"] for row in again.rows()] == [1]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is missing (prefrl[bench])")
def test_gathered_results_stand_for_cells_that_have_no_folder(ledger):
    gone, begun, new = (Cell("reward", "Hopper-v4", "uniform", "oracle", seed) for seed in range(3))
    for cell in (gone, begun):
        finish(ledger, cell, [{"budget": 7, "nll": 0.5}])
    assert ledger.gather() == 2
    shutil.rmtree(ledger.folder(gone).path)
    ledger.folder(begun).path.joinpath("result.json").unlink()  # so that it is run again
    assert ledger.pending([gone, begun, new]) == [begun, new]
    assert [(row["seed"], row["budget"], row["nll"]) for row in ledger.rows()] == [(0, 7, 0.5)]
    path = ledger.out / "results.parquet"
    whole = path.read_bytes()
    assert ledger.gather() == 1
    assert path.read_bytes() == whole  # no cell is finished that it does not have
    finish(ledger, new, [{"budget": 7, "nll": 0.25}])
    assert ledger.gather() == 2
    assert [row["nll"] for row in read_results(ledger.out)] == [0.5, 0.25]
    path.write_bytes(b"")
    with pytest.raises(StorageError, match=r"results\.parquet is damaged.*; remove it, and it is"):
        ledger.pending([new])


@pytest.mark.parametrize(
    ("common", "difference"),
    [
        ({"steps": 200, "network": {"width": 64}}, "steps is 100, not 200"),
        ({"steps": 100, "network": {"width": 32}}, "network.width is 64, not 32"),
        ({**COMMON, "steps": "100"}, "steps is 100, not '100'"),
        ({"network": {"width": 64}}, "steps is 100, not left out"),
        ({**COMMON, "depth": True}, "depth is left out, not True"),
        ({**COMMON, "model": {"width": 3}}, "other settings: model is left out; choose"),
    ],
)
def test_a_folder_of_other_settings_is_refused_with_what_differs(ledger, common, difference):
    with pytest.raises(StorageError) as caught:
        Ledger(ledger.out, common)
    assert difference in str(caught.value)
    assert str(caught.value).startswith(f"{ledger.out} belongs to a benchmark with other settings:")
    assert "\n" not in str(caught.value)


def test_a_benchmark_that_could_not_begin_leaves_its_folder_free(ledger):
    (ledger.inputs / ".pool" / "run").mkdir(parents=True)
    Ledger(ledger.out).withdraw()
    assert ledger.out.exists()  # it was there before
    ledger.withdraw()
    assert not ledger.out.exists()


@pytest.mark.parametrize("what", ["inputs/pool.npz", "cells"])
def test_one_with_anything_to_go_on_from_is_not_withdrawn(ledger, what):
    if what == "cells":
        ledger.folder(cell_that("return")).begin(cell_that("return"))
    else:
        ledger.inputs.mkdir()
        (ledger.out / what).write_bytes(b"")
    ledger.withdraw()
    assert Ledger(ledger.out).common == COMMON


def test_what_is_still_in_the_making_is_no_input(ledger):
    ledger.inputs.mkdir()
    for name in ("pool.npz", ".pool.npz.0123abcd.tmp"):
        (ledger.inputs / name).write_bytes(b"1")
    assert ledger.read_inputs() == {"pool.npz": b"1"}


def test_a_benchmark_that_there_is_opens_without_being_asked_for(ledger):
    assert Ledger(ledger.out).common == COMMON


def test_there_must_be_a_benchmark_to_open(tmp_path):
    with pytest.raises(StorageError, match=r"holds no benchmark: there is no grid\.json in it"):
        Ledger(tmp_path)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StorageError, match="is not empty, and holds no benchmark"):
        Ledger(tmp_path, COMMON)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match=r"could not make .*out: File exists"):
        Ledger(tmp_path / "out", COMMON)


def test_the_beginnings_of_a_killed_benchmark_are_no_obstacle(tmp_path):
    (tmp_path / ".grid.json.0123abcd.tmp").write_text("{")
    assert Ledger(tmp_path, COMMON).rows() == []


def test_common_settings_must_be_plain(tmp_path):
    with pytest.raises(ConfigError, match=r"the benchmark's settings\['a'\] is a set"):
        Ledger(tmp_path / "out", {"a": {1}})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["grid.json", "cell.json", "result.json"])
def test_a_damaged_file_is_named_wherever_the_damage_is(ledger, name):
    cell = cell_that("return")
    finish(ledger, cell, [{"score": 0.25}])
    path = next(ledger.out.rglob(name))
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"[]", b"\xff" + whole[1:], b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=f"{name}"):
            Ledger(ledger.out, COMMON).rows()


def test_a_digit_changed_in_a_result_is_noticed_before_anything_runs(ledger):
    cell = cell_that("return")
    finish(ledger, cell, [{"score": 0.25}])
    path = next(ledger.out.rglob("result.json"))
    path.write_text(path.read_text().replace("0.25", "0.26"))
    with pytest.raises(StorageError, match=r"result\.json is damaged.*remove it, and the cell"):
        ledger.pending([cell])
    path.unlink()
    assert ledger.pending([cell]) == [cell]


def test_a_folder_renamed_by_hand_is_noticed(ledger):
    cell = cell_that("return")
    finish(ledger, cell, [])
    ledger.folder(cell).path.rename(ledger.out / "cells" / "mine")
    with pytest.raises(StorageError, match=r"cell\.json is damaged, or of another cell"):
        ledger.rows()


def test_a_failure_stands_until_the_cell_is_tried_again(ledger):
    cell = cell_that("return")
    folder = ledger.folder(cell)
    folder.begin(cell)
    folder.fail("it rained\n\nall day")
    failure = ledger.failure(cell)
    assert (failure.cell, failure.reason) == (cell, "it rained")
    assert failure.text == "it rained\n\nall day\n"
    assert ledger.pending([cell]) == [cell]
    folder.begin(cell)
    assert ledger.failure(cell) is None


def test_what_is_packed_is_what_is_unpacked_elsewhere(ledger, tmp_path):
    here, there = ledger.folder(cell_that("return")), ledger.folder(cell_that("return", seed=1))
    for folder in (here, there):
        folder.path.mkdir(parents=True)
        assert folder.packed() is None
        folder.unpack()
    (here.work / "a").mkdir()
    (here.work / "a" / "b.bin").write_bytes(b"\0\1")
    (here.work / "empty").mkdir()
    (there.work / "stale").write_text("")
    there.packed_file.write_bytes(here.packed())
    there.unpack()
    found = sorted(str(path.relative_to(there.work)) for path in there.work.rglob("*"))
    assert found == ["a", "a/b.bin", "empty"]
    assert (there.work / "a" / "b.bin").read_bytes() == b"\0\1"
    assert not there.packed_file.exists()


def test_a_damaged_pack_is_named(ledger):
    folder = ledger.folder(cell_that("return"))
    folder.path.mkdir(parents=True)
    folder.packed_file.write_bytes(b"PK and then nothing")
    with pytest.raises(StorageError, match=r"kept\.zip is damaged"):
        folder.unpack()


def test_a_second_process_is_kept_out(ledger):
    with ledger.claimed():
        code = (
            "import sys; from prefrl.benchmark.grid.ledger import Ledger;"
            "Ledger(sys.argv[1]).claimed().__enter__()"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(ledger.out)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert f"another process is at work in {ledger.out}" in second.stderr


def test_a_killed_benchmark_goes_on_where_it_stopped(ledger, tmp_path):
    diary, sign = tmp_path / "diary", tmp_path / "sign"
    quick = [cell_that("return", diary, seed=seed) for seed in (0, 1)]
    slow = [cell_that("wait for", diary, seed=seed, sign=str(sign)) for seed in (2, 3)]
    untouched = cell_that("return", diary, seed=4)
    cells = [*quick, *slow, untouched]
    code = (
        "import json, sys\n"
        "from prefrl.benchmark.grid.cells import Cell\n"
        "from prefrl.benchmark.grid.executors import LocalExecutor, run_grid\n"
        "from prefrl.benchmark.grid.ledger import Ledger\n"
        "from tests.benchmark.grid_cells import act\n"
        "cells = [Cell(**fields) for fields in json.loads(sys.argv[2])]\n"
        "ledger, executor = Ledger(sys.argv[1]), LocalExecutor(jobs=2)\n"
        "run_grid(cells, act, ledger=ledger, executor=executor)\n"
    )
    asked = json.dumps([cell.fields() for cell in cells])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ledger.out), asked],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as driver:
        wait_until(lambda: sum("waits" in words for words in entries(diary)) == 2)
        driver.send_signal(signal.SIGKILL)
    pids = [int(words[2]) for words in entries(diary) if words[1] == "begins"]
    # What the driver had started goes with it.
    wait_until(lambda: not any(map(is_alive, pids)))

    again = Ledger(ledger.out, COMMON)
    assert again.pending(cells) == [*slow, untouched]
    assert len(again.rows()) == 2
    sign.touch()
    failures = run_grid(cells, act, ledger=again, executor=LocalExecutor(jobs=2))
    assert failures == []
    assert sorted(row["score"] for row in again.rows()) == [0, 0.5, 1, 1.5, 2]
    begun = [words[0] for words in entries(diary) if words[1] == "begins"]
    assert [begun.count(str(seed)) for seed in range(5)] == [1, 1, 2, 2, 1]
    found = [words[2] for words in entries(diary) if words[1] == "found"]
    assert found == ["nothing", "nothing", "something", "something"]
