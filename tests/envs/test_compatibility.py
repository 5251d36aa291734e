import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from prefrl import EnhancedRewardModel, RewardVecEnv, RewardWrapper
from prefrl.config import EnvironmentRecord, RewardModelConfig
from prefrl.envs import make_env
from prefrl.envs.description import describe
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.registry import prepared
from prefrl.errors import SpaceError
from tests.envs.stacks import FAULTY, HARMLESS, IS_NEW, WRAPPERS, Kept, Logged, stacked, walk
from tests.envs.tasks import Counting, Pieces, looking_ahead

some_names = st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3)


def model_for(env: gym.Env[Any, Any], env_id: str | None = None) -> EnhancedRewardModel:
    """A reward model with random weights, trained in this very stack, and read back from JSON."""
    record = describe(env).record
    known = EnvironmentRecord(**json.loads(json.dumps(asdict(record))))
    assert known == record
    return EnhancedRewardModel(
        record.observation_dim + record.action_dim,
        hidden_dim=8,
        bank_size=0,
        observation_dim=record.observation_dim,
        environment=known,
        env_id=env_id,
        generator=torch.Generator().manual_seed(3),
    )


def rescaled(env: gym.Env[Any, Any], until: float) -> gym.Env[Any, Any]:
    """Actions from -1 to `until`; of Gymnasium's, NumPy's numbers say their precision."""
    return gym.wrappers.RescaleAction(env, np.float32(-1.0), np.float32(until))


def stack_or_none(names: Sequence[str], env: Any = None) -> Any:
    """The stack, where Gymnasium can make and walk it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = stacked(names)
            if gym.spaces.utils.flatdim(made.observation_space) > 1_000:
                return None
            walk(made)
            return stacked(names, env)
    except (AssertionError, TypeError, ValueError, AttributeError, RuntimeError, IndexError):
        return None


@settings(deadline=None)
@given(inside=some_names, outside=some_names)
def test_a_reward_is_that_of_raw_rows_or_the_wrapper_that_changes_them_is_named(inside, outside):
    inner = stack_or_none(inside)
    assume(inner is not None and stack_or_none(inside + outside) is not None)
    model = model_for(Logged())
    guilty = [name for name in inside if name not in HARMLESS]
    if guilty:
        with pytest.raises(SpaceError, match="|".join(guilty)):
            RewardWrapper(inner, model)
        return
    env = Kept(RewardWrapper(inner, model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        walk(stacked(outside, env))
    raw: Any = inner.unwrapped
    assert all(reward == true_reward == 0.0 for reward, true_reward in env.of_resets)
    assert len(raw.log) == len(env.rewards) > 0
    reward_function = model.reward_function()
    for (obs, action, true_reward), (reward, said_true) in zip(raw.log, env.rewards, strict=True):
        done = np.array([False])
        assert reward == pytest.approx(
            float(reward_function(obs[None], action[None], obs[None], done)[0]), abs=1e-5
        )
        assert said_true == true_reward


@pytest.mark.parametrize("name", sorted(WRAPPERS))
def test_each_wrapper_inside_is_refused_or_passes_as_its_kind_does(name):
    inner = stacked([name])
    model = model_for(Logged())
    if name in HARMLESS:
        RewardWrapper(inner, model)
        return
    with pytest.raises(SpaceError, match=rf"{name}.* inside RewardWrapper.*put it outside"):
        RewardWrapper(inner, model)


@settings(deadline=None)
@given(trained=some_names, used=some_names)
def test_a_model_fits_the_stack_that_it_was_trained_in_and_no_other(trained, used):
    assume(FAULTY.isdisjoint(trained + used))
    env, other = stack_or_none(trained), stack_or_none(used)
    assume(env is not None and other is not None)
    model = model_for(env)
    RewardWrapper(env, model)
    transforming = [[name for name in names if name not in HARMLESS] for names in (trained, used)]
    if transforming[0] == transforming[1]:
        RewardWrapper(other, model)
        return
    with pytest.raises(SpaceError) as error:
        RewardWrapper(other, model)
    assert any(name in str(error.value) for name in transforming[0] + transforming[1])


@pytest.mark.parametrize("name", ["NormalizeObservation", "NormalizeReward"])
@pytest.mark.parametrize("reward", ["a model of before", "a function", "a model trained in it"])
def test_running_statistics_inside_are_refused_for_any_reward(name, reward):
    env = stacked([name])
    rewards: dict[str, Any] = {
        "a model of before": EnhancedRewardModel(5, hidden_dim=8, observation_dim=3),
        "a function": looking_ahead,
        "a model trained in it": model_for(env),
    }
    with pytest.raises(SpaceError, match=f"{name} inside RewardWrapper would .*check=False"):
        RewardWrapper(env, rewards[reward])
    RewardWrapper(env, rewards[reward], check=False)


def test_another_argument_of_the_same_wrapper_is_named_with_both_values():
    model = model_for(rescaled(Logged(), 1.0))
    with pytest.raises(SpaceError) as error:
        RewardWrapper(rescaled(Logged(), 0.5), model)
    assert str(error.value) == (
        "this environment: max_action of RescaleAction is 0.5; the reward model was trained on an "
        "environment with 1.0; use that, or pass check=False if its rows mean the same"
    )


def test_functions_of_wrappers_are_told_apart_by_what_they_do():
    def shifted(by: float) -> Any:
        space = Logged().observation_space
        return gym.wrappers.TransformObservation(
            Logged(), lambda obs: obs + by, *([space] if IS_NEW else [])
        )

    model = model_for(shifted(1.0))
    RewardWrapper(shifted(1.0), model)
    with pytest.raises(SpaceError, match=r"of TransformObservation is .*lambda"):
        RewardWrapper(shifted(2.0), model)


class Louder(gym.ObservationWrapper[Any, Any, Any]):
    """A user's own, that Gymnasium writes no arguments down of."""

    def __init__(self, env: gym.Env[Any, Any], factor: float) -> None:
        super().__init__(env)
        self._factor = factor

    def observation(self, observation: Any) -> Any:
        return observation * self._factor


