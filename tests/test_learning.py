"""Learning is tested by learning."""

import numpy as np
import pytest

from prefrl import QueryConfig, RunConfig, TeacherConfig, load_comparisons, run
from prefrl.records.metrics import read_metrics
from tests import tiny_runs

PPO_SETTINGS = {"n_steps": 64, "batch_size": 64, "gamma": 0.9, "learning_rate": 1e-3}


def point_mass(**changes):
    """100 answers about a point that is paid for being near the origin."""
    return RunConfig(
        **{
            "env": tiny_runs.POINT_MASS,
            "agent": "ppo",
            "steps": 16_000,
            "num_envs": 8,
            "budget": 100,
            "segment_length": 10,
            "explore_steps": 800,
            "eval_episodes": 20,
            "agent_settings": PPO_SETTINGS,
            "queries": QueryConfig(num_sessions=4),
            **changes,
        }
    )


def random_return(result):
    """Returns what random actions reached, before the first session."""
    return read_metrics(result.folder / "metrics.jsonl")[0]["true_return"]


def test_ppo_learns_a_task_from_comparisons_alone(tmp_path):
    result = run(point_mass(), out=tmp_path / "run", show_progress=False)
    assert result.summary["final_true_return_mean"] > 0.5 * random_return(result)
    assert result.summary["reward_true_correlation"] > 0.6
    # The 15 held-out answers are mostly about pairs that heads disagreed on: the hardest there are.
    assert result.summary["reward_holdout_accuracy"] > 0.5


def test_it_learns_where_every_episode_ends_before_it_is_as_long_as_a_segment(tmp_path):
    config = point_mass(env="tests.own_envs:Fleeting-v0", steps=12_000, eval_episodes=60)
    with pytest.warns(UserWarning, match="episodes end early"):
        result = run(config, out=tmp_path / "run", show_progress=False)
    answers = load_comparisons(result.folder / "comparisons.npz")
    assert len(answers) == 100
    with np.load(result.folder / "comparisons.npz") as file:
        assert file["length"].min() >= 4
        assert file["length"].max() <= 9
        assert len(file["observations"]) == 2 * file["length"].sum(), "no padding on the disk"
    assert result.summary["final_true_return_mean"] > 0.8 * random_return(result)
    assert result.summary["reward_true_correlation"] > 0.6


@pytest.mark.slow
def test_from_answers_that_mean_nothing_it_learns_nothing(tmp_path):
    guessing = TeacherConfig("noisy", beta=0.0)
    result = run(point_mass(teacher=guessing), out=tmp_path / "run", show_progress=False)
    assert result.summary["final_true_return_mean"] < 0.8 * random_return(result)


@pytest.mark.slow
def test_sac_learns_a_task_from_comparisons_alone(tmp_path):
    sac = {"agent": "sac", "num_envs": 1, "steps": 4_000, "explore_steps": 1_000}
    config = point_mass(**sac, agent_settings={"gamma": 0.9, "policy_kwargs": {"net_arch": [64]}})
    result = run(config, out=tmp_path / "run", show_progress=False)
    assert result.summary["final_true_return_mean"] > 0.5 * random_return(result)
    assert result.summary["reward_true_correlation"] > 0.6


@pytest.mark.slow
def test_a_cheetah_learns_to_run_from_comparisons_alone(tmp_path):
    config = RunConfig(env="HalfCheetah-v4", agent="ppo", steps=152_000)
    result = run(config, out=tmp_path / "run", show_progress=False)
    assert result.summary["final_true_return_mean"] > 800
    assert result.summary["reward_true_correlation"] > 0.6
