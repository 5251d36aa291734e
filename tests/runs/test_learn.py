"""`prefrl learn`: a file's answers, or a run's corrected ones."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prefrl
from prefrl.cli import main
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.runs.learn import learn_again
from tests import linear_task, tiny_runs

GOLDEN = Path(__file__).parents[1] / "golden" / "0.1"
FAST = ["--reward-model.max-updates", "40", "--reward-model.hidden-dim", "16"]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.npz"
    linear_task.comparisons(60, rng=np.random.default_rng(0)).save(path)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "ppo", tmp_path / "run"))


def test_a_file_becomes_a_model_a_report_and_a_picture(
    answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "learned"
    assert main(["learn", "--data", str(answers), "--out", str(out), *FAST]) == 0
    said = capsys.readouterr().out
    assert "12 decisive answers held out, a random part; 48 trained on" in said
    model = EnhancedRewardModel.load(out / "reward_model")
    assert model.config.hidden_dim == 16
    report = json.loads((out / "report.json").read_text())
    assert report["num_answers"] == 60
    assert 0 <= report["ece"] <= 1
    assert 0 <= report["chance_ece"] <= 1
    assert (out / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_and_the_function_fit_the_same_model(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "learned"
    assert main(["learn", "--data", str(answers), "--out", str(out), "--seed", "3", *FAST]) == 0
    config = prefrl.RewardConfig(max_updates=40, hidden_dim=16)
    model, _ = prefrl.fit_reward_model(answers, config=config, seed=3)
    saved = EnhancedRewardModel.load(out / "reward_model").state_dict()
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), saved[name].numpy(), err_msg=name)


def test_a_label_corrected_in_a_run_changes_its_model(run: Path) -> None:
    learn_again(run)
    before = EnhancedRewardModel.load(run / "reward_model")
    comparisons = prefrl.load_comparisons(run / "comparisons.npz")
    train = np.flatnonzero(~comparisons.is_validation)[:6]
    comparisons.p_left[train] = 1 - comparisons.p_left[train]
    comparisons.save(run / "comparisons.npz")
    report = learn_again(run)
    after = EnhancedRewardModel.load(run / "reward_model")
    assert report.held_out_by == "split"
    assert report.num_trained_on == int((~comparisons.is_validation).sum())
    batch = comparisons.left[0].inputs()
    assert np.abs(before.score(batch) - after.score(batch)).max() > 1e-3
    old = EnhancedRewardModel.load(GOLDEN / "ppo" / "reward_model").config
    for name in ("env_id", "observation_dim", "input_dim", "hidden_dim", "segment_length"):
        assert getattr(after.config, name) == getattr(old, name)
    assert (run / "report.json").exists()
    assert (run / "policy.zip").read_bytes() == (GOLDEN / "ppo" / "policy.zip").read_bytes()


def test_a_finished_run_goes_on_with_the_model_that_was_fitted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    before = prefrl.run(tiny_runs.ppo(), out=out, show_progress=False).reward_model
    assert before is not None
    comparisons = prefrl.load_comparisons(out / "comparisons.npz")
    comparisons.p_left[:] = 1 - comparisons.p_left
    comparisons.save(out / "comparisons.npz")
    learn_again(out)
    corrected = EnhancedRewardModel.load(out / "reward_model")
    batch, found = comparisons.left[0].inputs(), []
    real_fit = RewardTrainer.fit

    def fit(trainer: RewardTrainer, *answers: Any, **options: Any) -> dict[str, float]:
        found.append(trainer.model.score(batch))
        return real_fit(trainer, *answers, **options)

    monkeypatch.setattr(RewardTrainer, "fit", fit)
    prefrl.resume(out, steps=1_406, show_progress=False)
    np.testing.assert_array_equal(found[0], corrected.score(batch))
    assert np.abs(before.score(batch) - found[0]).max() > 1e-3
    # The bank goes by the numbers of the run's answers, so the next session finds its segments.
    assert prefrl.resume(out, budget=35, show_progress=False).summary["num_answers"] == 35


def test_a_kill_while_it_fits_leaves_the_run_as_it_was(run: Path) -> None:
    program = (
        "import os, sys\n"
        "from prefrl.runs import learn\n"
        "learn.fit_to = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        "learn.learn_again(sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(run)], check=False)
    assert done.returncode == -9
    for file in GOLDEN.joinpath("ppo").rglob("*.*"):
        again = run / file.relative_to(GOLDEN / "ppo")
        assert file.is_dir() or again.read_bytes() == file.read_bytes()
    learn_again(run)


def test_the_commands_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs/answers.md"
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN / "ppo", "runs/cheetah")
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)), {})
    for name in ("mine", "yours"):  # of two people, on the page
        shutil.copy("answers.npz", f"{name}.npz")
    commands = re.findall(r"^    prefrl (.*)$", text, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["answers", "learn", "learn"]
    for command in commands:
        assert main(command.split()) == 0, capsys.readouterr().err
    assert "decisive answers held out" in capsys.readouterr().out
