"""Compares what a wrapper's source says of its `step` with what it does."""

import functools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

from prefrl import RewardVecEnv, RewardWrapper
from prefrl.envs import make_vec_env
from prefrl.envs.wrapper_source import changes_in_step
from prefrl.errors import SpaceError
from prefrl.segments import EpisodeStore
from tests.envs.stacks import Logged, walk
from tests.envs.test_compatibility import model_for

Any4 = gym.Wrapper[Any, Any, Any, Any]


class Logs(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        info["speed"] = float(obs[0])
        self.last = (action, obs)
        return obs, reward, terminated, truncated, info


class HandsOn(Any4):
    num_steps = 0

    def step(self, action: Any):
        self.num_steps += 1
        return super().step(action)


class EndsEarly(Any4):
    def step(self, act: Any):
        shown, pay, terminated, truncated, info = super().step(act)
        terminated = terminated or bool(abs(shown[0]) > 100)
        if terminated:
            return shown, pay, True, truncated, info
        return shown, pay, terminated, truncated, info


class KeepsWhole(Any4):
    def step(self, action: Any):
        outcome = self.env.step(action)
        self.outcome = outcome
        return outcome


class AddsNoise(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        obs = obs + 0.1
        return obs, reward, terminated, truncated, info


class ScalesOnReturn(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs * 2, reward, terminated, truncated, info


class WritesInto(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        obs[0] = 0.0
        return obs, reward, terminated, truncated, info


class ScalesActions(Any4):
    def step(self, action: Any):
        return self.env.step(action * 0.5)


class ClipsActions(Any4):
    def step(self, action: Any):
        action = np.clip(action, -0.1, 0.1)
        return self.env.step(action)


class Repeats(Any4):
    def step(self, action: Any):
        for _ in range(3):
            outcome = self.env.step(action)
        return outcome


class Pays(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward) + 1.0
        return obs, reward, terminated, truncated, info


class EndsAWhole(Any4):
    def step(self, action: Any):
        whole = list(self.env.step(action))
        whole[4]["seen"] = True
        whole[3] = whole[3] or whole[0][0] > 100
        return tuple(whole)


class AddsToTheInfo(Any4):
    def step(self, action: Any):
        whole = self.env.step(action)
        return (*whole[:4], {**whole[4], "seen": True})


class JoinsTheInfo(Any4):
    def step(self, action: Any):
        env = self.env
        whole = env.step(action)
        return whole[:4] + ({"seen": True},)  # noqa: RUF005


class NamesTheResult(Any4):
    def step(self, action: Any):
        obs, reward, *rest = self.env.step(action)
        result = (obs, reward, *rest)
        return result  # noqa: RET504


class ScalesTheWhole(Any4):
    def step(self, action: Any):
        whole = list(self.env.step(action))
        whole[0] = whole[0] * 2
        return tuple(whole)


class ScalesThePart(Any4):
    def step(self, action: Any):
        whole = self.env.step(action)
        return (whole[0] * 2,) + whole[1:]  # noqa: RUF005


class ScalesTheStarred(Any4):
    def step(self, action: Any):
        obs, *rest = self.env.step(action)
        return (obs * 2, *rest)


class ScalesInAnother(Any4):
    def step(self, action: Any):
        return self._scaled(*self.env.step(action))

    def _scaled(self, obs: Any, *rest: Any) -> Any:
        return (obs * 2, *rest)


class ScalesTheResult(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        result = (obs * 2, reward, terminated, truncated, info)
        return result  # noqa: RET504


class ClipsInPlace(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        np.clip(obs, -0.1, 0.1, out=obs)
        return obs, reward, terminated, truncated, info


class ClipsActionsInPlace(Any4):
    def step(self, action: Any):
        np.clip(action, -0.1, 0.1, out=action)
        return self.env.step(action)


class UnpacksLater(Any4):
    def step(self, action: Any):
        whole = self.env.step(action)
        obs, reward, terminated, truncated, info = whole
        obs = obs + 1
        return obs, reward, terminated, truncated, info


class PaysItself(Any4):
    def step(self, action: Any):
        obs, self.paid, terminated, truncated, info = self.env.step(action)
        return obs, float(self.paid) + 1.0, terminated, truncated, info


class CallsByAnotherName(Any4):
    def step(self, action: Any):
        env = self.env
        return env.step(action * 0.5)


class PaysMore(ScalesActions):
    """Inherits its step."""


class DoneByAnother(Any4):
    def step(self, action: Any):
        return self._done(action)

    def _done(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        info["seen"] = True
        return obs, reward, terminated, truncated, info


class KeepsItTwice(Any4):
    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.robot = env
        self.seen: list[Any] = []

    def step(self, action: Any):
        obs, reward, *rest = self.robot.step(action)
        self.seen.append(obs)
        self._note(obs, reward)
        return (obs, reward, *rest)

    def _note(self, shown: Any, paid: Any) -> None:
        self.last = float(shown[0]) + paid


class ScalesWhereItIsDone(DoneByAnother):
    def _done(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs * 2, reward, terminated, truncated, info


class ScalesTheKept(KeepsItTwice):
    def step(self, action: Any):
        obs, *rest = self.robot.step(action)
        return (obs * 2, *rest)


class WritesByAMethod(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._scale(obs)
        return obs, reward, terminated, truncated, info

    def _scale(self, shown: Any) -> None:
        shown *= 2


class CopiesInto(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        np.copyto(obs, obs * 2)
        return obs, reward, terminated, truncated, info


class FillsIt(Any4):
    def step(self, action: Any):
        obs, reward, terminated, truncated, info = self.env.step(action)
        obs.fill(0.0)
        return obs, reward, terminated, truncated, info


class SkipsWhatIsBetween(Any4):
    def step(self, action: Any):
        return self.unwrapped.step(action * 0.5)


class NamesTheClass(Any4):
    def step(self, action: Any):
        return gym.Wrapper.step(self, action * 0.5)


class KeepsTheStep(Any4):
    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._inner_step = env.step

    def step(self, action: Any):
        return self._inner_step(action * 0.5)


class StepsByItself(Any4):
    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.step = self._scaled  # type: ignore[method-assign]

    def _scaled(self, action: Any):
        return self.env.step(action * 0.5)


def halving(step: Any) -> Any:
    @functools.wraps(step)
    def half(self: Any, action: Any):
        return step(self, action * 0.5)

    return half


class Decorated(Any4):
    @halving
    def step(self, action: Any):
        return self.env.step(action)


class Short(Any4):
    step = lambda self, action: self.env.step(0.5 * action)  # type: ignore[attr-defined] # noqa: E731


def does_change(wrapper: type[Any4]) -> bool:
    """Tries what it does, whatever its source says."""
    inner = Logged()
    said = walk(wrapper(inner))
    same: list[Any] = walk(Logged())
    taken = [action for _, action, _ in inner.log]
    plain = Logged()
    walk(plain)
    as_given = [action for _, action, _ in plain.log]
    try:
        np.testing.assert_equal(said, same)
        np.testing.assert_equal(taken, as_given)
    except AssertionError:
        return True
    return False


LOOKS_ON = [
    Logs,
    HandsOn,
    EndsEarly,
    KeepsWhole,
    EndsAWhole,
    AddsToTheInfo,
    JoinsTheInfo,
    NamesTheResult,
    DoneByAnother,
    KeepsItTwice,
]
CHANGES = [
    ScalesWhereItIsDone,
    ScalesTheKept,
    WritesByAMethod,
    CopiesInto,
    FillsIt,
    SkipsWhatIsBetween,
    NamesTheClass,
    KeepsTheStep,
    StepsByItself,
    Decorated,
    Short,
    ScalesTheWhole,
    ScalesThePart,
    ScalesTheStarred,
    ScalesInAnother,
    ScalesTheResult,
    ClipsInPlace,
    ClipsActionsInPlace,
    UnpacksLater,
    PaysItself,
    CallsByAnotherName,
    AddsNoise,
    ScalesOnReturn,
    WritesInto,
    ScalesActions,
    ClipsActions,
    Repeats,
    Pays,
    PaysMore,
]


@pytest.mark.parametrize("wrapper", LOOKS_ON + CHANGES)
def test_a_source_says_what_its_wrapper_does(wrapper):
    assert changes_in_step(wrapper(Logged())) is does_change(wrapper)
    assert does_change(wrapper) is (wrapper in CHANGES)


@pytest.mark.parametrize("wrapper", CHANGES)
def test_a_users_own_that_changes_values_is_refused_and_accepted_where_it_was_trained(wrapper):
    with pytest.raises(SpaceError, match=rf"{wrapper.__name__} is inside RewardWrapper"):
        RewardWrapper(wrapper(Logged()), model_for(Logged()))
    RewardWrapper(wrapper(Logged()), model_for(wrapper(Logged())))


@pytest.mark.parametrize("wrapper", LOOKS_ON)
def test_a_users_own_that_only_looks_on_passes(wrapper):
    RewardWrapper(wrapper(Logged()), model_for(Logged()))


def test_what_has_no_source_may_do_anything():
    namespace: dict[str, Any] = {"gym": gym, "__name__": "shop"}
    exec("class Own(gym.Wrapper):\n  def step(self, a):\n    return self.env.step(a)", namespace)
    assert changes_in_step(namespace["Own"](Logged()))


class VecLogs(VecEnvWrapper):
    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        shown, paid, dones, infos = self.venv.step_wait()
        for info in infos:
            info["paid"] = paid.sum()
        return shown, paid, dones, infos


class VecScales(VecLogs):
    def step_wait(self) -> Any:
        shown, paid, dones, infos = super().step_wait()
        return shown / 255, paid, dones, infos


class VecScalesElsewhere(VecLogs):
    def step_wait(self) -> Any:
        return self._scaled()

    def _scaled(self) -> Any:
        outcome: Any = self.venv.step_wait()
        return (outcome[0] / 255, *outcome[1:])


class VecLimits(VecLogs):
    def step_async(self, actions: Any) -> None:
        self.venv.step_async(np.clip(actions, -0.1, 0.1))


def test_wrappers_of_vector_environments_are_read_as_well():
    venv, model = DummyVecEnv([Logged]), model_for(Logged())
    RewardVecEnv(VecLogs(venv), model)
    for wrapper in (VecScales, VecScalesElsewhere, VecLimits):
        with pytest.raises(SpaceError, match=rf"{wrapper.__name__} is inside RewardVecEnv"):
            RewardVecEnv(wrapper(venv), model)


def test_running_statistics_in_a_runs_environments_are_refused_with_what_to_do():
    with pytest.raises(SpaceError) as error:
        make_vec_env(lambda: gym.wrappers.NormalizeReward(Logged()), 1, EpisodeStore(10))
    assert str(error.value) == (
        "this environment: NormalizeReward inside a run would pass normalised rewards off as the "
        "true ones; leave it out of the environments; around the reward, PPO normalises by itself "
        "(agent_settings normalize_observations, normalize_reward)"
    )
