"""Every argument of a run, or of what is done with a finished one, has its effect or is refused."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl import Parts, resume, run
from prefrl.errors import ConfigError, PrefrlError, StorageError
from prefrl.runs.evaluation import evaluate
from prefrl.runs.playback import evaluate_run, film_run
from prefrl.runs.video import film
from tests import tiny_runs
from tests.own_envs import PointMass

pytestmark = pytest.mark.usefixtures("without_curves")
CONFIG = tiny_runs.tiniest()


def still(observations: Any) -> np.ndarray:
    return np.zeros((len(observations), 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"eval_episodes": 0, "eval_every": 50}, "eval_episodes is 0: there is nothing to play"),
        ({"train_episode_steps": 51}, "train_episode_steps is 51, but episodes end after 50 steps"),
        ({"explore_episode_steps": 51}, "explore_episode_steps is 51, but episodes end after 50"),
        ({"budget": 10**6}, "budget is 1000000, but .* choose at most [0-9]+, or more steps"),
        ({"objectives": ("fast", "cheap")}, r"objectives: the info of .* has no 'fast'"),
        ({"env": "tests.own_envs:Endless-v0"}, "has no time limit"),
        ({"env_kwargs": {"colour": 3}}, "could not be made: TypeError"),
    ],
)
def test_settings_without_effect_are_refused_before_the_first_step_and_leave_no_folder(
    changes, said, tmp_path
):
    out = tmp_path / "deep" / "run"
    with pytest.raises(ConfigError, match=said) as refused:
        run(replace(CONFIG, **changes), out=out, show_progress=False)
    assert "\n" not in str(refused.value)
    assert "resume" not in str(refused.value)
    assert not out.parent.exists()


def test_a_folder_that_was_there_stays_and_is_empty_again(tmp_path):
    with pytest.raises(ConfigError, match="objectives"):
        run(replace(CONFIG, objectives=("a", "b")), out=tmp_path, show_progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_fails_before_the_first_step_leaves_no_folder(tmp_path):
    class Broken(PointMass):
        def reset(self, **kwargs: Any) -> Any:
            raise RuntimeError("no power")

    config = replace(CONFIG, env="MyRobot", max_episode_steps=20)
    with pytest.raises(PrefrlError, match=r"failed to reset: RuntimeError: no power$"):
        run(config, out=tmp_path / "run", parts=Parts(make_env=Broken), show_progress=False)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    run(CONFIG, out=out, show_progress=False)
    return out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"steps": 0}, "steps is 0; expected 1 or more"),
        ({"steps": 159}, "steps is 159, but the run has 160 already"),
        ({"budget": 3}, "budget is 3, but the run has 4 already"),
        ({"budget": 10**6}, "budget is 1000000, but .* choose at most"),
    ],
)
def test_what_a_finished_run_cannot_be_given_is_refused_and_changes_nothing(
    finished, arguments, said
):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(PrefrlError, match=said):
        resume(finished, show_progress=False, **arguments)
    assert before == {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}


def test_as_many_steps_and_answers_as_it_has_are_no_more(finished):
    assert resume(finished, steps=160, budget=4, show_progress=False).summary["steps"] == 160


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (partial(evaluate, still, PointMass, num_episodes=0, seed=0), "num_episodes is 0"),
        (partial(evaluate, still, PointMass, num_episodes=1, num_envs=0, seed=0), "num_envs is 0"),
        (partial(evaluate, still, PointMass, num_episodes=1, seed=-1), "seed is -1"),
    ],
)
def test_numbers_that_play_nothing_are_refused(call, said):
    with pytest.raises(ConfigError, match=said):
        call()


def test_there_are_two_policies_and_no_other(finished):
    with pytest.raises(ConfigError, match="unknown policy 'worst'; choose from final, best"):
        evaluate_run(finished, num_episodes=1, seed=0, policy="worst")  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="has no best_policy"):
        evaluate_run(finished, num_episodes=1, seed=0, policy="best")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_seconds": float("inf")}, "max_seconds is inf"),
        ({"size": 0}, "size is 0; expected 1 or more"),
    ],
)
def test_a_clip_of_no_size_or_no_end_is_refused(finished, arguments, said, tmp_path):
    settings = {"max_seconds": 1.0, "seed": 0, **arguments}
    for call in (partial(film, still, PointMass), partial(film_run, finished)):
        with pytest.raises(ConfigError, match=said):
            call(tmp_path / "clip.mp4", **settings)
    assert list(tmp_path.iterdir()) == []
