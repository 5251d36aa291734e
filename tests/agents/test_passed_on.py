from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import VecEnvWrapper

from prefrl.agents import make_agent
from prefrl.errors import ConfigError
from tests.agents.stacks import SMALL, SMALL_PPO, SMALL_SAC, constant, stack


class Wrapped(VecEnvWrapper):
    """Passes everything on, and notes what it saw."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.num_steps = 0

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        self.num_steps += 1
        return self.venv.step_wait()


class OtherActions(Wrapped):
    def step_async(self, actions: Any) -> None:
        super().step_async(actions / 2)


class OtherObservations(Wrapped):
    """Resets to what there is, so that only a step can tell."""

    def step_wait(self) -> Any:
        observations, *rest = super().step_wait()
        return observations / 2, *rest


class ScaledInPlace(Wrapped):
    def step_wait(self) -> Any:
        observations, *rest = super().step_wait()
        observations *= 0.5
        return observations, *rest


class OtherRewards(Wrapped):
    def step_wait(self) -> Any:
        observations, rewards, *rest = super().step_wait()
        return observations, rewards * 10 + 1, *rest


class RewardsInPlace(Wrapped):
    def step_wait(self) -> Any:
        observations, rewards, *rest = super().step_wait()
        rewards += 1
        return observations, rewards, *rest


class NoEnds(Wrapped):
    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        return observations, rewards, np.zeros_like(dones), infos


def begun(algorithm: Any, wrapper: Any) -> Any:
    settings = SMALL_PPO if algorithm is PPO else SMALL_SAC
    venv = wrapper(stack(2))
    settings = {**settings, "policy_kwargs": {**SMALL}}
    agent = make_agent(algorithm("MlpPolicy", venv, device="cpu", seed=0, **settings))
    agent.begin_phase(0)
    return agent, venv


@pytest.mark.parametrize("is_exploring", [True, False])
@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3])
@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        (OtherActions, "'s actions are not those of its environments"),
        (OtherObservations, "does not see the observations of its environments"),
        (ScaledInPlace, "does not see the observations of its environments"),
        (OtherRewards, "'s rewards are not those of its environments"),
        (RewardsInPlace, "'s rewards are not those of its environments"),
        (NoEnds, "'s ends of episodes are not those of its environments"),
    ],
)
def test_a_wrapper_that_changes_what_it_passes_on_is_named(algorithm, wrapper, said, is_exploring):
    agent, _ = begun(algorithm, wrapper)
    takes_steps = agent.explore if is_exploring else agent.train
    if algorithm is PPO and "rewards" in said:
        takes_steps(64)  # Nobody stores them.
        return
    with pytest.raises(ConfigError, match=rf"{said} \({wrapper.__name__} between.*make_env"):
        takes_steps(64)
    if wrapper is not NoEnds:  # Of which the first step cannot tell.
        assert agent.num_steps <= 2


@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3])
def test_a_wrapper_that_only_looks_on_is_taken(algorithm):
    agent, venv = begun(algorithm, Wrapped)
    agent.explore(32)
    agent.set_reward(constant(1.0))
    agent.relabel(constant(1.0))
    agent.train(32)
    assert (agent.num_steps, venv.num_steps) == (64, 32)
