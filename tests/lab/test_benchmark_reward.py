"""The script as users start it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.lab.recorded_file import linear_arrays, written

ROOT = Path(__file__).parents[2]
MEASURES = ("accuracy", "nll", "brier", "ece", "ause")
FIGURES = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]


def script(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/benchmark_reward.py"), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_prints_a_table_and_keeps_what_it_promises(tmp_path: Path) -> None:
    votes = {f"votes_{side}": np.full(60, n) for side, n in (("left", 3), ("right", 1))}
    written(tmp_path / "a.npz", **linear_arrays(), **votes, votes_equal=np.zeros(60, dtype=int))
    words = ["--models", "linear", "--num-labels", 20, "all", "--flip-rate", 0.2, "--seeds", 3]
    ended = script(tmp_path, "--data", "a.npz", *words, "--jobs", 2, "--out", "results.json")
    assert ended.returncode == 0, ended.stderr
    assert "6/6" in ended.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["num_labels"] for row in results] == [20, 40]
    for row in results:
        expected = ["model", "num_labels", "flip_rate", "answers", *FIGURES, "fit_s", "seeds"]
        assert list(row) == [*expected, "by_seed"]
        assert (row["model"], row["flip_rate"], row["seeds"]) == ("linear", 0.2, 3)
        assert row["ause"] is None  # one model has no heads that could differ
        accuracy = [one["accuracy"] for one in row["by_seed"]]
        assert row["accuracy"] == pytest.approx(np.mean(accuracy))
        assert min(accuracy) <= row["accuracy_low"] <= row["accuracy_high"] <= max(accuracy)
    assert "| linear | 40 | 0.2 |" in ended.stdout
    assert "majority of the others: 0.750" in ended.stdout
    assert not list(tmp_path.glob(".*"))


def test_variants_get_rows_of_their_own_and_reliability_is_drawn(tmp_path: Path) -> None:
    written(tmp_path / "a.npz", **linear_arrays())
    (tmp_path / "pictures").mkdir()
    words = ["--models", "linear", "--without", "bank", "--with", "diversity", "--seeds", 1]
    ended = script(tmp_path, "--data", "a.npz", *words, "--reliability", "pictures")
    assert ended.returncode == 0, ended.stderr
    for model in ("linear", "enhanced -bank", "enhanced +diversity"):
        assert f"| {model} | 40 | 0 |" in ended.stdout
    drawn = sorted(picture.name for picture in (tmp_path / "pictures").iterdir())
    assert drawn == ["enhanced+diversity-all-0.png", "enhanced-bank-all-0.png", "linear-all-0.png"]


BAD = {
    "a missing file": (["--data", "b.npz"], "there is no file b.npz"),
    "a damaged file": (["--data", "damaged.npz"], "damaged.npz is damaged: its end"),
    "no file": ([], "--data"),
    "too many labels": (["--num-labels", "41"], "num_labels is 41, but"),
    "no labels": (["--num-labels", "0"], "0 is not a whole number, 1 or more, or all"),
    "a flip rate of a half": (["--flip-rate", "0.5"], "0.5 is not a share"),
    "an unknown model": (["--models", "linaer"], "linear"),
    "votes that were not recorded": (["--answers", "votes"], "this file holds no votes"),
    "no seeds": (["--seeds", "0"], "--seeds: 0 is not"),
    "no jobs": (["--jobs", "none"], "--jobs: none is not"),
    "an unknown part": (["--without", "brain"], "--without: invalid choice: 'brain'"),
    "no folder for pictures": (["--reliability", "no"], "there is no folder no to draw"),
    "an output without a folder": (["--out", "no/results.json"], "there is no folder"),
    "an output that is a folder": (["--out", "."], "is a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process: each of its own would import torch.
    from benchmark_reward import main

    written(tmp_path / "a.npz", **linear_arrays())
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    monkeypatch.chdir(tmp_path)
    words, said = BAD[case]
    if "--data" not in words and case != "no file":
        words = ["--data", "a.npz", *words]
    try:
        status: object = main(words)
    except SystemExit as end:
        status = end.code
    shown = capsys.readouterr()
    assert status == 2
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not shown.out


def test_bad_input_of_the_real_process_gets_one_line_and_status_2(tmp_path: Path) -> None:
    ended = script(tmp_path, "--data", "b.npz")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "benchmark_reward: there is no file b.npz\n"
