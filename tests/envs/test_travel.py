"""Reward wrappers travel: to files, other processes and JSON, wherever what is in them does."""

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from prefrl import EnhancedRewardModel, RewardVecEnv, RewardWrapper
from prefrl.envs import make_env
from prefrl.errors import ArgumentError, PrefrlError
from tests.envs.stacks import HARMLESS, WRAPPERS, Logged, stacked, walk
from tests.envs.tasks import looking_ahead, pickled

some_names = st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3)
harmless_names = st.lists(st.sampled_from(sorted(HARMLESS & WRAPPERS.keys())), max_size=3)


@pytest.fixture
def pendulum_model(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "reward_model"
    EnhancedRewardModel(4, hidden_dim=8, bank_size=4, observation_dim=3, env_id="Pendulum-v1").save(
        folder
    )
    return folder


def rewarded(reward: Any) -> gym.Env[Any, Any]:
    return RewardWrapper(gym.make("Pendulum-v1"), reward)


def same(ours: Any, theirs: Any) -> None:
    """Compares what two walks said."""
    np.testing.assert_equal(ours, theirs)


@settings(deadline=None)
@given(inside=harmless_names, outside=some_names)
def test_what_can_be_pickled_without_a_reward_wrapper_can_be_with_one(inside, outside):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            bare = stacked(inside + outside)
            walk(bare)
            pickled(bare)
        except Exception:  # noqa: BLE001 - of what Gymnasium itself cannot stack or pickle
            assume(False)
        env = stacked(outside, RewardWrapper(stacked(inside), looking_ahead))
        walk(env, 3)
        again = pickled(env)
        same(walk(env), walk(again))


@pytest.mark.parametrize("kind", ["function", "model", "frozen model", "path"])
@pytest.mark.parametrize(
    "make", [partial(gym.make, "Pendulum-v1"), partial(make_env, "CartPole-v1")]
)
def test_a_spec_with_a_reward_makes_the_same_stack_again(make, kind, tmp_path):
    env = make()
    sizes = [gym.spaces.utils.flatdim(s) for s in (env.observation_space, env.action_space)]
    model = EnhancedRewardModel(sum(sizes), hidden_dim=8, observation_dim=sizes[0])
    model.save(tmp_path)
    rewards = {
        "function": looking_ahead,
        "model": model,
        "frozen model": model.reward_function(),
        "path": tmp_path,
    }
    env = gym.wrappers.RecordEpisodeStatistics(RewardWrapper(env, rewards[kind]))
    assert env.spec is not None
    again = [gym.make(env.spec), gym.make(pickled(env.spec))]
    if kind == "path":
        again.append(gym.make(EnvSpec.from_json(env.spec.to_json())))
    said = walk(env)
    for other in again:
        same(walk(other), said)


def test_a_spec_keeps_a_path_as_it_was_given(pendulum_model, monkeypatch):
    monkeypatch.chdir(pendulum_model.parent.parent)
    env = RewardWrapper(gym.make("Pendulum-v1"), Path("run"), objective_weights=(1.0,))
    assert env.spec is not None
    (wrapper,) = json.loads(env.spec.to_json())["additional_wrappers"]
    assert wrapper["kwargs"] == {
        "reward": "run",
        "check": True,
        "check_env_id": True,
        "objective_weights": [1.0],
    }


def test_the_folder_of_a_run_stands_for_its_reward_model(pendulum_model):
    same(walk(rewarded(str(pendulum_model))), walk(rewarded(pendulum_model.parent)))
    venv = RewardVecEnv(DummyVecEnv([partial(gym.make, "Pendulum-v1")]), pendulum_model.parent)
    venv.set_reward(str(pendulum_model))


@pytest.mark.parametrize(
    ("reward", "what"),
    [
        (looking_ahead, "the reward function looking_ahead, which is no JSON"),
        (EnhancedRewardModel(4, hidden_dim=8), "a reward model, which is no JSON"),
    ],
)
def test_a_spec_says_what_in_it_is_no_json(reward, what):
    env = gym.wrappers.ClipAction(rewarded(reward))
    assert env.spec is not None
    with pytest.raises(ArgumentError) as error:
        env.spec.to_json()
    assert str(error.value) == (
        f"the spec of Pendulum-v1 holds {what}; save a reward model, and give RewardWrapper the "
        "path of its folder"
    )


@pytest.mark.parametrize("path", ["nowhere", "", "\0", "x" * 5_000, "/dev/null"])
@pytest.mark.parametrize("of", [str, Path])
def test_a_path_that_holds_no_reward_model_is_named(path, of):
    said = r"holds no reward model|may hold a NUL|File name too long|reward is empty"
    with pytest.raises(PrefrlError, match=said) as error:
        rewarded(of(path))
    assert "\n" not in str(error.value)


def test_environments_in_processes_of_their_own_are_rewarded_as_in_this_one(pendulum_model):
    # Started from nothing: all that is known there was pickled.
    maker = partial(rewarded, EnhancedRewardModel.load(pendulum_model))
    there, here = SubprocVecEnv([maker], start_method="spawn"), DummyVecEnv([maker])
    try:
        for venv in (there, here):
            venv.seed(0)
        same(there.reset(), here.reset())
        actions = np.full((1, 1), 0.5, np.float32)
        same(there.step(actions)[:3], here.step(actions)[:3])
    finally:
        there.close()


def test_gymnasiums_own_processes_take_wrapped_environments(pendulum_model):
    makers = [partial(rewarded, pendulum_model)]
    there = gym.vector.AsyncVectorEnv(makers, context="spawn")
    here = gym.vector.SyncVectorEnv(makers)
    try:
        same(there.reset(seed=0)[0], here.reset(seed=0)[0])
        actions = np.full((1, 1), 0.5, np.float32)
        same(there.step(actions)[:4], here.step(actions)[:4])
    finally:
        there.close()


def test_what_keeps_a_log_is_pickled_with_its_log():
    env = RewardWrapper(Logged(), looking_ahead)
    walk(env)
    assert len(pickled(env).unwrapped.log) == 8