def test_arguments_of_a_users_own_wrapper_are_compared_as_well():
    model = model_for(Louder(Logged(), 3.0))
    RewardWrapper(Louder(Logged(), 3.0), model)
    with pytest.raises(SpaceError, match=r"factor of Louder is 2\.0; .* with 3\.0"):
        RewardWrapper(Louder(Logged(), 2.0), model)
    with pytest.raises(SpaceError, match=r"under Louder\(factor=3\.0\), which .* is not wra"):
        RewardWrapper(Logged(), model)


def test_wrappers_in_another_order_are_refused():
    model = model_for(stacked(["RescaleAction", "TransformReward"]))
    with pytest.raises(SpaceError, match=r"in RescaleAction, TransformReward; .*Reward, Resc"):
        RewardWrapper(stacked(["TransformReward", "RescaleAction"]), model)


@settings(deadline=None)
@given(
    which=st.sampled_from(["observation_space", "action_space"]),
    dim=st.integers(0, 1),
    factor=st.floats(1.01, 1e6) | st.just(np.inf),
)
def test_other_bounds_are_named_with_both_values(which, dim, factor):
    env = Logged()
    model = model_for(env)
    space: Any = getattr(env, which)
    high = space.high.copy()
    high[dim] *= factor
    setattr(env, which, spaces.Box(space.low, high, dtype=np.float32))
    with pytest.raises(SpaceError) as error:
        RewardWrapper(env, model)
    what = which.removesuffix("_space")
    before, now = f"{space.high[dim]:g}", f"{high[dim]:g}"
    text = str(error.value)
    assert text.startswith(f"{what} {dim} of this environment is from {space.low[dim]:g} to {now};")
    assert f"to {before}; use the same units" in text
    RewardWrapper(env, model, check=False)


def test_discrete_actions_are_no_box_of_as_many_dims():
    model = model_for(Pieces())
    env = Pieces()
    env.action_space = spaces.Box(0, 1, (5,), np.float32)
    with pytest.raises(SpaceError, match=r"has continuous .*trained with discrete actions \(5\)"):
        RewardWrapper(env, model)


@pytest.mark.parametrize("make", [Pieces, Counting, partial(gym.make, "CartPole-v1")])
def test_the_stack_of_a_run_and_a_bare_environment_are_one_and_the_same(make):
    ready = CutEpisodes(prepared(make(), env_id="Lab-v0", max_episode_steps=9), 5)
    assert describe(ready).record == describe(make()).record
    RewardWrapper(make(), model_for(ready))
    RewardWrapper(ready, model_for(make()))


def test_sizes_are_checked_even_where_nothing_else_is():
    model = model_for(Counting())
    with pytest.raises(SpaceError, match="has 17 observation and 6 action dims"):
        RewardWrapper(make_env("HalfCheetah-v4"), model, check=False)


