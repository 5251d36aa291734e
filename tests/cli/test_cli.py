"""The command line, from the words to the folder, in processes of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from prefrl import EnhancedRewardModel
from prefrl.cli.result_text import result_text
from prefrl.config import ResolvedRun, RunConfig, TeacherConfig, from_yaml, to_yaml
from prefrl.config.true_reward import OF_LEARNED_REWARDS
from tests import tiny_runs
from tests.command_line import ROOT, prefrl
from tests.runs.homes import Home, assert_same, at_file

KITCHEN = "tests.own_envs:Kitchen-v0"
OPTIONS_OF_THE_ISSUE = [
    *("--env", "--agent", "--steps", "--budget", "--segment-length", "--strategy", "--teacher"),
    *("--teacher.beta", "--teacher.p-mistake", "--reward", "--num-envs", "--seed", "--device"),
    *("--out", "--resume", "--config"),
]


def words_of(config):
    """The same settings as options."""
    return [
        *("--env", config.env, "--agent", config.agent, "--steps", config.steps),
        *("--num-envs", config.num_envs, "--budget", config.budget),
        *("--segment-length", config.segment_length, "--eval-episodes", config.eval_episodes),
        *("--agent-settings", json.dumps(config.agent_settings)),
        *("--checkpoint-every", config.checkpoint_every),
        *("--queries.num-sessions", config.queries.num_sessions),
        *("--queries.min-candidates", config.queries.min_candidates),
        *("--reward-model.hidden-dim", config.reward_model.hidden_dim),
        *("--reward-model.max-updates", config.reward_model.max_updates),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run whose settings came as options."""
    home = Home(tmp_path_factory.mktemp("cli") / "home", "ppo")
    home.outcome = prefrl(home.path, "run", *words_of(tiny_runs.ppo()), "--out", "run")
    assert home.outcome.status == 0, home.outcome.err
    return home


def test_options_are_settings(whole):
    config = ResolvedRun.of(from_yaml(whole.run / "config.yaml"))
    expected = tiny_runs.ppo(seed=0)
    for name in ("env", "agent", "steps", "num_envs", "budget", "segment_length", "reward_model"):
        wanted = getattr(expected, name)
        if name == "reward_model":
            wanted = wanted.decided()
        assert getattr(config, name) == wanted, name
    assert config.agent_settings["n_steps"] == 64
    assert config.agent_settings["gamma"] == 0.99, "the rest is the preset's"


def test_it_prints_what_it_reached_and_what_may_be_typed_next(whole):
    summary = json.loads((whole.run / "summary.json").read_text())
    first, *_ = whole.outcome.out.splitlines()
    assert first.startswith("run is finished: 1,206 steps, 23 answers, ")
    assert whole.outcome.out == result_text(Path("run"), summary) + "\n"
    assert whole.outcome.out.isascii(), "any terminal can show it"


def test_progress_names_the_folder_and_ends_with_the_last_figures(whole):
    first, *_, last = whole.outcome.err.splitlines()
    assert first == "run folder: run"
    assert last.startswith("1,206/1,206 steps, 23/23 answers, true return -")
    assert ", learned return " in last


