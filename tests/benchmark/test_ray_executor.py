"""On clusters of several nodes on this machine, each with processes and CPUs of its own."""

import importlib
import io
import threading
from pathlib import Path

import pytest

from prefrl.benchmark.executors import LocalExecutor, run_grid
from prefrl.benchmark.grid import Ledger
from prefrl.benchmark.ray_executor import RayExecutor, import_ray
from prefrl.errors import ConfigError
from tests.benchmark.grid_cells import act, cell_that, count, entries, is_alive, wait_until

try:
    importlib.import_module("ray")
    HAS_RAY = True
except ModuleNotFoundError:
    HAS_RAY = False

pytestmark = [
    pytest.mark.xdist_group("ray"),
    # Ray's own, when a node is killed under it and when it ends.
    pytest.mark.filterwarnings("default"),
]
with_ray = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: pip install 'prefrl[ray]'")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "out", {})


@pytest.fixture
def diary(tmp_path):
    return tmp_path / "diary"


@pytest.fixture
def cluster():
    """A head and another node, of one CPU each."""
    cluster = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def run(ledger, cells, function, cluster, **options):
    executor = RayExecutor(cluster.address, **options)
    return run_grid(cells, function, ledger=ledger, executor=executor, stream=io.StringIO())


@with_ray
def test_cells_go_on_from_what_they_kept_when_their_node_is_killed(cluster, ledger, diary):
    cells = [cell_that("count", diary, seed=seed) for seed in range(3)]
    raylet = {
        str(node.all_processes["raylet"][0].process.pid): node for node in cluster.worker_nodes
    }
    killed = []

    def kill_a_node():
        """The one that is not the driver's, once a cell there has counted to 3."""

        def seeds_there():
            return [
                words[0] for words in entries(diary) if words[1] == "begins" and words[3] in raylet
            ]

        wait_until(lambda: any([seed, "counted", "3"] in entries(diary) for seed in seeds_there()))
        killed.extend(seeds_there())
        cluster.remove_node(*raylet.values(), allow_graceful=False)

    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    failures = run(ledger, cells, count, cluster)
    killer.join()

    assert failures == []
    first = {str(row["seed"]): row["first"] for row in ledger.rows()}
    begun = [words for words in entries(diary) if words[1] == "begins"]
    assert sorted(first) == ["0", "1", "2"]
    (seed,) = killed
    assert first.pop(seed) in (2, 4)  # even numbers are kept
    assert set(first.values()) == {0}
    assert [words[0] for words in begun].count(seed) == 2
    assert len(begun) == 4
    assert not any(is_alive(int(words[4])) for words in begun)


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
def test_a_cell_that_dies_goes_on_from_what_it_kept_there_and_here(cluster, ledger, diary):
    cell = cell_that("count", diary, dies_at=5, pause_s=0)
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
    cell = cell_that("count", diary, dies_at=5, pause_s=0)
    run_grid([cell], count, ledger=ledger, executor=LocalExecutor(jobs=1), stream=io.StringIO())
    failures = run(ledger, [cell], count, cluster)
    assert failures == []
    assert [(row["first"], row["threads"]) for row in ledger.rows()] == [(5, "1")]


@with_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379"])
def test_a_cluster_that_does_not_answer_is_one_line(ledger, address):
    executor = RayExecutor(address, timeout_s=5)
    with pytest.raises(ConfigError) as caught:
        run_grid([cell_that("return")], act, ledger=ledger, executor=executor, stream=io.StringIO())
    assert str(caught.value).startswith(f"could not reach a Ray cluster at '{address}'")
    assert "\n" not in str(caught.value)


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


def test_nothing_of_ray_is_imported_before_it_is_used():
    source = Path(importlib.import_module("prefrl.benchmark.ray_executor").__file__).read_text()
    assert "\nimport ray" not in source
