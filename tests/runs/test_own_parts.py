"""Parts of one's own: what they leave without effect is refused, and so is a run without them."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from prefrl import Parts, TeacherConfig, resume, run
from prefrl.config import from_yaml
from prefrl.errors import ConfigError, StorageError
from prefrl.queries import Uniform
from prefrl.records.checkpoint import Checkpoints
from prefrl.runs.own_parts import check_settings, names_of
from prefrl.runs.playback import evaluate_run, film_run
from prefrl.runs.resolve import settings_of
from tests import tiny_runs
from tests.own_envs import PointMass


class LikesTheRight:
    def answer(self, left, right, *, rng):
        return (left.observations[:, -1, 0] > right.observations[:, -1, 0]).astype(float)


class Quiet(BaseCallback):
    def _on_step(self) -> bool:
        return True


def make_env() -> gym.Env[Any, Any]:
    return PointMass()


def make_model(venv: Any) -> PPO:
    return PPO("MlpPolicy", venv, n_steps=20, batch_size=20, seed=0)


pytestmark = pytest.mark.usefixtures("without_curves")
CONFIG = tiny_runs.tiniest(env="MyRobot", agent=None, agent_settings={}, max_episode_steps=20)
OWN: dict[str, Any] = {
    "make_env": make_env,
    "teacher": LikesTheRight(),
    "strategy": Uniform(),
    "make_model": make_model,
    "callbacks": [Quiet()],
}
GIVEN: dict[str, dict[str, Any]] = {
    "teacher": {"teacher": TeacherConfig(p_mistake=0.2)},
    "strategy": {"strategy": "uniform"},
    "env_kwargs": {"env_kwargs": {"fault": "x"}},
    "fixed_horizon": {"fixed_horizon": False},
    "agent": {"agent": "sac"},
    "agent_settings": {"agent_settings": {"n_steps": 7}},
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_beside_the_part_that_takes_its_place_is_refused_and_leaves_no_folder(
    name, tmp_path
):
    out = tmp_path / "deep" / "run"
    said = f"^{name} was given, but so was a .* of one's own, which takes its place; leave one"
    with pytest.raises(ConfigError, match=said):
        run(replace(CONFIG, **GIVEN[name]), out=out, parts=Parts(**OWN))
    assert not out.parent.exists()


@pytest.mark.parametrize("name", ["teacher", "strategy"])
def test_whom_nobody_asks_is_refused(name):
    with pytest.raises(ConfigError, match=f"a {name} was given, but a run on the true reward"):
        check_settings(replace(CONFIG, reward="true"), Parts(**{name: OWN[name]}))


def test_a_time_limit_that_is_not_the_environments_is_refused(tmp_path):
    parts = Parts(make_env=lambda: gym.wrappers.TimeLimit(PointMass(), 30))
    said = "max_episode_steps is 20, but MyRobot ends its episodes after 30 steps by itself"
    with pytest.raises(ConfigError, match=said):
        run(CONFIG, out=tmp_path / "run", parts=parts)
    assert not (tmp_path / "run").exists()


def test_parts_are_named_by_where_they_are_defined():
    here = __name__
    assert names_of(Parts()) == {}
    assert names_of(Parts(**{**OWN, "make_env": partial(make_env)})) == {
        "make_env": f"{here}:make_env",
        "teacher": f"{here}:LikesTheRight",
        "strategy": "prefrl.queries.strategies:Uniform",
        "make_model": f"{here}:make_model",
        "callbacks": f"{here}:Quiet",
    }


@pytest.fixture(scope="module")
def own_run(tmp_path_factory) -> Path:
    """A finished run with every part of one's own."""
    out = tmp_path_factory.mktemp("runs") / "own"
    run(CONFIG, out=out, parts=Parts(**OWN), show_progress=False)
    return out


def test_the_run_folder_names_its_parts_and_its_settings_rerun_it(own_run, tmp_path):
    names = json.loads((own_run / "parts.json").read_text())
    assert names == names_of(Parts(**OWN))
    again = from_yaml(own_run / "config.yaml")
    run(again, out=tmp_path / "again", parts=Parts(**OWN), show_progress=False)


