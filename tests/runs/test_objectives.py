"""A run whose reward is about several things: queries, one model, and weights for the agent."""

import dataclasses
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import pytest

from prefrl import PreferenceDataset, RewardConfig, RewardWrapper, RunConfig, run
from prefrl.config import from_yaml
from prefrl.errors import ConfigError
from prefrl.runs import Parts, RunResult
from prefrl.runs.resolve import resolve
from tests import tiny_runs

NAMES = ("near", "calm")


class TwoThings(gym.Wrapper[Any, Any, Any, Any]):
    """Says apart how near the point is and how little it was pushed."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        info |= {"near": -abs(float(observation[0])), "calm": -float(np.square(action).sum())}
        return observation, reward, terminated, truncated, info


def two_things() -> gym.Env[Any, Any]:
    return TwoThings(gym.make(tiny_runs.POINT_MASS))


PARTS = Parts(make_env=two_things)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    config = tiny_runs.ppo(objectives=NAMES, objective_weights=(1.0, 0.0))
    folder = tmp_path_factory.mktemp("objectives") / "run"
    return run(config, out=folder, parts=PARTS, show_progress=False)


def test_queries_are_about_the_objectives_in_turns(finished):
    answers = PreferenceDataset.load(finished.folder / "comparisons.npz")
    assert answers.objective.tolist() == [number % 2 for number in range(23)]
    for side in (*answers.left, *answers.right):
        np.testing.assert_allclose(
            side.objective_rewards[..., 1], -np.square(side.actions).sum(-1), rtol=1e-4
        )


def test_answers_are_those_of_the_objective_asked_about(finished):
    answers = PreferenceDataset.load(finished.folder / "comparisons.npz")
    left, right = (
        np.concatenate([batch.objective_rewards.sum(1) for batch in side])
        for side in (answers.left, answers.right)
    )
    rows = np.arange(len(answers))
    gap = (left - right)[rows, answers.objective]
    np.testing.assert_array_equal(answers.p_left, gap > 0)


def test_one_model_has_learned_both_and_weighs_them_as_it_is_told(finished):
    model = finished.reward_model
    assert model is not None
    assert model.config.num_objectives == 2
    obs, action = np.zeros((4, 2)), np.linspace(-1, 1, 8).reshape(4, 2)
    near, calm, both = (
        model.reward_function(weights).with_uncertainty(obs, action)[0]
        for weights in ((1.0, 0.0), (0.0, 1.0), (0.5, 2.0))
    )
    assert not np.allclose(near, calm)
    np.testing.assert_allclose(both, 0.5 * near + 2 * calm, rtol=1e-4, atol=1e-5)


def test_the_settings_are_in_the_runs_config(finished):
    config = from_yaml(finished.folder / "config.yaml")
    assert config.objectives == NAMES
    assert config.objective_weights == (1.0, 0.0)


def test_a_wrapped_environment_is_rewarded_by_the_weights_of_ones_own(finished):
    rewards = []
    for weights in ((1.0, 0.0), (0.0, 1.0), (2.0, -1.0)):
        env = RewardWrapper(two_things(), finished.reward_model, objective_weights=weights)
        env.reset(seed=0)
        rewards.append(float(env.step(np.array([0.7, -0.2], dtype=np.float32))[1]))
    assert rewards[2] == pytest.approx(2 * rewards[0] - rewards[1], rel=1e-4)


def test_a_plain_function_has_no_objectives():
    def reward(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        return np.zeros(len(obs))

    with pytest.raises(TypeError, match="objective_weights are for a reward model"):
        RewardWrapper(two_things(), reward, objective_weights=(1.0, 0.0))


def test_an_entry_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    config = tiny_runs.ppo(objectives=("near", "cheap"))
    with pytest.raises(ConfigError, match=r"has no 'cheap'; it has .*calm.*near"):
        run(config, out=tmp_path / "run", parts=PARTS, show_progress=False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objectives": ("a",)}, "expected two different names or more"),
        ({"objectives": ("a", "a")}, "expected two different names or more"),
        ({"objective_weights": (1.0,)}, "there are no objectives"),
        ({"objectives": ("a", "b"), "objective_weights": (1.0,)}, "a number for each of a, b"),
        ({"objectives": ("a", "b"), "objective_weights": (0.0, 0.0)}, "not all of them 0"),
        ({"objectives": ("a", "b"), "reward": "true"}, "leave them out with reward='true'"),
        (
            {"objectives": ("a", "b"), "reward_model": RewardConfig(bank_alpha=0.5)},
            "bank_alpha is 0.5; expected 0 with several objectives",
        ),
    ],
)
def test_objectives_and_weights_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        resolve(dataclasses.replace(RunConfig(env="Pendulum-v1"), **settings))
