"""On clusters of several nodes on this machine, each with processes and CPUs of its own."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from prefrl.benchmark.grid import ray_executor
from prefrl.benchmark.grid.executors import LocalExecutor, run_grid
from prefrl.benchmark.grid.ray_executor import RayExecutor, import_ray
from prefrl.errors import ConfigError, PrefrlError
from prefrl.records.files import claimed
from tests.benchmark.grid_cells import act, cell_that, count, entries
from tests.waiting import PATIENCE_S, is_alive, wait_until

ROOT = Path(__file__).parents[3]

try:
    importlib.import_module("ray")
    HAS_RAY = True
except ModuleNotFoundError:
    HAS_RAY = False

with_ray = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: pip install 'prefrl[ray]'")


@pytest.fixture(scope="module")
def cluster():
    """A head of one CPU; a test adds other nodes."""
    cluster = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    yield cluster
    cluster.shutdown()


@pytest.fixture
def sign(tmp_path):
    """A file that cells wait for: nothing here depends on how fast the machine is."""
    return tmp_path / "sign"


def run(ledger, cells, function, cluster, **options):
    executor = RayExecutor(cluster.address, timeout_s=PATIENCE_S, **options)
    return run_grid(cells, function, ledger=ledger, executor=executor, stream=io.StringIO())


def counting(diary, sign, *seeds):
    """Cells that count to five, and on when there is a sign."""
    return [cell_that("count", diary, seed=seed, waits_at=5, sign=str(sign)) for seed in seeds]


def kept_number(ledger, cell):
    """Returns how far a counting cell was when it last kept something; 0 if it has not."""
    if not (path := ledger.folder(cell).packed_file).exists():
        return 0
    with zipfile.ZipFile(path) as archive:
        return int(archive.read("so/far.txt"))


@with_ray
def test_cells_go_on_from_what_they_kept_when_their_node_is_killed(cluster, ledger, diary, sign):
    cells = counting(diary, sign, 0, 1, 2)
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    raylet = str(node.all_processes["raylet"][0].process.pid)
    killed = []

    def kill_a_node():
        """Once the cell there has kept something worth it."""

        def begun_there():
            begun = [words for words in entries(diary) if words[1] == "begins"]
            return [(cells[int(words[0])], int(words[4])) for words in begun if words[3] == raylet]

        wait_until(lambda: any(kept_number(ledger, cell) > 0 for cell, _ in begun_there()))
        ((cell, pid),) = begun_there()
        killed.append(cell)
        cluster.remove_node(node, allow_graceful=False)
        # Its worker may outlive the node for a moment, and must not finish the cell in it.
        wait_until(lambda: not is_alive(pid))
        sign.touch()

    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    failures = run(ledger, cells, count, cluster)
    killer.join()

    assert failures == []
    first = {row["seed"]: row["first"] for row in ledger.rows()}
    (cell,) = killed
    assert first.pop(cell.seed) > 0
    assert sorted(first.values()) == [0, 0]
    begun = [words for words in entries(diary) if words[1] == "begins"]
    assert sorted(int(words[0]) for words in begun) == sorted([0, 1, 2, cell.seed])
    wait_until(lambda: not any(is_alive(int(words[4])) for words in begun))
    cluster.wait_for_nodes(PATIENCE_S)  # until it knows: the next test must not be sent there


@with_ray
def test_a_grid_runs_as_it_does_on_this_machine(cluster, ledger, diary):
    cells = [
        cell_that("return", diary, seed=0),
        cell_that("raise", diary, seed=1),
        cell_that("exit", diary, seed=2),
        cell_that("return", diary, seed=3),
    ]
    run_grid(cells[:1], act, ledger=ledger, executor=LocalExecutor(jobs=1), stream=io.StringIO())
    failures = run(ledger, cells, act, cluster, retries=1)
    assert [row["seed"] for row in ledger.rows()] == [0, 3]
    reasons = {failure.cell.seed: failure.reason for failure in failures}
    assert reasons == {
        1: "ValueError: seven is not",
        2: "(2 attempts) its process exited with status 3 before it had a result",
    }
    assert failures[0].text.count("Traceback") >= 1
    begun = [words[0] for words in entries(diary) if words[1] == "begins"]
    assert sorted(begun) == ["0", "1", "2", "2", "3"]


@with_ray
def test_cells_read_what_they_are_given_on_whatever_node(cluster, ledger):
    ledger.inputs.mkdir()
    (ledger.inputs / "given.txt").write_text("a pool")
    assert run(ledger, [cell_that("read")], act, cluster) == []
    assert [row["text"] for row in ledger.rows()] == ["a pool"]


@with_ray
def test_a_cell_that_dies_goes_on_from_what_it_kept_there_and_here(cluster, ledger, diary):
    cell = cell_that("count", diary, dies_at=5)
    (failure,) = run(ledger, [cell], count, cluster, retries=0)
    assert "killed by SIGKILL" in failure.reason
    assert not list(ledger.folder(cell).path.glob("work/*"))
    failures = run_grid(
        [cell], count, ledger=ledger, executor=LocalExecutor(jobs=1), stream=io.StringIO()
    )
    assert failures == []
    assert [row["first"] for row in ledger.rows()] == [4]


@with_ray
def test_what_was_begun_here_goes_on_there(cluster, ledger, diary):
    cell = cell_that("count", diary, dies_at=5)
    run_grid([cell], count, ledger=ledger, executor=LocalExecutor(jobs=1), stream=io.StringIO())
    failures = run(ledger, [cell], count, cluster)
    assert failures == []
    assert [(row["first"], row["threads"]) for row in ledger.rows()] == [(5, "1")]


@with_ray
def test_a_killed_benchmark_goes_on_from_what_its_cells_kept(cluster, ledger, diary, sign):
    cells = counting(diary, sign, 0, 1)
    code = (
        "import json, sys\n"
        "from prefrl.benchmark.grid.cells import Cell\n"
        "from prefrl.benchmark.grid.executors import run_grid\n"
        "from prefrl.benchmark.grid.ledger import Ledger\n"
        "from prefrl.benchmark.grid.ray_executor import RayExecutor\n"
        "from tests.benchmark.grid_cells import count\n"
        "cells = [Cell(**fields) for fields in json.loads(sys.argv[2])]\n"
        "executor = RayExecutor(sys.argv[3], timeout_s=float(sys.argv[4]))\n"
        "run_grid(cells, count, ledger=Ledger(sys.argv[1]), executor=executor)\n"
    )
    asked = json.dumps([cell.fields() for cell in cells])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ledger.out), asked, cluster.address, str(PATIENCE_S)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as driver:
        wait_until(lambda: any(kept_number(ledger, cell) > 0 for cell in cells))
        driver.send_signal(signal.SIGKILL)
    pids = [int(words[4]) for words in entries(diary) if words[1] == "begins"]
    wait_until(lambda: not any(map(is_alive, pids)))
    assert ledger.rows() == []
    sign.touch()
    assert run(ledger, cells, count, cluster) == []
    # There is one CPU: the other cell had not begun.
    anew, further = sorted(row["first"] for row in ledger.rows())
    assert anew == 0
    assert further > 0


def first_is_finished_and_second_waits(ledger, diary):
    """Not before the driver has the result: how long that takes is nobody's promise."""
    return len(ledger.rows()) == 1 and ["1", "counted", "5"] in entries(diary)