@pytest.mark.parametrize("name", ["make_env", "teacher", "strategy", "make_model"])
def test_a_run_is_not_gone_on_with_without_a_part_that_it_was_made_with(name, own_run):
    rest = {other: part for other, part in OWN.items() if other != name}
    said = rf"^the run in .* was made with {name} .*, which was not given; go on .*Parts\(.*{name}="
    with pytest.raises(ConfigError, match=said):
        resume(own_run, parts=Parts(**rest), show_progress=False)


def test_all_parts_that_are_missing_are_named_at_once(own_run):
    needed = r"make_env=..., teacher=..., strategy=..., make_model=..."
    with pytest.raises(ConfigError, match=rf"make_env .* and teacher .* were not .*\({needed}\)"):
        resume(own_run, parts=Parts(strategy=OWN["strategy"], make_model=OWN["make_model"]))


def test_callbacks_may_stay_away_which_is_said_and_come_which_is_not(own_run, tmp_path):
    rest = {other: part for other, part in OWN.items() if other != "callbacks"}
    with pytest.warns(UserWarning, match=r"was made with callbacks .*:Quiet; it goes on without"):
        resume(own_run, parts=Parts(**rest), show_progress=False)
    plain = tmp_path / "plain"
    shutil.copytree(own_run, plain)
    names = names_of(Parts(**rest))
    (plain / "parts.json").write_text(json.dumps(names))
    resume(plain, parts=Parts(**OWN), show_progress=False)


@pytest.mark.parametrize("name", ["make_env", "teacher", "strategy", "make_model"])
def test_a_part_that_a_run_was_made_without_is_refused(name, own_run, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(own_run, plain)
    names = names_of(Parts(**{other: part for other, part in OWN.items() if other != name}))
    (plain / "parts.json").write_text(json.dumps(names))
    with pytest.raises(ConfigError, match=f"^{name} .* was given, but the run in .* made without"):
        resume(plain, parts=Parts(**OWN), show_progress=False)


def test_a_kill_before_the_parts_are_named_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    def killed(folder: Path, names: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("prefrl.runs.start.record_parts", killed)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, out=out, parts=Parts(**OWN), show_progress=False)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="holds no run"):
        resume(out, show_progress=False)
    run(CONFIG, out=out, parts=Parts(**OWN), show_progress=False)


def test_a_run_of_before_parts_were_named_takes_any(own_run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(own_run, old)
    (old / "parts.json").unlink()
    checkpoints = Checkpoints(old / "final", settings_of(old).fingerprint())
    found = checkpoints.latest()
    assert found is not None
    step, state = found
    state["log_position"] = state.pop("log")["position"]
    checkpoints.save(step, state)
    resume(old, parts=Parts(**OWN), show_progress=False)


@pytest.mark.parametrize("text", ["", "[1]", '{"teacher": 3}', '{"god": "a:b"}', "[" * 10_000])
def test_names_that_are_none_are_damage(text, own_run, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(own_run, damaged)
    (damaged / "parts.json").write_text(text)
    with pytest.raises(StorageError, match=r"parts\.json is damaged"):
        resume(damaged, parts=Parts(**OWN), show_progress=False)


def test_a_policy_is_played_in_the_environment_that_it_was_trained_in(tmp_path):
    out = tmp_path / "run"
    config = replace(CONFIG, agent="ppo")
    run(config, out=out, parts=Parts(make_env=make_env), show_progress=False)
    clip = partial(film_run, out, tmp_path / "clip.mp4", seed=0, max_seconds=1.0)
    said = r"was made with make_env .*:make_env; play it in Python: .*evaluate_run\('.*make_env="
    for call in (partial(evaluate_run, out, num_episodes=1, seed=0), clip):
        with pytest.raises(ConfigError, match=said):
            call()
    assert evaluate_run(out, num_episodes=1, seed=0, make_env=make_env).num_episodes == 1
    with pytest.raises(ConfigError, match="renders no images"):
        clip(make_env=make_env)
    (out / "parts.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"make_env was given, but the run in .* made without"):
        evaluate_run(out, num_episodes=1, seed=0, make_env=make_env)
