"""Environments that go wrong: one line that names them, and what came before is kept."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl import Parts, resume, run
from prefrl.errors import PrefrlError
from tests import tiny_runs
from tests.own_envs import PointMass


def _raise(outcome: Any) -> Any:
    raise RuntimeError("the motor\nis hot")


STEP_FAULTS: dict[str, Callable[[Any], Any]] = {
    "raises": _raise,
    "nothing": lambda outcome: None,
    "four": lambda outcome: (*outcome[:3], outcome[4]),
    "observation of another shape": lambda outcome: (outcome[0][:1], *outcome[1:]),
    "observation of words": lambda outcome: ("here", *outcome[1:]),
    "observation of complex numbers": lambda outcome: (outcome[0] * 1j, *outcome[1:]),
    "no observation": lambda outcome: (None, *outcome[1:]),
    "NaN": lambda outcome: (outcome[0] * np.nan, *outcome[1:]),
    "no reward": lambda outcome: (outcome[0], None, *outcome[2:]),
    "a word as reward": lambda outcome: (outcome[0], "1.0", *outcome[2:]),
    "two rewards": lambda outcome: (outcome[0], np.ones(2), *outcome[2:]),
    "a complex reward": lambda outcome: (outcome[0], 1j, *outcome[2:]),
    "an infinite reward": lambda outcome: (outcome[0], np.inf, *outcome[2:]),
    "two ends": lambda outcome: (*outcome[:2], np.zeros(2, bool), *outcome[3:]),
    "no end": lambda outcome: (*outcome[:2], None, *outcome[3:]),
    "no info": lambda outcome: (*outcome[:4], None),
    "a list as info": lambda outcome: (*outcome[:4], [1]),
}
RESET_FAULTS: dict[str, Callable[[Any], Any]] = {
    "raises": _raise,
    "nothing": lambda outcome: None,
    "no info": lambda outcome: outcome[0],
    "a list as info": lambda outcome: (outcome[0], [1]),
    "observation of another shape": lambda outcome: (np.zeros(3, "f"), outcome[1]),
    "NaN": lambda outcome: (outcome[0] * np.nan, outcome[1]),
}


class Misbehaving(PointMass):
    """A `PointMass` that goes wrong in one of its calls, all environments' counted together."""

    calls = 0
    fails_at: int | None = None
    faults: tuple[str, str] = ("step", "raises")

    def _spoilt(self, method: str, outcome: Any) -> Any:
        if self.faults[0] != method:
            return outcome
        Misbehaving.calls += 1
        if self.fails_at is None or Misbehaving.calls <= self.fails_at:
            return outcome
        faults = STEP_FAULTS if method == "step" else RESET_FAULTS
        return faults[self.faults[1]](outcome)

    def reset(self, **arguments: Any) -> Any:
        return self._spoilt("reset", super().reset(**arguments))

    def step(self, action: Any) -> Any:
        return self._spoilt("step", super().step(action))


pytestmark = pytest.mark.usefixtures("without_curves")
CONFIG: dict[str, Any] = {
    "env": "Misbehaving",
    "max_episode_steps": 20,
    "num_envs": 2,
    "steps": 120,
    "checkpoint_every": 40,
    "agent_settings": {**tiny_runs.PPO_SETTINGS, "n_epochs": 1},
}


@settings(max_examples=6)
@given(
    fault=st.sampled_from(
        [("step", name) for name in STEP_FAULTS] + [("reset", name) for name in RESET_FAULTS]
    ),
    fails_at=st.integers(0, 60),
)
def test_a_fault_at_any_call_is_one_line_and_the_run_can_be_gone_on_with(fault, fails_at):
    Misbehaving.calls, Misbehaving.fails_at, Misbehaving.faults = 0, fails_at, fault
    parts = Parts(make_env=Misbehaving)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        config = tiny_runs.tiniest(**CONFIG)
        if fault[0] == "reset":
            Misbehaving.fails_at = fails_at % 12
        try:
            result = run(config, out=out, parts=parts, show_progress=False)
        except PrefrlError as error:
            said = str(error)
            assert "Misbehaving" in said
            assert "\n" not in said
            Misbehaving.fails_at = None
            if not out.exists():  # nothing had happened
                return
            result = resume(out, parts=parts, show_progress=False)
        assert result.summary["steps"] == 120


def unusable(**attributes: Any) -> Callable[[], Any]:
    def make() -> Any:
        env = PointMass()
        vars(env).update(attributes)
        return env

    return make


def _box(low: float, high: float, shape: tuple[int, ...] = (2,)) -> Any:
    return spaces.Box(low, high, shape, np.float32)


class Bare(gym.Env[Any, Any]):
    """Forgot its spaces."""


def _breaks() -> Any:
    raise OSError("the port\nis gone")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_breaks, "Arm could not be made: OSError: the port is gone"),
        (Bare, "Arm has no observation_space"),
        (unusable(action_space=None), "action_space of Arm is .*None"),
        (unusable(observation_space=None), "observation_space of Arm is .*None"),
        (unusable(action_space=_box(-1, 1, (0,))), "Arm: actions have no dims"),
        (unusable(observation_space=_box(-1, 1, (0,))), "Arm: observations have no dims"),
        (unusable(action_space=_box(-np.inf, np.inf)), "Arm: actions are bounded by inf"),
        (unusable(action_space=_box(-1e38, 1e38)), r"Arm: actions are bounded by 1e\+38"),
        (lambda: gym.make_vec("Pendulum-v1", 2), "is a SyncVectorEnv; expected a gymnasium.Env"),
        (lambda: 17, "is a.* int.*; expected a gymnasium.Env"),
    ],
)
def test_what_cannot_be_used_is_refused_before_there_is_a_folder(make, said, tmp_path):
    config = tiny_runs.tiniest(env="Arm", max_episode_steps=50)
    with pytest.raises(PrefrlError, match=said) as error:
        run(config, out=tmp_path / "run", parts=Parts(make_env=make), show_progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_observations_outside_of_their_bounds_are_used_and_warned_of_once(tmp_path):
    class Wide(PointMass):
        def step(self, action: Any) -> Any:
            observation, *rest = super().step(action)
            return (observation + 9, *rest)

    config = tiny_runs.tiniest(**{**CONFIG, "env": "Wide"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = Parts(make_env=Wide)
        result = run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    said = [str(w.message) for w in caught if "bounds" in str(w.message)]
    assert len(said) == 1
    assert "Wide observed" in said[0]
    assert result.summary["steps"] == 120
