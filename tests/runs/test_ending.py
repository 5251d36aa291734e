"""The end of a run: nothing learned is lost, however few environments there are, or they fail."""

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO

from prefrl import EnhancedRewardModel, Parts, PrefrlError, QueryConfig, resume, run
from prefrl.errors import ConfigError, EnvironmentFault
from prefrl.records.metrics import read_metrics
from prefrl.runs.playback import evaluate_run, film_run
from tests import tiny_runs
from tests.own_envs import PointMass


@dataclass
class Shop:
    """Hands out environments, of which there are only so many, and which break when told to.

    Args:
        most_alive: how many may be open at once.
        most_made: how many may ever be made.
        fault: what goes wrong: a reset, a step or a close.
        after: so many of these calls go well before.
    """

    most_alive: int = 99
    most_made: int = 999
    fault: str = ""
    after: int = 0
    alive: int = 0
    made: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        if self.alive == self.most_alive:
            raise RuntimeError("the port\nis in use")
        if self.made == self.most_made:
            raise RuntimeError("the licence has run out")
        self.alive += 1
        self.made += 1
        return Scarce(self, render_mode)

    def repair(self) -> None:
        self.fault, self.most_made = "", 999

    def calling(self, what: str) -> None:
        count = self.calls[what] = self.calls.get(what, 0) + 1
        if what == self.fault and count > self.after:
            raise RuntimeError(f"the {what}\nfailed")


class Scarce(PointMass):
    """A `PointMass` of a shop; episodes are 20 steps long."""

    def __init__(self, shop: Shop, render_mode: str | None = None) -> None:
        super().__init__()
        self.shop, self.render_mode, self.is_open, self.length = shop, render_mode, True, 0

    def reset(self, **kwargs: Any) -> Any:
        assert self.is_open
        self.shop.calling("reset")
        self.length = 0
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        assert self.is_open
        self.shop.calling("step")
        self.length += 1
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, terminated, self.length == 20, info

    def render(self) -> Any:
        return np.zeros((20, 40, 3), np.uint8) if self.render_mode else None

    def close(self) -> None:
        assert self.is_open, "closed once"
        self.is_open = False
        self.shop.alive -= 1
        self.shop.calling("close")


CONFIG = tiny_runs.ppo(
    env="MyRobot",
    steps=160,
    budget=4,
    num_envs=1,
    segment_length=5,
    max_episode_steps=20,
    explore_steps=40,
    checkpoint_every=60,
    agent_settings={**tiny_runs.PPO_SETTINGS, "n_steps": 20, "batch_size": 20},
    queries=QueryConfig(num_sessions=2, min_candidates=10),
)


