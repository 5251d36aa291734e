"""Evaluates a policy on the true reward, beside what the learned reward says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import ConfigError
from prefrl.segments import EpisodeStore
from prefrl.types import RewardFunction


@dataclass(frozen=True)
class Evaluation:
    """What a policy reached.

    Args:
        true_return_mean: mean over episodes.
        true_return_std: population standard deviation over episodes.
        learned_return_mean: mean sum of the learned reward; NaN without one.
        reward_true_correlation: Pearson correlation of learned and true reward over all transitions
            of these episodes, none of which the reward model was fitted to; NaN without a learned
            reward.
        num_episodes: how many.
    """

    true_return_mean: float
    true_return_std: float
    learned_return_mean: float
    reward_true_correlation: float
    num_episodes: int


def evaluate(
    predict: Callable[[Any], Any],
    make_env: Callable[[], gym.Env[Any, Any]],
    *,
    num_episodes: int,
    seed: int,
    reward_function: RewardFunction | None = None,
) -> Evaluation:
    """Plays episodes side by side, one an environment.

    Args:
        predict: (N, O) observations -> actions.
        make_env: makes one environment.
        num_episodes: how many.
        seed: of the environments.
        reward_function: the learned reward, where there is one.

    Raises:
        ConfigError: `num_episodes` is below 1.
        EnvironmentFault: an environment went wrong.
    """
    if num_episodes < 1:
        raise ConfigError(f"num_episodes is {num_episodes}; expected 1 or more")
    venv = make_vec_env(make_env, num_episodes, EpisodeStore(1))  # Nothing played here is kept.
    try:
        venv.set_reward(reward_function)
        venv.seed(seed)
        observations: Any = venv.reset()
        is_playing = np.ones(num_episodes, dtype=bool)
        true_return, learned_return = np.zeros(num_episodes), np.zeros(num_episodes)
        learned_rewards, true_rewards = [], []
        while is_playing.any():
            observations, rewards, dones, infos = venv.step(predict(observations))
            true = np.array([info["true_reward"] for info in infos])
            true_return[is_playing] += true[is_playing]
            learned_return[is_playing] += rewards[is_playing]
            learned_rewards.append(rewards[is_playing])
            true_rewards.append(true[is_playing])
            is_playing &= ~dones
    finally:
        venv.close()
    is_learned = reward_function is not None
    return Evaluation(
        true_return_mean=float(true_return.mean()),
        true_return_std=float(true_return.std()),
        learned_return_mean=float(learned_return.mean()) if is_learned else math.nan,
        reward_true_correlation=(
            correlation(np.concatenate(learned_rewards), np.concatenate(true_rewards))
            if is_learned
            else math.nan
        ),
        num_episodes=num_episodes,
    )


def correlation(x: Any, y: Any) -> float:
    """Pearson's; NaN where one of them does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
