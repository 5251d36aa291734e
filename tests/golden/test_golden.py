"""Runs, reward models, answers and policies of older versions still load, score, fit and play."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from prefrl import EnhancedRewardModel, RewardConfig, resume
from prefrl.config import from_yaml
from prefrl.errors import StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import RewardTrainer
from prefrl.runs.playback import evaluate_run
from prefrl.seeding import Streams
from prefrl.segments import SegmentBatch

HERE = Path(__file__).parent / "0.1"
RUNS = ("ppo", "sac")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prefrl")


def answers_of(name: str) -> PreferenceDataset:
    return PreferenceDataset.load(HERE / name / "comparisons.npz")


def sides(dataset: PreferenceDataset) -> tuple[SegmentBatch, SegmentBatch]:
    left, right = (SegmentBatch.concatenate(list(side)) for side in (dataset.left, dataset.right))
    return left, right


@pytest.mark.parametrize("name", RUNS)
def test_answers_of_an_older_version_are_the_same_ones(name: str) -> None:
    expected, dataset = np.load(HERE / f"{name}_expected.npz"), answers_of(name)
    left, right = sides(dataset)
    np.testing.assert_array_equal(dataset.p_left, expected["p_left"])
    np.testing.assert_array_equal(left.observations, expected["observations_left"])
    np.testing.assert_array_equal(left.actions, expected["actions_left"])
    np.testing.assert_array_equal(left.true_rewards, expected["true_rewards_left"])
    np.testing.assert_array_equal(right.observations, expected["observations_right"])
    np.testing.assert_array_equal(right.actions, expected["actions_right"])


@pytest.mark.parametrize("name", RUNS)
def test_a_reward_model_of_an_older_version_scores_as_it_did(name: str) -> None:
    expected = np.load(HERE / f"{name}_expected.npz")
    model = EnhancedRewardModel.load(HERE / name / "reward_model")
    for side, scores in zip(sides(answers_of(name)), expected["segment_scores"], strict=True):
        np.testing.assert_allclose(model.score(side.inputs()), scores, rtol=1e-5, atol=1e-5)
    left, _ = sides(answers_of(name))
    rows = [array.reshape(-1, array.shape[-1]) for array in (left.observations, left.actions)]
    rewards, uncertainty = model.reward_function().with_uncertainty(*rows)[:2]
    np.testing.assert_allclose(rewards, expected["rewards"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(uncertainty, expected["uncertainty"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_a_reward_model_of_an_older_version_is_fitted_on(name: str) -> None:
    model = EnhancedRewardModel.load(HERE / name / "reward_model")
    trainer = RewardTrainer(model, RewardConfig(hidden_dim=16, max_updates=20), streams=Streams(0))
    fitted = trainer.fit(answers_of(name), session=0)
    assert fitted["reward_train_accuracy"] > 0.6


@pytest.mark.parametrize("name", RUNS)
def test_a_policy_of_an_older_version_plays_as_it_did(name: str) -> None:
    expected = json.loads((HERE / f"{name}_evaluation.json").read_text())
    played = evaluate_run(HERE / name, num_episodes=2, seed=0, trust=True)
    assert played.true_return_mean == pytest.approx(expected["true_return_mean"], rel=1e-4)
    assert played.learned_return_mean == pytest.approx(expected["learned_return_mean"], abs=1e-2)


@pytest.mark.parametrize("name", [*RUNS, "in_flight"])
def test_the_settings_of_an_older_version_are_read(name: str) -> None:
    assert from_yaml(HERE / name / "config.yaml").budget == 23


def test_a_run_in_flight_goes_on_or_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(HERE / "in_flight", folder)
    with contextlib.suppress(StorageError):
        assert resume(folder, show_progress=False).summary["num_answers"] == 23
