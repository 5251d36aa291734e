"""Runs from Python: what they leave behind, and that they repeat."""

import json
import math
from dataclasses import replace

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.evaluation import evaluate_policy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prefrl import EnhancedRewardModel, QueryConfig, RewardWrapper, RunConfig, resume, run
from prefrl.agents.factory import load_policy
from prefrl.config import ResolvedRun, from_yaml
from prefrl.envs import make_vec_env
from prefrl.errors import StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.records.metrics import read_metrics
from prefrl.runs.evaluation import evaluation_of
from prefrl.runs.resolve import make_configured_env, resolve
from prefrl.runs.rollouts import play
from prefrl.seeding import EVALUATION, Streams, seed_global_generators
from prefrl.segments import EpisodeStore
from tests import tiny_runs
from tests.runs.same_run import assert_same_run, parameters

SUMMARY_KEYS = {
    *("env", "agent", "seed", "steps", "budget", "num_answers", "num_skips"),
    *("final_true_return_mean", "final_true_return_std", "final_learned_return_mean"),
    *("reward_holdout_accuracy", "reward_true_correlation"),
    *("wall_s", "cpu_s", "wall_breakdown", "versions"),
}
WALL_KEYS = {"rl_s", "reward_fit_s", "query_s", "relabel_s", "eval_s", "checkpoint_s"}
FILES = {
    *("config.yaml", "metrics.jsonl", "comparisons.npz", "policy.zip", "summary.json"),
    *("reward_model", "tensorboard", "learning_curve.png", "episodes.npz", "final", "parts.json"),
    "policy.safetensors",
}
CONFIGS = {"ppo": tiny_runs.ppo(), "sac": tiny_runs.sac()}


@pytest.fixture(scope="module", params=CONFIGS)
def finished(request, tmp_path_factory):
    """A run of each agent, in a folder that did not exist before."""
    out = tmp_path_factory.mktemp("runs") / "deep" / request.param
    return run(CONFIGS[request.param], out=out, show_progress=False)


def test_the_folder_holds_every_file_and_nothing_else(finished):
    assert {path.name for path in finished.folder.iterdir()} == FILES
    left_over = [p for p in finished.folder.rglob("*") if "tmp" in p.name]
    assert left_over == []


def test_the_summary_says_what_was_reached(finished):
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary == finished.summary
    assert summary.keys() >= SUMMARY_KEYS
    config = from_yaml(finished.folder / "config.yaml")
    assert summary["env"] == tiny_runs.POINT_MASS
    assert summary["agent"] == config.agent
    assert summary["seed"] == 0
    assert summary["steps"] == config.steps
    assert summary["budget"] == summary["num_answers"] == 23
    assert summary["num_skips"] == 0
    assert summary["final_true_return_mean"] < 0
    assert summary["final_true_return_std"] > 0
    assert math.isfinite(summary["final_learned_return_mean"])
    assert 0 <= summary["reward_holdout_accuracy"] <= 1
    assert -1 <= summary["reward_true_correlation"] <= 1
    assert summary["versions"]["stable-baselines3"].startswith("2.")


def test_the_wall_time_is_broken_down(finished):
    summary = finished.summary
    assert summary["wall_breakdown"].keys() == WALL_KEYS
    assert all(seconds >= 0 for seconds in summary["wall_breakdown"].values())
    assert summary["wall_breakdown"]["rl_s"] > 0
    assert 0 < sum(summary["wall_breakdown"].values()) <= summary["wall_s"]


def test_the_files_it_leaves_reach_the_figures_of_its_summary(finished):
    assert finished.reward_model is not None
    config = from_yaml(finished.folder / "config.yaml")
    model = EnhancedRewardModel.load(finished.folder / "reward_model")
    rollouts = play(
        load_policy(finished.summary["agent"], finished.folder / "policy.zip"),
        make_vec_env(lambda: make_configured_env(config), 1, EpisodeStore(1)),
        num_episodes=2,
        seed=Streams(0).integer(EVALUATION),
        reward_function=model.reward_function(),
    )
    again = evaluation_of(rollouts)
    assert again.true_return_mean == finished.summary["final_true_return_mean"]
    assert again.true_return_std == finished.summary["final_true_return_std"]
    assert again.learned_return_mean == finished.summary["final_learned_return_mean"]
    assert again.reward_true_correlation == finished.summary["reward_true_correlation"]


