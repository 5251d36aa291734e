from typing import Any

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec, registry

from prefrl.envs.fixed_horizon import CutEpisodes, fixed_horizon_settings
from tests.envs.tasks import Counting

OFFERING = ("Hopper", "Walker2d", "Ant", "Humanoid")


@pytest.mark.parametrize(
    "env_id", [i for i in registry if i.endswith(("-v4", "-v5")) and i.split("-")[0] in OFFERING]
)
def test_tasks_that_may_end_early_are_asked_not_to(env_id):
    assert fixed_horizon_settings(registry[env_id]) == {"terminate_when_unhealthy": False}


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "InvertedPendulum-v4", "CartPole-v1"])
def test_tasks_that_offer_nothing_are_left_alone(env_id):
    assert fixed_horizon_settings(registry[env_id]) == {}


def test_the_maker_may_be_a_function_or_missing():
    def make_arm(terminate_when_unhealthy: bool = True, **_: Any) -> Counting:
        return Counting()

    settings = fixed_horizon_settings(EnvSpec("Arm-v0", make_arm))
    assert settings == {"terminate_when_unhealthy": False}
    a_class: Any = Counting
    assert fixed_horizon_settings(EnvSpec("Arm-v0", a_class)) == {}
    assert fixed_horizon_settings(EnvSpec("Arm-v0", vector_entry_point="arms:Arms")) == {}


def lengths_of(env, num_episodes):
    """Steps of each episode, none of which may terminate."""
    lengths = []
    for _ in range(num_episodes):
        env.reset(seed=0)
        steps, truncated = 0, False
        while not truncated:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            assert not terminated
            steps += 1
        lengths.append(steps)
    return lengths


def test_episodes_are_cut_by_a_limit_that_can_be_moved():
    env = CutEpisodes(gym.make("Pendulum-v1", max_episode_steps=30), 7)
    assert lengths_of(env, 2) == [7, 7]
    env.max_steps = 12
    assert lengths_of(env, 1) == [12]
    env.max_steps = 100
    assert lengths_of(env, 1) == [30], "its own limit stays"