def test_check_false_takes_any_name_bounds_and_wrappers():
    model = model_for(make_env("HalfCheetah-v4"), env_id="HalfCheetah-v4")
    RewardWrapper(rescaled(gym.make("Walker2d-v4"), 3.0), model, check=False)


def test_a_model_of_before_is_refused_around_wrappers_that_it_does_not_know():
    model = EnhancedRewardModel(4, hidden_dim=8, observation_dim=3, env_id="Pendulum-v1")
    RewardWrapper(gym.make("Pendulum-v1"), model)
    env = rescaled(gym.make("Pendulum-v1"), 1.0)
    with pytest.raises(SpaceError, match=r"RescaleAction\(.* does not say that it was trained"):
        RewardWrapper(env, model)
    RewardWrapper(env, model, check=False)


# Vector environments


class Doubling(VecEnvWrapper):
    """A user's own, that shows every observation twice."""

    def __init__(self, venv: Any) -> None:
        low, high = (
            np.tile(end, 2) for end in (venv.observation_space.low, venv.observation_space.high)
        )
        super().__init__(venv, observation_space=spaces.Box(low, high, dtype=np.float32))

    def reset(self) -> Any:
        shown: Any = self.venv.reset()
        return np.tile(shown, 2)

    def step_wait(self) -> Any:
        outcome: Any = self.venv.step_wait()
        return (np.tile(outcome[0], 2), *outcome[1:])


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (VecNormalize, "VecNormalize"),
        (partial(VecNormalize, norm_obs=False), "VecNormalize"),
        (partial(VecFrameStack, n_stack=2), "VecFrameStack"),
        (Doubling, "Doubling"),
        (lambda venv: VecMonitor(VecFrameStack(venv, 2)), "VecFrameStack"),
    ],
)
def test_what_transforms_all_environments_at_once_is_refused_by_name(wrap, name):
    with pytest.raises(SpaceError, match=rf"{name}.* inside RewardVecEnv"):
        RewardVecEnv(wrap(DummyVecEnv([Logged] * 2)), model_for(Logged()))


@pytest.mark.parametrize(
    "wrap", [VecMonitor, partial(VecNormalize, norm_obs=False, norm_reward=False)]
)
def test_what_only_looks_on_passes(wrap):
    RewardVecEnv(wrap(DummyVecEnv([Logged] * 2)), model_for(Logged()))


@pytest.mark.parametrize(
    ("processes", "name"),
    [
        (DummyVecEnv, "RescaleAction"),
        (DummyVecEnv, "NormalizeObservation"),
        # Its spec holds a function, which does not travel between processes.
        (partial(SubprocVecEnv, start_method="fork"), "TransformObservation"),
    ],
)
def test_what_transforms_each_environment_is_refused_by_name_wherever_it_lives(processes, name):
    venv = processes([partial(stacked, [name])] * 2)
    try:
        with pytest.raises(SpaceError, match=rf"{name}.* inside RewardVecEnv.*leave it out of the"):
            RewardVecEnv(venv, model_for(Logged()))
        model = model_for(stacked([name]))
        RewardVecEnv(venv, model, check=name != "NormalizeObservation")
    finally:
        venv.close()


def test_environments_of_several_kinds_side_by_side_are_refused():
    mixed = DummyVecEnv([Logged, partial(stacked, ["ClipAction"])])
    with pytest.raises(SpaceError, match=r"number 1 .* it is wrapped in ClipAction, not in no"):
        RewardVecEnv(mixed, looking_ahead)
    RewardVecEnv(mixed, looking_ahead, check=False)


def test_a_reward_inside_a_reward_is_refused():
    inner = RewardWrapper(Logged(), looking_ahead)
    with pytest.raises(SpaceError, match="RewardWrapper inside RewardWrapper would pass its own"):
        RewardWrapper(inner, looking_ahead)
    with pytest.raises(SpaceError, match="RewardWrapper inside RewardVecEnv would pass its own"):
        RewardVecEnv(DummyVecEnv([lambda: inner]), None)


def test_a_config_written_as_json_is_the_same_again():
    record = describe(stacked(["RescaleAction", "TransformReward"])).record
    config = RewardModelConfig(5, observation_dim=3, environment=record)
    assert RewardModelConfig(**json.loads(json.dumps(asdict(config)))) == config