def test_the_script_is_the_same_command(whole, tmp_path):
    home = Home(tmp_path / "home", "ppo")
    words = [*words_of(tiny_runs.ppo()), "--out", "run"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/run_pbrl.py", *map(str, words)],
        cwd=home.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run is finished")
    assert_same(home, whole)


def test_the_console_command_lists_commands_and_options():
    console = Path(sys.executable).with_name("prefrl")
    assert console.exists(), "pip install -e . makes it"
    commands = subprocess.run([console], capture_output=True, text=True, check=False)
    assert commands.returncode == 2
    assert "prefrl run --env HalfCheetah-v4" in commands.stdout
    options = subprocess.run([console, "run", "--help"], capture_output=True, text=True, check=True)
    shown = re.findall(r"--[\w.-]+", options.stdout)
    assert [option for option in OPTIONS_OF_THE_ISSUE if option not in shown] == []


def test_help_is_no_error(tmp_path):
    for words in (["--help"], ["run", "--help"], ["eval", "--help"]):
        outcome = prefrl(tmp_path, *words)
        assert outcome.status == 0
        assert outcome.out.startswith("usage: prefrl")
        assert outcome.err == ""


def test_a_runs_config_file_reruns_it(whole, tmp_path):
    home = Home(tmp_path / "home", "ppo")
    outcome = prefrl(home.path, "run", "--config", whole.run / "config.yaml", "--out", "run")
    assert outcome.status == 0, outcome.err
    assert (home.run / "config.yaml").read_bytes() == (whole.run / "config.yaml").read_bytes()
    assert_same(home, whole)


SHORT = ["--steps", "130", "--reward", "true"]


def test_options_override_the_config_file(whole, tmp_path):
    words = ["run", f"--config={whole.run / 'config.yaml'}", "--out", "run", "--seed", "3", *SHORT]
    assert prefrl(tmp_path, *words).status == 0
    was, now = (from_yaml(folder / "config.yaml") for folder in (whole.run, tmp_path / "run"))
    ignored = {name: getattr(now, name) for name in OF_LEARNED_REWARDS}
    assert now == replace(was, seed=3, steps=130, reward="true", **ignored)
    assert now.budget == RunConfig().budget, "that of a run on the true reward is nobody's"


def test_another_teacher_than_the_files_comes_with_its_own_failings(whole, tmp_path):
    words = ["run", "--config", whole.run / "config.yaml", "--out", "run"]
    more = ["--teacher", "noisy", "--teacher.p-mistake", "0.25"]
    assert prefrl(tmp_path, *words, *more).status == 0
    teacher = from_yaml(tmp_path / "run/config.yaml").teacher
    assert teacher == TeacherConfig("noisy", 1.0, 1.0, 0.25, 0.0, 0.0)


def test_another_agent_than_the_files_comes_with_its_own_settings(whole, tmp_path):
    words = ["run", "--config", whole.run / "config.yaml", "--out", "run", *SHORT]
    assert prefrl(tmp_path, *words, "--agent", "sac").status == 0
    settings = from_yaml(tmp_path / "run/config.yaml").agent_settings
    assert "n_steps" not in settings
    assert settings["tau"] == 0.005


def test_nested_observations_and_discrete_actions_are_learned_from(tmp_path):
    (tmp_path / "mine.yaml").write_text(to_yaml(tiny_runs.ppo(env=KITCHEN)))
    outcome = prefrl(tmp_path, "run", "--config", "mine.yaml", "--out", "run")
    assert outcome.status == 0, outcome.err
    with np.load(tmp_path / "run/comparisons.npz") as comparisons:
        assert comparisons["observations"].shape[1] == 2 + 3 + 2, "place, gripper, lights"
        assert comparisons["actions"].shape[1] == 5
        assert set(comparisons["actions"].sum(axis=1)) == {1.0}, "one-hot"
    model = EnhancedRewardModel.load(tmp_path / "run/reward_model")
    assert model.config.env_id == "Kitchen-v0"
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    evaluated = prefrl(tmp_path, "eval", "run", "--episodes", "3")
    assert evaluated.status == 0, evaluated.err
    assert np.isfinite(json.loads(evaluated.out)["true_return_mean"])
    assert summary["num_answers"] == 23


def test_an_environment_that_ends_early_is_warned_of_in_one_line(tmp_path):
    config = tiny_runs.ppo(env="CartPole-v1", segment_length=5)
    (tmp_path / "mine.yaml").write_text(to_yaml(config))
    outcome = prefrl(tmp_path, "run", "--config", "mine.yaml", "--out", "run")
    assert outcome.status == 0, outcome.err
    warned = [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
    # CartPole pays 1 for every step, so the oracle has nothing but ties to give.
    warned = [line for line in warned if "every answer is a tie" not in line]
    assert len(warned) == 1
    assert "episodes end early" in warned[0]
    assert "terminate_when_unhealthy=False" in warned[0]
    assert "loop.py" not in outcome.err


def test_ctrl_c_stops_a_run_which_goes_on_later(whole, tmp_path):
    home = Home(tmp_path / "home", "ppo")
    ctrl_c = at_file(r"rename run/checkpoints/", 2, sent=signal.SIGINT)(whole.outcome.files)
    outcome = prefrl(home.path, "run", *words_of(tiny_runs.ppo()), "--out", "run", **ctrl_c)
    assert outcome.status == 130, outcome.err
    expected = "prefrl: stopped; go on from the last checkpoint with --resume run"
    assert outcome.complaint == expected
    assert prefrl(home.path, *home.go_on).status == 0
    assert_same(home, whole)


def test_eval_plays_and_films_a_mujoco_task(tmp_path):
    config = tiny_runs.ppo(env="InvertedPendulum-v4", reward="true", steps=130)
    (tmp_path / "mine.yaml").write_text(to_yaml(config))
    assert prefrl(tmp_path, "run", "--config", "mine.yaml", "--out", "run").status == 0
    words = ["--episodes", 2, "--video", "out.mp4", "--video-seconds", 0.4, "--video-size", 64]
    outcome = prefrl(tmp_path, "eval", "run", *words)
    assert outcome.status == 0, outcome.err
    figures, _, filmed = outcome.out.rpartition("}")
    assert json.loads(figures + "}")["num_episodes"] == 2
    num_frames, _ = imageio_ffmpeg.count_frames_and_secs(tmp_path / "out.mp4")
    assert filmed.split() == [str(num_frames), "frames", "in", "out.mp4"]


def test_a_task_that_cannot_be_rendered_is_evaluated_and_not_filmed(whole, tmp_path):
    outcome = prefrl(tmp_path, "eval", whole.run, "--episodes", "2", "--video", "out.mp4")
    assert outcome.status == 2
    assert json.loads(outcome.out)["num_episodes"] == 2
    assert not (tmp_path / "out.mp4").exists()
    assert outcome.complaint


def test_a_run_that_has_not_ended_cannot_be_evaluated(whole, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_bytes((whole.run / "config.yaml").read_bytes())
    outcome = prefrl(tmp_path, "eval", "run")
    assert outcome.status == 2
    assert outcome.complaint == "prefrl: there is no policy run/policy.zip; has the run ended?"
