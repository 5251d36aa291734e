"""Hindsight replay asks environments for their own reward, beside the learned one."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from prefrl import RewardVecEnv, RewardWrapper
from prefrl.errors import ConfigError
from tests.envs.tasks import looking_ahead

WHAT_TO_DO = (
    "hindsight replay (HerReplayBuffer) asks for compute_reward, the environment's own reward, and "
    "would mix it with the learned one; leave replay_buffer_class out"
)


class Reaching(gym.Env[Any, Any]):
    """A goal environment of ten steps."""

    def __init__(self) -> None:
        place = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = spaces.Dict(
            {"observation": place, "achieved_goal": place, "desired_goal": place}
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self._num_steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any):
        self._num_steps += 1
        return self.observation_space.sample(), -1.0, False, self._num_steps >= 10, {}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)


def learner(venv: Any) -> SAC:
    return SAC(
        "MultiInputPolicy",
        venv,
        replay_buffer_class=HerReplayBuffer,
        learning_starts=20,
        batch_size=4,
        policy_kwargs={"net_arch": [8]},
        device="cpu",
    )


# SB3's words, with the oldest Gymnasium.
@pytest.mark.filterwarnings("ignore:.*to get variables from other wrappers is deprecated")
@pytest.mark.parametrize(
    "stack",
    [
        lambda: RewardVecEnv(DummyVecEnv([Reaching]), looking_ahead),
        lambda: VecNormalize(RewardVecEnv(DummyVecEnv([Reaching]), looking_ahead)),
        lambda: DummyVecEnv([lambda: RewardWrapper(Reaching(), looking_ahead)]),
        lambda: DummyVecEnv(
            [lambda: gym.wrappers.TimeLimit(RewardWrapper(Reaching(), looking_ahead), 5)]
        ),
    ],
)
def test_the_environments_own_reward_is_never_given_in_the_learned_ones_place(stack):
    with pytest.raises(ConfigError) as error:
        learner(stack()).learn(40)
    assert str(error.value) == WHAT_TO_DO


def test_with_the_true_reward_hindsight_replay_learns():
    learner(RewardVecEnv(DummyVecEnv([Reaching]), None)).learn(30)
