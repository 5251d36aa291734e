"""The script as users start it, on a few of everything, and the arithmetic behind its table."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.choosing import choosing_results, choosing_table
from lab.speed import (
    CLOCKS,
    QUICK,
    Workload,
    comparison_multiply_adds,
    results_of,
    row_multiply_adds,
    seconds_an_item,
    table,
)
from prefrl.queries import ACQUISITIONS, SELECTORS

ROOT = Path(__file__).parents[2]
TASKS = (
    *("gradient steps, independent members, every step", "gradient steps, independent members"),
    "gradient steps, shared",
    *("a session, plain", "a session, robust"),
    *("segments scored", "all pairs of", "RewardVecEnv", "relabelling"),
)
HAS_IMITATION = importlib.util.find_spec("imitation") is not None


def script(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/benchmark_speed.py"), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_prints_a_row_for_each_task_and_keeps_every_repeat(tmp_path: Path) -> None:
    against = ["--against", "imitation"] if HAS_IMITATION else []
    ended = script(tmp_path, "--quick", "--out", "speed.json", *against)
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "speed.json").read_text())
    assert results["settings"]["threads"] == 1
    assert results["settings"]["clock"] == "wall"
    assert results["machine"]["versions"]["torch"]
    rates = results["multiply_adds_per_s"]
    assert rates["limit"] == max(rates["NumPy"], rates["torch"]) > 0
    for row, title in zip(results["rows"], TASKS, strict=True):
        assert row["title"].startswith(title)
        assert f"| {row['title']} | {row['unit']} |" in ended.stdout
        assert len(row["prefrl_s"]) == results["settings"]["repeats"]
        assert row["limit"] > 0
        is_compared = HAS_IMITATION and title != "relabelling"
        assert (row["imitation"] is not None) == is_compared
    recording = results["recording"]
    assert recording["rounds"] == 2
    for name in ("fastest", "median"):
        times = [recording[f"{kind}_ms_{name}"] for kind in ("step", "recorded_step")]
        assert min(times) > 0
        assert recording[f"share_{name}"] == pytest.approx(times[1] / times[0] - 1)
    assert f"Recording adds {recording['share_fastest']:.1%} to a step of 8" in ended.stdout
    assert not list(tmp_path.glob(".*"))


def test_every_acquisition_and_every_selector_is_timed_beside_imitation(tmp_path: Path) -> None:
    against = ["--against", "imitation"] if HAS_IMITATION else []
    ended = script(tmp_path, "--quick", "--strategies", "--out", "choosing.json", *against)
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "choosing.json").read_text())
    settings = results["settings"]
    names = [row["strategy"] for row in results["strategies"]]
    assert len(set(names)) == len(names)
    assert {name.split("+")[0] for name in names} == set(ACQUISITIONS)
    assert {name.split("+")[1] for name in names} == set(SELECTORS)
    for row in results["strategies"]:
        assert f"| `{row['strategy']}` | {row['batch_ms']:,.1f} |" in ended.stdout
        assert len(row["batch_ms_each"]) == settings["repeats"]
        assert (row["times_imitation"] is not None) == HAS_IMITATION
    assert "rows" not in results, "nothing else is timed"


def test_a_batch_takes_what_all_its_pairs_take() -> None:
    # A pool of 20 segments has 190 pairs.
    timed = {("prefrl", "uniform+greedy"): [0.001, 0.002, 9.0], ("imitation", "A"): [0.5]}
    results = choosing_results(timed, QUICK)
    (row,) = results["strategies"]
    assert row["batch_ms"] == pytest.approx(380)
    assert row["pairs_per_s"] == pytest.approx(500)
    assert row["times_imitation"] == pytest.approx(250)
    assert row["batch_ms_each"] == [190, 380, 1_710_000]
    lines = choosing_table(results, num_queries=3)
    assert lines[0] == "| strategy | 3 chosen, ms | pairs/s | times imitation's pairs/s |"
    assert lines[2] == "| `uniform+greedy` | 380.0 | 500 | 250 |"
    assert lines[-1] == "imitation's active selection: 2 pairs/s."
    del timed["imitation", "A"]
    alone = choosing_table(choosing_results(timed, QUICK), num_queries=3)
    assert alone[-1] == "| `uniform+greedy` | 380.0 | 500 |"


@pytest.mark.skipif(HAS_IMITATION, reason="imitation is installed here")
def test_without_imitation_the_comparison_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = script(tmp_path, "--against", "imitation")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("benchmark_speed: imitation is not installed here; pip install")
    assert len(ended.stderr.splitlines()) == 1


BAD = {
    "no threads": (["--threads", "0"], "--threads: 0 is not a whole number, 1 or more"),
    "another rival": (["--against", "b-pref"], "--against: invalid choice: 'b-pref'"),
    "the time of many threads": (["--clock", "cpu", "--threads", "2"], "use it with --threads 1"),
    "an output without a folder": (["--out", "no/speed.json"], "there is no folder no"),
    "an output that is a folder": (["--out", "."], ". is a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmark_speed import main

    monkeypatch.chdir(tmp_path)
    words, said = BAD[case]
    with pytest.raises(SystemExit) as end:
        main(words)
    shown = capsys.readouterr()
    assert end.value.code == 2
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not shown.out


def test_multiply_adds_are_those_of_the_layers() -> None:
    first, others = 23 * 256, 3 * (256 * 256 + 256)
    assert row_multiply_adds(shared_trunk=True) == first + others
    assert row_multiply_adds(shared_trunk=False) == 3 * first + others
    # Two segments of 50 rows; each product three times, but for the gradient of the inputs.
    assert comparison_multiply_adds(shared_trunk=True) == 100 * (2 * first + 3 * others)
    half = comparison_multiply_adds(shared_trunk=True, num_steps=25)
    assert half == 50 * (2 * first + 3 * others)


def ticking(title: str, task: str, *, num_items: float = 2.0, base: bool = False) -> Workload:
    idle = (lambda: num_items) if base else None
    return Workload(title, task, "things", lambda: num_items, 10.0, base=idle)


def test_tools_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []

    def logged(name: str, task: str) -> Workload:
        def run() -> float:
            order.append(name)
            return 1.0

        return Workload(name, task, "things", run, 1.0)

    workloads = {
        "prefrl": [logged("b", "2"), logged("a", "1")],
        "imitation": [logged("A", "1")],
    }
    timed = seconds_an_item(workloads, repeats=2, clock="wall")
    assert order == ["a", "A", "b"] * 3
    assert {key: len(seconds) for key, seconds in timed.items()} == {
        ("prefrl", "a"): 2, ("imitation", "A"): 2, ("prefrl", "b"): 2
    }  # fmt: skip


def test_what_stands_around_the_measured_thing_is_subtracted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The clock is read before and after: 6 s for two items, then 2 s for two items without it.
    readings = iter([0.0, 6.0, 10.0, 12.0] * 2)
    monkeypatch.setitem(CLOCKS, "wall", lambda: next(readings))
    one = ticking("a", "1", base=True)
    assert seconds_an_item({"prefrl": [one]}, repeats=1, clock="wall") == {("prefrl", "a"): [2.0]}


def test_rows_hold_medians_ratios_and_the_limit() -> None:
    timed = {("prefrl", "a"): [0.1, 0.2, 9.0], ("imitation", "A"): [1.0], ("prefrl", "b"): [0.05]}
    ours, theirs = [ticking("a", "1"), ticking("b", "2")], [ticking("A", "1")]
    first, second = results_of(ours, theirs, timed, seconds_a_product=0.004)
    assert (first["prefrl"], first["imitation"]) == (pytest.approx(5), pytest.approx(1))
    assert first["times_imitation"] == pytest.approx(5)
    assert first["limit"] == pytest.approx(25)  # 10 multiply-adds of 4 ms
    assert first["times_the_limit"] == pytest.approx(5)
    assert second["imitation"] is None
    lines = table([first, second])
    assert lines[2] == "| a | things/s | 5.000 | 25.000 | 5.00 | 1.000 | 5.0 |"
    assert lines[3] == "| b | things/s | 20.000 | 25.000 | 1.25 |  |  |"