def test_metrics_go_forward_and_count_the_answers(finished):
    lines = read_metrics(finished.folder / "metrics.jsonl")
    for name in ("step", "wall_s", "num_answers"):
        values = [line[name] for line in lines]
        assert values == sorted(values), name
    assert lines[-1]["step"] == finished.summary["steps"]
    assert lines[-1]["num_answers"] == 23
    assert {"true_return", "learned_return"} <= lines[-1].keys()
    assert math.isnan(lines[0]["learned_return"]), "nothing was learned while exploring"
    assert sum("reward_holdout_accuracy" in line for line in lines) == 3


def test_comparisons_are_in_the_interchange_layout(finished):
    with np.load(finished.folder / "comparisons.npz", allow_pickle=False) as file:
        arrays = dict(file)
    length, num = int(arrays["segment_length"]), len(arrays["p_left"])
    assert length == 10
    assert np.isfinite(arrays["p_left"]).sum() == 23
    assert set(arrays["split"].tolist()) == {"train", "test"}
    num_rows = len(arrays["observations"])
    assert arrays["observations"].shape == arrays["actions"].shape == (num_rows, 2)
    assert arrays["true_reward"].shape == arrays["episode"].shape == (num_rows,)
    for side in ("left_start", "right_start"):
        assert arrays[side].shape == (num,)
        assert (arrays[side] + length <= num_rows).all()
    for left, right, p_left in zip(
        arrays["left_start"], arrays["right_start"], arrays["p_left"], strict=True
    ):
        returns = [arrays["true_reward"][s : s + length].sum() for s in (left, right)]
        assert p_left == (1.0 if returns[0] > returns[1] else 0.0), "an oracle answered"
        for start in (left, right):
            assert len(set(arrays["episode"][start : start + length])) == 1
    assert np.abs(arrays["actions"]).max() <= 1.0, "as the environment was given them"


def test_the_policy_is_one_that_plain_sb3_loads(finished):
    kind: type[PPO | SAC] = PPO if finished.summary["agent"] == "ppo" else SAC
    env = gym.make(tiny_runs.POINT_MASS)
    model = kind.load(finished.folder / "policy.zip", env=env)
    for name, value in parameters(finished).items():
        assert torch.equal(model.policy.state_dict()[name], value)
    venv = model.get_env()
    assert venv is not None
    mean, _ = evaluate_policy(model, venv, n_eval_episodes=20)
    assert abs(mean - finished.summary["final_true_return_mean"]) < 60


def test_the_reward_model_wraps_an_environment_of_ones_own(finished):
    model = EnhancedRewardModel.load(finished.folder / "reward_model")
    env = RewardWrapper(gym.make(tiny_runs.POINT_MASS), model)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.zeros(2, np.float32))
    assert reward != info["true_reward"]
    assert info["reward_uncertainty"] >= 0


def test_the_learning_curve_is_a_picture_of_something(finished):
    picture = imageio.imread(finished.folder / "learning_curve.png")
    assert picture.shape[:2] == (500, 1200)
    assert 2 < picture.std() < 120, "neither blank nor noise"


