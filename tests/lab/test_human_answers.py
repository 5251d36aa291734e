"""Reward models on answers that people gave, where the files are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from lab.recorded import Recorded, load
from lab.reward_models import Setting, enhanced, linear, single, tasks_of
from prefrl.rewards.calibration.probabilities import negative_log_likelihood

FOLDER = Path(
    os.environ.get("PREFRL_HUMAN_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)


def recorded(name: str) -> Recorded:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"needs {name} in the folder that PREFRL_HUMAN_DATA names")
    return load(path)


@pytest.fixture(scope="module")
def door() -> Recorded:
    return recorded("door_human.npz")


@pytest.fixture(scope="module")
def arguments() -> Recorded:
    return recorded("arguments_human.npz")


def test_the_door_is_800_comparisons_of_50_steps(door: Recorded) -> None:
    assert len(door) == 800
    assert door.segment_length == 50
    steps = door.comparisons.steps
    assert (steps["observations"].shape[1], steps["actions"].shape[1]) == (39, 28)


def test_one_voter_agrees_with_the_others_on_three_arguments_of_four(arguments: Recorded) -> None:
    ceiling = arguments.human_ceiling()
    assert ceiling is not None
    assert ceiling == pytest.approx(0.77, abs=0.01)


def test_a_fifth_of_wrong_answers_about_the_door_is_seen_through(door: Recorded) -> None:
    task = tasks_of(door, Setting(200, flip_rate=0.2), seed=0)[0]
    ours, plain = (fit(task)(task.test).p for fit in (enhanced, single))
    answers = door.p_left[task.test]
    assert np.mean((ours > 0.5) == (answers > 0.5)) > 0.85
    assert negative_log_likelihood(ours, answers) < 0.7 * negative_log_likelihood(plain, answers)


def test_arguments_on_new_topics_are_told_apart_as_well_as_by_a_linear_model(
    arguments: Recorded,
) -> None:
    task = tasks_of(arguments, Setting(2_000), seed=0)[0]
    answers = arguments.p_left[task.test]
    ours, straight = (
        np.mean((fit(task)(task.test).p > 0.5) == (answers > 0.5)) for fit in (enhanced, linear)
    )
    assert ours > 0.68
    assert ours > straight - 0.02
