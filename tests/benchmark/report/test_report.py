import base64
import csv
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.errors import DataError, StorageError
from tests.benchmark.made_up import reward_rows, rl_rows

pytest.importorskip("pyarrow", reason="a report needs the extra: prefrl[bench]")

from prefrl.benchmark.grid.results import write_results
from prefrl.benchmark.report.page_tables import gap_entry
from prefrl.benchmark.report.report import make_report

SKILLS = {"uniform": 0.0, "duo": 0.1, "greedy": -0.1, "same": 0.0}
ONE_ENV = {"Hopper-v4": 1_000.0}


def report(rows: list[dict[str, Any]], folder: Path) -> str:
    write_results(rows, folder)
    page = make_report(folder)
    assert page == folder / "report.html"
    return page.read_text()


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in names} for row in rows]


def words_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    report(reward_rows(SKILLS) + rl_rows({**SKILLS, "true reward": 0.0}), folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


def test_the_page_says_what_is_supported_and_what_is_not(page: str) -> None:
    words = words_of(page)
    assert words.count("Supported as better than uniform at the end: duo.") == 2
    assert words.count("Supported as worse than uniform at the end: greedy.") == 2
    assert words.count("No difference supported at the end: same.") == 2
    assert "supported: higher than uniform by 0." in words
    assert "40 runs, 4 strategies, 2 environments, 1 teacher, 5 seeds, up to 400 answers." in words


def test_the_page_is_one_file_that_fetches_nothing(page: str) -> None:
    sources = re.findall(r'(?:src|srcset)="([^"]*)"', page)
    assert len(sources) == 2 * 12
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    targets = re.findall(r'href="([^"]*)"', page)
    assert targets == ["#reward", "#rl", "#reading"]
    assert all(f'id="{target[1:]}"' in page for target in targets)
    assert not re.search(r"<script|<link|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_pictures_and_tables_stand_beside_it(folder: Path) -> None:
    pictures = {
        *("curves-by-environment", "curves-by-strategy", "interquartile-means", "improvement"),
        *("profiles", "selection-time"),
    }
    tables = {
        *("verdicts", "scores", "scores-by-environment", "curves", "improvement", "profiles"),
        "differences-by-environment",
    }
    assert {path.name for path in (folder / "report").iterdir()} == {
        f"{mode}-{name}" for mode in ("reward", "rl")
        for name in {f"{p}.png" for p in pictures} | {f"{t}.csv" for t in tables}
    } | {"reward-answers-needed.csv"}  # fmt: skip
    for picture in (folder / "report").glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_tables_hold_what_the_page_says(folder: Path) -> None:
    with (folder / "report" / "reward-verdicts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    outcomes = {(row["strategy"], row["of"]): row["outcome"] for row in rows}
    assert outcomes["duo", "final"] == outcomes["duo", "area"] == "higher"
    assert outcomes["greedy", "final"] == "lower"
    assert all(row["num_pairs"] == "10" for row in rows)


def test_a_policys_page_says_what_its_curve_and_its_accuracy_are_of(page: str) -> None:
    words = words_of(page)
    assert words.count("returns of training episodes") == 1
    assert words.count("The same, environment by environment") == 2
    assert words.count("Answers needed for what uniform reaches") == 1


def test_of_runs_evaluated_while_they_trained_it_says_so(tmp_path: Path) -> None:
    rows = [{**row, "training_true_return": 0.0} for row in rl_rows(SKILLS)]
    words = words_of(report(rows, tmp_path))
    assert words.count("of the deterministic policy in evaluation") == 1
    assert "returns of training episodes" not in words


def test_the_same_results_give_the_same_report_in_any_process(tmp_path: Path) -> None:
    skills = {"uniform": 0.0, **{f"strategy {i}": i / 100 for i in range(10)}}  # some are grey
    write_results(reward_rows(skills, num_seeds=2, envs=("Hopper-v4",)), tmp_path)

    def made_with(hash_seed: str) -> dict[str, bytes]:
        subprocess.run(
            [sys.executable, "-m", "prefrl", "report", str(tmp_path)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        paths = [tmp_path / "report.html", *(tmp_path / "report").iterdir()]
        return {path.name: path.read_bytes() for path in paths}

    assert made_with("1") == made_with("2")


ODD_RESULTS = {
    "one strategy only": (reward_rows({"duo": 0.1}), "There is no strategy 'uniform'"),
    "uniform alone": (reward_rows({"uniform": 0}), "10 runs, 1 strategy"),
    "no uniform": (reward_rows({"duo": 0.1, "bald": 0}), "nothing is compared with it"),
    "one seed": (reward_rows(SKILLS, num_seeds=1), "There is one seed"),
    "one seed of one environment": (
        reward_rows(SKILLS, num_seeds=1, envs=["Ant-v4"]),
        "too few pairs to tell n = 1; at least 6 are needed for p < 0.05",
    ),
    "one budget": (reward_rows(SKILLS, budgets=[100]), "up to 100 answers"),
    "no teacher's name": (reward_rows(SKILLS, teachers=[""]), "1 teacher"),
    "nothing known": (
        without(reward_rows(SKILLS), "accuracy", "nll", "ece", "correlation", "select_s"),
        "40 runs of 40 have no held-out accuracy at the end",
    ),
    "one figure known": (
        without(reward_rows(SKILLS)[:-1], "accuracy") + reward_rows(SKILLS)[-1:],
        "have no held-out accuracy at the end",
    ),
    "policies alone": (rl_rows({**SKILLS, "true reward": 0}), "Policies: true return"),
    "one seed of policies": (rl_rows(SKILLS, num_seeds=1, tops=ONE_ENV), "There is one seed"),
    "the true reward alone": (rl_rows({"true reward": 0}), "no runs of a query strategy yet"),
    "no reference": (rl_rows({"duo": 0.1, "bald": 0}), "cannot be put on one scale"),
    "no time for selection": (
        [{**row, "select_s": 0.0} for row in reward_rows(SKILLS)],
        "Selection time",
    ),
    "no difference at all": (
        reward_rows(SKILLS, noise=0, envs=["Ant-v4"]),
        "too few pairs to tell n = 5; at least 6",
    ),
    "names that are markup": (
        reward_rows({"uniform": 0, "<b>$x_1^$</b>": 0.1, "mine.py:Own": 0.0}, envs=["<i>"]),
        "<b>$x_1^$</b>",
    ),
    "very long names, and numbers that overflow when they are summed": (
        [
            {**row, "accuracy": 1e308 if row["seed"] else 0.5, "nll": -1e308}
            for row in reward_rows({"uniform": 0, "s" * 400: 0.1}, num_seeds=2, envs=["e" * 400])
        ],
        "2 runs of 4 have no held-out accuracy at the end",
    ),
    "many strategies": (
        reward_rows(
            {"uniform": 0} | {f"strategy{i}": i / 100 for i in range(22)},
            num_seeds=2,
            envs=["Hopper-v4"],
        ),
        "23 strategies",
    ),
}


@pytest.mark.parametrize("name", ODD_RESULTS)
def test_odd_results_have_a_report_too(name: str, tmp_path: Path) -> None:
    rows, said = ODD_RESULTS[name]
    page = report(rows, tmp_path)
    assert said in words_of(page)
    assert "<b>$x" not in page
    assert not re.search(r"\bnan\b", words_of(page).lower())


def test_unfinished_runs_are_counted_and_strategies_without_some_named(tmp_path: Path) -> None:
    rows = [
        row
        for row in reward_rows({"uniform": 0.0, "duo": 0.1})
        if (row["strategy"], row["env"]) != ("duo", "Reacher-v4") or row["budget"] < 400
        if (row["strategy"], row["env"], row["seed"]) != ("uniform", "Hopper-v4", 3)
    ]
    words = words_of(report(rows, tmp_path))
    assert "5 runs of 19 have no held-out accuracy at the end" in words
    assert "lacks some that others have (uniform 1, duo 5)" in words


def test_what_an_earlier_report_left_goes_and_what_is_not_a_reports_stays(tmp_path: Path) -> None:
    report(rl_rows({"uniform": 0}, num_seeds=1), tmp_path)
    (tmp_path / "report" / "notes.png").write_text("mine")
    report(reward_rows({"uniform": 0}, num_seeds=1), tmp_path)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert "notes.png" in names
    assert not any(name.startswith("rl-") for name in names)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"could not read .*results\.parquet"):
        make_report(tmp_path)


def test_results_without_measurements_are_named(tmp_path: Path) -> None:
    write_results([], tmp_path)
    with pytest.raises(DataError, match=r"results\.parquet holds no measurements"):
        make_report(tmp_path)


def test_damaged_results_leave_the_earlier_report_alone(tmp_path: Path) -> None:
    before = report(reward_rows({"uniform": 0}), tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(StorageError, match="is damaged"):
        make_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == before


def test_a_file_in_the_reports_place_is_named(tmp_path: Path) -> None:
    write_results(reward_rows({"uniform": 0}), tmp_path)
    (tmp_path / "report").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot use .*report: "):
        make_report(tmp_path)


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ([0.0312, 0.01], "+0.0206 (2 of 2)"),
        ([-0.5, 0.1], "\u22120.2000 (1 of 2)"),
        ([0.00004, -0.00001], "0.0000 (1 of 2)"),
    ],
)
def test_a_difference_in_one_environment_is_told_with_its_sign_and_its_seeds(gaps, said):
    entry = gap_entry(np.array(gaps), 4)
    assert f"{entry.text} {entry.note}" == said


def pictures_in(page: str) -> list[str]:
    found = re.findall(r'(?:src|srcset)="data:image/svg\+xml;base64,([^"]*)"', page)
    return [base64.b64decode(one).decode() for one in found]


def test_every_figure_is_drawn_for_a_phone_too_and_stays_inside_its_frame(page: str) -> None:
    pictures = pictures_in(page)
    sizes = [re.search(r'viewBox="0 0 ([\d.]+) ', picture) for picture in pictures]
    widths = [float(size[1]) for size in sizes if size]
    assert widths == pytest.approx([3.75 * 72, 9.6 * 72] * 12)
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert style
    assert "img { display: block; width: 100%;" in style[1]
    assert "min-width" not in style[1]


def test_figures_follow_the_readers_light_or_dark(page: str) -> None:
    for picture in pictures_in(page):
        style = re.search(r"<style[^>]*>(.*?)</style>", picture, flags=re.DOTALL)
        assert style
        light, dark = style[1].split("@media (prefers-color-scheme: dark)")
        used = set(re.findall(r"var\((--c\w+)\)", picture))
        assert used
        assert used <= set(re.findall(r"(--c\w+):", light))
        assert dict(re.findall(r"(--c\w+):(#\w+)", light)) != dict(
            re.findall(r"(--c\w+):(#\w+)", dark)
        )
        assert not re.search(r"(fill|stroke): #(?!none)", picture)