def test_tensorboard_shows_the_figures_and_the_agents_own(finished):
    events = EventAccumulator(str(finished.folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"prefrl/true_return", "prefrl/learned_return", "prefrl/num_answers"} <= set(tags)
    assert any(tag.startswith("train/") for tag in tags)
    assert events.Scalars("prefrl/num_answers")[-1].value == 23


def test_one_state_is_kept(finished):
    (kept,) = (finished.folder / "final").iterdir()
    assert kept.name == f"step_{finished.summary['steps']:09d}.npz"


def test_two_checkpoints_are_kept_if_asked_for(tmp_path):
    config = tiny_runs.ppo(reward="true", steps=640, checkpoint_every=128, keep_checkpoints=True)
    result = run(config, out=tmp_path / "run", show_progress=False)
    kept = sorted(path.name for path in (result.folder / "checkpoints").iterdir())
    assert kept == ["step_000000512.npz", "step_000000640.npz"]


def test_its_config_file_reruns_it_exactly(finished, tmp_path):
    config = from_yaml(finished.folder / "config.yaml")
    assert resolve(config) == ResolvedRun.of(config), "nothing is left to be decided"
    assert_same_run(run(config, out=tmp_path / "again", show_progress=False), finished)


def test_the_same_settings_make_the_same_run_whatever_was_drawn_before(finished, tmp_path):
    seed_global_generators(1_234)
    config = CONFIGS[finished.summary["agent"]]
    assert_same_run(run(config, out=tmp_path / "again", show_progress=False), finished)


def test_zero_is_a_seed_and_another_seed_makes_another_run(tmp_path):
    config = tiny_runs.ppo(steps=300, budget=4, queries=QueryConfig(num_sessions=1))
    results = [
        run(replace(config, seed=seed), out=tmp_path / str(i), show_progress=False)
        for i, seed in enumerate((0, 0, 1))
    ]
    assert [result.summary["seed"] for result in results] == [0, 0, 1]
    assert_same_run(results[0], results[1])
    returns = [result.summary["final_true_return_mean"] for result in results]
    assert returns[0] != returns[2]
    weights = [parameters(result)["action_net.weight"] for result in results]
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    "config",
    [
        tiny_runs.ppo(num_envs=1, steps=607, budget=1, checkpoint_every=100),
        tiny_runs.ppo(num_envs=3, steps=609, budget=37, checkpoint_every=50),
        tiny_runs.sac(
            steps=607,
            explore_steps=101,
            budget=37,
            checkpoint_every=83,
            agent_settings={**tiny_runs.SAC_SETTINGS, "train_freq": 1},
        ),
        tiny_runs.sac(steps=606, explore_steps=100, num_envs=3, budget=7),
    ],
    ids=["ppo-1-env", "ppo-3-envs", "sac-1-env", "sac-3-envs"],
)
def test_odd_numbers_of_steps_and_answers_are_honoured_exactly(config, tmp_path):
    result = run(config, out=tmp_path / "run", show_progress=False)
    assert result.summary["steps"] == config.steps == result.agent.model.num_timesteps
    assert result.summary["num_answers"] == config.budget
    assert PreferenceDataset.load(tmp_path / "run/comparisons.npz").num_answers == config.budget


@pytest.mark.parametrize("make", [tiny_runs.ppo, tiny_runs.sac])
def test_on_the_true_reward_nobody_is_asked_and_nothing_explores(make, tmp_path):
    result = run(make(reward="true", steps=400), out=tmp_path / "run", show_progress=False)
    assert {p.name for p in result.folder.iterdir()} == FILES - {"comparisons.npz", "reward_model"}
    summary = result.summary
    assert summary["steps"] == 400
    assert summary["budget"] == summary["num_answers"] == summary["num_skips"] == 0
    for name in ("final_learned_return_mean", "reward_holdout_accuracy", "reward_true_correlation"):
        assert summary[name] is None
    assert result.reward_model is None
    lines = read_metrics(result.folder / "metrics.jsonl")
    assert all(math.isnan(line["learned_return"]) for line in lines), "there is none"


def test_a_run_without_a_folder_makes_one_under_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(tiny_runs.ppo(reward="true", steps=130), show_progress=False)
    assert result.folder.parts[0] == "runs"
    assert result.folder.name.startswith("tests.own_envs_PointMass-v0-ppo-true-seed0-")
    assert (tmp_path / result.folder / "summary.json").exists()


def test_a_short_run_of_the_defaults_explores_a_segment_in_every_environment():
    config = resolve(RunConfig(env="HalfCheetah-v4", steps=2_000))
    assert config.explore_steps == 8 * 50


def test_a_long_run_of_the_defaults_explores_as_long_as_its_preset_says():
    assert resolve(RunConfig(env="HalfCheetah-v4")).explore_steps == 16_000
    assert resolve(RunConfig(env="HalfCheetah-v4", agent="sac")).explore_steps == 5_000


def test_resuming_a_finished_run_changes_no_figure(tmp_path):
    config = tiny_runs.ppo(steps=300, budget=4, queries=QueryConfig(num_sessions=1))
    first = run(config, out=tmp_path / "run", show_progress=False)
    before = {p.name: p.read_bytes() for p in first.folder.glob("*.*")}
    again = resume(first.folder, show_progress=False)
    assert_same_run(again, first)
    for name in ("config.yaml", "metrics.jsonl", "comparisons.npz"):
        assert (first.folder / name).read_bytes() == before[name]
    assert again.summary["wall_s"] > 0


def test_a_folder_in_use_stays_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("all my work")
    with pytest.raises(StorageError, match="is in use; choose another out"):
        run(tiny_runs.ppo(), out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_device_may_be_left_to_torch(tmp_path):
    result = run(tiny_runs.ppo(steps=300, device="auto"), out=tmp_path, show_progress=False)
    assert result.reward_model is not None
    assert result.reward_model.input_mean.device == result.agent.model.device


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    result = run(tiny_runs.ppo(reward="true", steps=130), out=tmp_path, show_progress=False)
    assert result.folder == tmp_path