def attempt(call: Any) -> Any:
    """Returns the result, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return call()
        except PrefrlError as error:
            return error


@settings(max_examples=8)
@given(
    most_alive=st.integers(1, 3),
    most_made=st.sampled_from([1, 2, 3, 999, 999]),
    fault=st.sampled_from(["", "reset", "step", "close"]),
    after=st.integers(0, 210),
    num_envs=st.integers(1, 2),
    eval_every=st.sampled_from([None, 50]),
    eval_in=st.sampled_from(["auto", "own", "training"]),
    eval_episodes=st.integers(1, 3),
)
def test_what_was_learned_is_never_lost_and_what_is_left_is_done_once_the_fault_has_gone(
    tmp_path_factory, most_alive, most_made, fault, after, num_envs, **changes
):
    folder = tmp_path_factory.mktemp("runs") / "deep" / "run"
    after = after if fault == "step" else after // 15
    shop = Shop(most_alive, most_made, fault, after)
    parts = Parts(make_env=shop.make)
    config = replace(CONFIG, num_envs=num_envs, **changes)
    result = attempt(lambda: run(config, out=folder, parts=parts, show_progress=False))
    assert shop.alive == 0, "all are closed"
    if isinstance(result, PrefrlError):
        assert "\n" not in str(result)
        shop.repair()
        if not folder.exists():
            assert not folder.parent.exists()
            assert shop.calls.get("step", 0) <= num_envs or fault == "step"
            return
        assert f"prefrl.resume({str(folder)!r})" in str(result)
        if list((folder / "checkpoints").glob("step_000000160.npz")):
            assert PPO.load(folder / "policy.zip").num_timesteps == 160
            EnhancedRewardModel.load(folder / "reward_model")
        result = attempt(lambda: resume(folder, parts=parts, show_progress=False))
        assert not isinstance(result, PrefrlError), result
    assert result.summary["eval_episodes"] == config.eval_episodes
    assert shop.alive == 0
    shop.repair()
    made = shop.made
    played = attempt(lambda: evaluate_run(folder, num_episodes=3, seed=0, make_env=shop.make))
    assert played.num_episodes == 3
    assert shop.made - made <= num_envs
    assert shop.alive == 0


def test_an_environment_that_can_be_made_once_in_its_life_is_enough_for_a_whole_run(tmp_path):
    shop = Shop(most_alive=1, most_made=1)
    result = run(CONFIG, out=tmp_path, parts=Parts(make_env=shop.make), show_progress=False)
    assert result.summary["eval_episodes"] == 2
    assert (shop.made, shop.alive) == (1, 0)


def test_more_environments_than_there_can_be_are_refused_before_the_first_step(tmp_path):
    shop = Shop(most_alive=2)
    config = replace(CONFIG, steps=159, num_envs=3)
    said = (
        r"num_envs is 3, but of Scarce only 2 could be made \(RuntimeError: the port is in use\); "
        "use num_envs=2"
    )
    with pytest.raises(ConfigError, match=f"^{said}$"):
        run(config, out=tmp_path / "new" / "run", parts=Parts(make_env=shop.make))
    assert not (tmp_path / "new").exists()
    assert shop.alive == 0


def test_a_failed_evaluation_leaves_everything_learned_and_is_made_up_for(tmp_path):
    shop = Shop(fault="step", after=160)
    said = (
        "^what was learned is saved, but could not be evaluated: Scarce failed in a step: "
        r"RuntimeError: the step failed; go on from the last checkpoint with prefrl\.resume"
    )
    parts = Parts(make_env=shop.make)
    with pytest.raises(EnvironmentFault, match=said):
        run(CONFIG, out=tmp_path, parts=parts, show_progress=False)
    assert PPO.load(tmp_path / "policy.zip").num_timesteps == 160
    EnhancedRewardModel.load(tmp_path / "reward_model")
    assert not (tmp_path / "summary.json").exists()
    shop.repair()
    steps = shop.calls["step"]
    summary = resume(tmp_path, parts=parts, show_progress=False).summary
    assert summary["eval_episodes"] == 2
    assert shop.calls["step"] - steps == 2 * 20, "nothing is trained again"


def test_an_evaluation_that_fails_at_the_end_of_a_phase_loses_nothing_of_the_phase(tmp_path):
    config = replace(CONFIG, eval_every=50, eval_in="training", eval_episodes=1)
    calm, shop = Shop(), Shop(fault="step", after=160 + 2 * 20 + 5)
    parts = [Parts(make_env=each.make) for each in (calm, shop)]
    whole = run(config, out=tmp_path / "whole", parts=parts[0], show_progress=False)
    with pytest.raises(EnvironmentFault, match="the step failed"):
        run(config, out=tmp_path / "cut", parts=parts[1], show_progress=False)
    shop.repair()
    resumed = resume(tmp_path / "cut", parts=parts[1], show_progress=False)
    rows = [
        [row | {"wall_s": 0, "cpu_s": 0} for row in read_metrics(folder / "metrics.jsonl")]
        for folder in (whole.folder, resumed.folder)
    ]
    assert str(rows[0]) == str(rows[1])
    for name in ("final_true_return_mean", "best_policy_step", "best_policy_score"):
        assert whole.summary[name] == resumed.summary[name]


def test_a_close_that_raises_is_said_and_loses_nothing(tmp_path):
    shop = Shop(fault="close")
    with pytest.warns(UserWarning, match="^Scarce failed to close: RuntimeError: the close failed"):
        result = run(CONFIG, out=tmp_path, parts=Parts(make_env=shop.make), show_progress=False)
    assert result.summary["eval_episodes"] == 2
    assert (tmp_path / "final").is_dir()


def test_a_curve_that_cannot_be_drawn_is_said_and_drawn_later(tmp_path, monkeypatch):
    def fail(*args: Any, **settings: Any) -> None:
        raise RuntimeError("no\nfonts")

    parts = Parts(make_env=Shop().make)
    with monkeypatch.context() as broken:
        broken.setattr("prefrl.runs.ending.plot_learning_curve", fail)
        with pytest.warns(UserWarning, match="its learning curve could not be drawn: no fonts; "):
            run(CONFIG, out=tmp_path, parts=parts, show_progress=False)
    assert (tmp_path / "summary.json").exists()
    assert not (tmp_path / "learning_curve.png").exists()
    resume(tmp_path, parts=parts, show_progress=False)
    assert (tmp_path / "learning_curve.png").exists()


def test_a_run_need_not_evaluate_at_all(tmp_path):
    config = replace(CONFIG, eval_episodes=0)
    shop = Shop()
    summary = run(
        config, out=tmp_path, parts=Parts(make_env=shop.make), show_progress=False
    ).summary
    assert summary["eval_episodes"] == 0
    assert summary["final_true_return_mean"] is None
    assert summary["reward_true_correlation"] is None
    assert shop.calls["step"] == 160
    with pytest.raises(ConfigError, match="eval_every is 50, but eval_episodes is 0"):
        run(replace(config, eval_every=50), out=tmp_path / "no", parts=Parts(make_env=shop.make))


def test_one_environment_at_a_time_is_enough_to_film(tmp_path):
    shop = Shop(most_alive=1)
    run(CONFIG, out=tmp_path, parts=Parts(make_env=shop.make), show_progress=False)
    num_frames = film_run(
        tmp_path,
        tmp_path / "clip.mp4",
        seed=0,
        max_seconds=0.2,
        make_env=lambda: shop.make("rgb_array"),
    )
    assert num_frames == 6
    assert shop.alive == 0
