"""The tables of a study say what its runs say, and no more."""

from pathlib import Path

from lab.studies import Cell
from lab.study_report import report_lines
from lab.study_results import Results
from tests.lab.made_up_study import finish, row, study

TARGETS = [
    {"row": "quick", "arm": "8", "at_least": 35, "stretch": 39},
    {"row": "quick", "arm": "8", "measure": "share_of_true", "at_least": 0.9},
    {"row": "quick", "arm": "true", "statistic": "seeds", "height": 50, "at_least": 0.8},
    {"row": "quick", "arm": "8", "measure": "over_row", "other": "beside", "at_least": 0},
]


def section(lines: list[str], title: str) -> list[list[str]]:
    """Returns the cells of the rows of the first table under a heading."""
    start = next(i for i, line in enumerate(lines) if line == f"### {title}")
    rows: list[list[str]] = []
    for line in lines[start + 1 :]:
        if line.startswith("### "):
            break
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def both_arms(folder: Path, **changes: object) -> Results:
    made_up = study(folder, targets=TARGETS, **changes)
    finish(made_up, Cell("quick", "true", 5), [10, 20, 30, 40])
    finish(made_up, Cell("quick", "true", 6), [30, 40, 50, 60])
    finish(made_up, Cell("quick", "8", 5), [0, 10, 20, 30], reward_true_correlation=0.5)
    return Results(made_up)


def test_an_arm_has_its_seeds_means_range_share_and_computing_time(tmp_path):
    lines = report_lines(both_arms(tmp_path), [])
    true, learned = section(lines, "Pendulum-v1, sac, 400 steps")
    assert true[:2] == ["true reward", "2 of 2"]
    assert true[2] == "50 (40 to 60)"
    assert true[4:] == ["40 to 60", "", "", "0.7 (0.7 to 0.7)"]
    assert learned[:3] == ["8 answers", "1 of 2", "30"]
    assert learned[5:7] == ["0.60 (0.50 to 0.75)", "0.50"]


def test_how_many_runs_are_finished_comes_first(tmp_path):
    assert report_lines(both_arms(tmp_path), [])[0] == (
        "3 of 6 runs are finished; the others take about 0 hours of one core."
    )


def test_differences_come_with_the_one_that_could_have_shown(tmp_path):
    ((title, seeds, shown, could),) = section(report_lines(both_arms(tmp_path), []), "Differences")
    assert title == "Pendulum-v1, 400 steps: 8 answers less true reward"
    assert (seeds, shown) == ("1, 2", "\u221220 (\u221230 to \u221210)")
    assert float(could) > 20


def test_targets_are_met_missed_or_not_known_yet(tmp_path):
    rows = section(report_lines(both_arms(tmp_path), []), "Targets")
    assert [row[1] for row in rows] == [
        "mean return: at least 35, stretch 39",
        "share of true: at least 0.90",
        "share of seeds with a return of 50.0 or more: at least 0.80",
        "mean return beyond that of ppo at equal computing time: at least 0",
    ]
    assert [row[2:] for row in rows] == [
        ["30", "1 of 2", "0.00", "no, so far"],
        ["0.60", "1 of 2", "", "no, so far"],
        ["0.50", "2 of 2", "", "no"],
        ["", "1 of 2", "", "not known yet"],
    ]


def test_areas_of_a_pool_are_averaged_beside_those_of_each_task(tmp_path):
    made_up = study(
        tmp_path,
        rows=[row("quick", pool="both"), row("slow", env="Acrobot-v1", pool="both")],
    )
    for name, share in (("quick", 0.5), ("slow", 0.9)):
        finish(made_up, Cell(name, "true", 5), [10, 20])
        finish(made_up, Cell(name, "8", 5), [share * 10, share * 20])
    rows = section(report_lines(Results(made_up), []), "Area under the curve")
    assert [(row[0], row[-1]) for row in rows] == [
        ("Pendulum-v1, sac, 400 steps", "0.50"),
        ("Acrobot-v1, sac, 400 steps", "0.90"),
        ("both: mean of 2 tasks", "0.70"),
    ]


def test_other_agents_stand_beside_with_the_runs_that_ended_sooner(tmp_path):
    results = both_arms(tmp_path)
    finish(results.study, Cell("beside", "true", 5), [1, 2, 3, 4], steps_per_s=5)
    finish(results.study, Cell("beside", "8", 5), [1, 2, 3, 4], steps_per_s=50)
    lines = report_lines(Results(results.study), [])
    beside = [line for line in lines if line.startswith("| ppo, of 400 steps")]
    assert beside == [
        "| ppo, of 400 steps | true reward | 0.7 | 1 of 1 | 2 | 2 | 0 |",
        "| ppo, of 400 steps | 8 answers | 0.7 | 0 of 1 |  |  | 1 |",
    ]


def test_a_study_without_runs_has_its_targets_and_no_other_table(tmp_path):
    lines = report_lines(Results(study(tmp_path)), [])
    assert lines[0].startswith("0 of 6 runs are finished")
    assert [line for line in lines if line.startswith("### ")] == ["### Targets"]
