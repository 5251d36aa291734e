"""A file of another run in a run's folder is refused by name, where it does not fit."""

import json
import shutil

import pytest

from prefrl import QueryConfig, resume, run
from prefrl.errors import StorageError
from prefrl.runs.playback import evaluate_run
from tests import tiny_runs

SMALL = {
    "steps": 202,
    "explore_steps": 100,
    "budget": 6,
    "checkpoint_every": 100,
    "eval_episodes": 1,
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A run in the plane, and one in a pendulum's three dims."""
    folder = tmp_path_factory.mktemp("both")
    queries = QueryConfig(num_sessions=1, min_candidates=20)
    for name, env in (("own", tiny_runs.POINT_MASS), ("other", "Pendulum-v1")):
        config = tiny_runs.ppo(**SMALL, env=env, queries=queries)
        run(config, out=folder / name, show_progress=False)
    return folder


@pytest.fixture
def mixed(both, tmp_path):
    """Copies the one run, with some files of the other's."""

    def make(*names):
        shutil.copytree(both / "own", tmp_path / "run")
        for name in names:
            shutil.copy(both / "other" / name, tmp_path / "run" / name)
        return tmp_path / "run"

    return make


def refused(match, call):
    with pytest.raises(StorageError, match=match):
        call()


@pytest.mark.parametrize("name", ["comparisons.npz", "episodes.npz"])
def test_steps_of_another_environment_are_not_gone_on_with(mixed, name):
    folder = mixed(name)
    before = (folder / "config.yaml").read_bytes()
    said = (
        rf"{name} does not fit this run: its \w+ have 3 observation and 1 action dims, .* 2 and 2"
    )
    refused(said, lambda: resume(folder, steps=302, show_progress=False))
    assert (folder / "config.yaml").read_bytes() == before


def test_a_policy_for_another_environment_is_not_played(mixed):
    folder = mixed("policy.safetensors")
    said = r"policy\.safetensors is the policy of another environment: its observations have shape"
    refused(said, lambda: evaluate_run(folder, num_episodes=1, seed=0))


def test_a_finished_run_is_not_told_by_the_summary_of_another(mixed, both):
    folder = mixed("summary.json")
    said = r"summary\.json is of another run: its env is 'Pendulum-v1', not .*; remove it"
    refused(said, lambda: resume(folder, show_progress=False))
    (folder / "summary.json").unlink()
    own = json.loads((both / "own" / "summary.json").read_text())["final_true_return_mean"]
    assert resume(folder, show_progress=False).summary["final_true_return_mean"] == own


def test_a_run_whose_parts_nobody_knows_any_more_is_not_gone_on_with(mixed):
    folder = mixed()
    (folder / "parts.json").unlink()
    said = r"parts\.json is missing, which says what parts .*; put it back, or write \{\} into it"
    refused(said, lambda: resume(folder, show_progress=False))
    (folder / "parts.json").write_text("{}")
    assert resume(folder, show_progress=False).summary["steps"] == SMALL["steps"]


def test_a_run_that_was_killed_before_it_had_settings_leaves_its_folder_free(tmp_path):
    (tmp_path / "parts.json").write_text("{}")
    (tmp_path / ".config.yaml.0123abcd.tmp").write_text("env: ")
    config = tiny_runs.ppo(reward="true", steps=128, checkpoint_every=64, eval_episodes=0)
    assert run(config, out=tmp_path, show_progress=False).summary["steps"] == 128
