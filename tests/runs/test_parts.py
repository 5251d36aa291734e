"""Runs with parts of one's own: environments, teachers, strategies, models."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import A2C

from prefrl import Parts, resume, run
from prefrl.config import from_yaml
from prefrl.errors import ConfigError, StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.queries import Uniform
from prefrl.records.metrics import read_metrics
from prefrl.runs.playback import evaluate_run
from tests import tiny_runs
from tests.own_envs import Kitchen, PointMass
from tests.runs.same_run import assert_same_run, episodes


class Loud(Uniform):
    """A strategy that keeps count."""

    def __init__(self):
        self.num_asked = 0

    def select(self, pool, num_queries, predictor, *, rng):
        self.num_asked += num_queries
        return super().select(pool, num_queries, predictor, rng=rng)


class LikesTheRight:
    """A teacher who prefers whatever ends further to the right."""

    def observe(self, pool):
        return {"furthest": float(pool.observations[..., 0].max())}

    def answer(self, left, right, *, rng):
        return (left.observations[:, -1, 0] > right.observations[:, -1, 0]).astype(float)


def test_every_part_can_be_ones_own(tmp_path):
    strategy = Loud()
    made = []

    def make_env():
        made.append(gym.wrappers.TimeLimit(PointMass(), 40))
        return made[-1]

    parts = Parts(
        make_env=make_env,
        teacher=LikesTheRight(),
        strategy=strategy,
        make_model=lambda venv: A2C("MlpPolicy", venv, n_steps=20),
    )
    config = tiny_runs.ppo(env="MyRobot", agent=None, agent_settings={}, steps=400, budget=15)
    result = run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    assert isinstance(result.agent.model, A2C)
    assert result.summary["env"] == "MyRobot"
    assert result.summary["steps"] == 400
    assert strategy.num_asked == 15 - 3, "the first session is uniform"
    assert from_yaml(tmp_path / "run/config.yaml").max_episode_steps == 40
    assert "furthest" in set().union(*read_metrics(tmp_path / "run/metrics.jsonl"))
    assert all(len(episode) <= 40 for episode in episodes(result))
    dataset = PreferenceDataset.load(tmp_path / "run/comparisons.npz")
    left, right = dataset.left[0].observations, dataset.right[0].observations
    assert np.array_equal(dataset.p_left == 1, left[:, -1, 0] > right[:, -1, 0])
    names = {"agent": "a2c", "teacher": "LikesTheRight", "strategy": "Loud"}
    assert names.items() <= result.summary.items()
    with pytest.raises(StorageError, match=r"policy\.zip alone, .* load it with trust=True$"):
        evaluate_run(tmp_path / "run", num_episodes=1, seed=0)
    with pytest.raises(ConfigError, match=r"policy\.zip is of a a2c model that its run brought"):
        evaluate_run(tmp_path / "run", num_episodes=1, seed=0, trust=True)
    again = run(config, out=tmp_path / "again", parts=parts, show_progress=False)
    assert_same_run(result, again)  # though its model was given no seed


class PaysOneAStep(PointMass):
    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, 1.0, terminated, truncated, info


@pytest.mark.parametrize("reward", ["learned", "true"])
def test_training_episodes_grow_and_evaluation_plays_whole_ones(tmp_path, reward):
    parts = Parts(make_env=lambda: gym.wrappers.TimeLimit(PaysOneAStep(), 40))
    settings = {"steps": 800, "budget": 6, "train_episode_steps": 20, "checkpoint_every": 200}
    config = tiny_runs.ppo(env="MyRobot", reward=reward, **settings)
    result = run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    rows = [r for r in read_metrics(tmp_path / "run/metrics.jsonl") if r.get("num_episodes")]
    returns = [row["true_return"] for row in rows]
    assert 20 <= returns[0] < 40
    assert returns == sorted(returns)
    assert returns[-1] == 40
    assert all(row["terminated_share"] == 0 for row in rows)
    assert result.summary["final_true_return_mean"] == 40.0
    assert result.summary["train_episode_steps"] == 20


def test_an_environment_of_ones_own_is_flattened_like_any_other(tmp_path):
    parts = Parts(make_env=Kitchen)
    config = tiny_runs.ppo(env="Kitchen", steps=300, budget=6, max_episode_steps=30)
    result = run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    assert result.reward_model is not None
    assert result.reward_model.config.input_dim == 2 + 3 + 2 + 5
    assert max(map(len, episodes(result))) == 30


def test_an_environment_of_ones_own_without_a_time_limit_is_refused(tmp_path):
    expected = "MyRobot has no time limit; choose one with max_episode_steps"
    with pytest.raises(ConfigError, match=expected):
        run(tiny_runs.ppo(env="MyRobot"), out=tmp_path / "run", parts=Parts(make_env=PointMass))
    assert not (tmp_path / "run").exists()


def test_a_run_with_parts_of_ones_own_is_resumed_with_the_same_parts(tmp_path):
    class Stop(BaseException):
        pass

    class Impatient(LikesTheRight):
        num_sessions = 0

        def observe(self, pool):
            self.num_sessions += 1
            if self.num_sessions == 3:
                raise Stop
            return super().observe(pool)

    config = tiny_runs.ppo(env="MyRobot", max_episode_steps=40)
    whole = run(
        config,
        out=tmp_path / "whole",
        parts=Parts(make_env=PointMass, teacher=LikesTheRight()),
        show_progress=False,
    )
    with pytest.raises(Stop):
        run(
            config,
            out=tmp_path / "cut",
            parts=Parts(make_env=PointMass, teacher=Impatient()),
            show_progress=False,
        )
    parts = Parts(make_env=PointMass, teacher=LikesTheRight())
    assert_same_run(resume(tmp_path / "cut", parts=parts, show_progress=False), whole)