@with_ray
def test_ctrl_c_ends_what_runs_and_loses_nothing_finished(cluster, ledger, diary, sign):
    cells = [cell_that("count", diary, seed=0), *counting(diary, sign, 1)]

    def interrupt():
        wait_until(lambda: first_is_finished_and_second_waits(ledger, diary))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(ledger, cells, count, cluster)
    pids = [int(words[4]) for words in entries(diary) if words[1] == "begins"]
    wait_until(lambda: not any(map(is_alive, pids)))
    assert [row["seed"] for row in ledger.rows()] == [0]
    assert ledger.pending(cells) == cells[1:]


@with_ray
def test_a_cluster_that_is_lost_on_the_way_is_one_line_and_loses_nothing_finished(
    ledger, diary, sign
):
    cells = [cell_that("count", diary, seed=0), *counting(diary, sign, 1)]
    own = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )

    def kill_the_head():
        wait_until(lambda: first_is_finished_and_second_waits(ledger, diary))
        own.head_node.kill_all_processes(check_alive=False, allow_graceful=False)

    threading.Thread(target=kill_the_head, daemon=True).start()
    with pytest.raises(PrefrlError) as caught:
        run(ledger, cells, count, own)
    assert str(caught.value).startswith("lost the Ray cluster (")
    assert "\n" not in str(caught.value)
    assert [row["seed"] for row in ledger.rows()] == [0]


def test_what_killed_attempts_left_on_a_node_is_removed_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    homes = {name: tmp_path / f"prefrl-cell-{name}" for name in ("dead", "new", "claimed")}
    for home in [*homes.values(), tmp_path / "somebody's"]:
        (home / "work").mkdir(parents=True)
        if home != homes["new"]:
            os.utime(home, (0, 0))
    with claimed(homes["claimed"]):
        ray_executor._sweep()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"prefrl-cell-new", "prefrl-cell-claimed", "somebody's"}


@with_ray
def test_nodes_that_are_too_small_are_pointed_out(cluster, ledger):
    executor = RayExecutor(cluster.address, threads=64, timeout_s=PATIENCE_S)
    with pytest.warns(UserWarning, match="no node of the Ray cluster has 64 CPUs, the largest 1;"):
        executor.run([], act, ledger, print)


@with_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379"])
def test_a_cluster_that_does_not_answer_is_one_line(ledger, address):
    executor = RayExecutor(address, timeout_s=5)
    with pytest.raises(ConfigError) as caught:
        run_grid([cell_that("return")], act, ledger=ledger, executor=executor, stream=io.StringIO())
    assert str(caught.value).startswith(f"could not reach a Ray cluster at '{address}'")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="could not reach"):
        executor.check()


@with_ray
@pytest.mark.parametrize(("name", "value"), [("threads", 0), ("retries", -1)])
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}; expected"):
        RayExecutor(**{name: value})


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"ray is not installed; pip install 'prefrl\[ray\]'"):
        import_ray()


def test_ray_is_imported_only_when_an_executor_is_made():
    code = "import sys, prefrl.benchmark.grid.ray_executor; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
