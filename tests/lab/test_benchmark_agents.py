"""The study of agents as users start it: what is missing, what is wrong, a tiny one to its end."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import benchmark_agents
import pytest

from tests.lab.made_up_study import plan, row, written
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]


def test_what_is_missing_is_listed_with_its_commands(tmp_path, capsys):
    path = written(tmp_path, plan())
    assert benchmark_agents.main(["--study", str(path), "--list", "--seeds", "6"]) == 0
    count, first, _ = capsys.readouterr().out.splitlines()
    assert count == "2 of 2 runs are missing, about 0.1 hours of a core"
    assert first == (
        "quick-true-seed6: prefrl run --env Pendulum-v1 --steps 400 --seed 6 --eval-every 100 "
        "--eval-episodes 1 --agent sac --reward true"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", "quik"], "unknown row 'quik'; choose from quick, beside"),
        (["--seeds", "7"], "--seeds 7 is in no row of"),
        (["--study", "none.json"], "none.json"),
    ],
)
def test_what_is_not_in_the_plan_is_refused_in_a_line(tmp_path, capsys, words, said):
    path = written(tmp_path, plan())
    assert benchmark_agents.main(["--study", str(path), *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


def test_a_report_of_no_runs_has_the_targets(tmp_path):
    path = written(tmp_path, plan())
    assert benchmark_agents.main(["--study", str(path), "--report"]) == 0
    assert "| not known yet |" in (tmp_path / "page.md").read_text()


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_to_its_report(tmp_path):
    small: dict[str, Any] = {
        "steps": 1_500,
        "seeds": [5],
        "eval_every": 500,
        "options": {"checkpoint_every": 500},
        "learned_options": {
            "explore_steps": 300,
            "queries.num_sessions": 2,
            "reward_model.max_updates": 10,
        },
    }
    path = written(tmp_path, plan(rows=[row("quick", **small)]))
    words = ["--study", str(path), "--runs", str(tmp_path / "runs"), "--jobs", "2"]
    command = [sys.executable, str(ROOT / "scripts/benchmark_agents.py"), *words]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*")), of=first)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130
    assert said == "benchmark_agents: stopped; the same command goes on\n"

    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    for arm, answers in (("true", None), ("8", 8)):
        result = json.loads((tmp_path / f"quick-{arm}-seed5.json").read_text())
        assert [point["step"] for point in result["curve"]] == list(range(500, 1_501, 500))
        assert result["curve"][-1].get("num_answers") == answers
        assert 0 < result["curve"][0]["cpu_s"] < result["curve"][-1]["cpu_s"]
        assert result["versions"]["python"]
    assert benchmark_agents.main(["--study", str(path), "--report"]) == 0
    page = (tmp_path / "page.md").read_text()
    assert "2 of 2 runs are finished." in page
    assert (tmp_path / "quick.png").exists()
