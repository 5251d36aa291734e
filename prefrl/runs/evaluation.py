"""Evaluates a policy on the true reward, beside what the learned reward says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.arguments import function, whole_number
from prefrl.envs.opening import open_envs
from prefrl.envs.vec_env import side_by_side
from prefrl.errors import ConfigError, calling, shown
from prefrl.runs.rollouts import Rollouts, play
from prefrl.seeding import first_episode_seed
from prefrl.segments import EpisodeStore
from prefrl.types import RewardFunction

# Each is kept until all are played; whoever asks for more has mistaken what the number is.
MOST_EPISODES = 1_000_000


@dataclass(frozen=True)
class Evaluation:
    """Returns that a policy reached.

    Args:
        true_return_mean: mean over episodes.
        true_return_std: population standard deviation over episodes.
        learned_return_mean: mean sum of the learned reward; NaN without one.
        reward_true_correlation: Pearson correlation of learned and true reward over all transitions
            of these episodes, none of which the reward model was fitted to; NaN without a learned
            reward.
        success_rate: share of the episodes that succeeded, by `info["is_success"]` at their end or
            `info["success"]` at any step; NaN where the environment reports neither.
        num_episodes: how many.
    """

    true_return_mean: float
    true_return_std: float
    learned_return_mean: float
    reward_true_correlation: float
    success_rate: float
    num_episodes: int


def evaluate(
    predict: Callable[[Any], Any],
    make_env: Callable[[], gym.Env[Any, Any]],
    *,
    num_episodes: int,
    seed: int,
    reward_function: RewardFunction | None = None,
    num_envs: int | None = None,
) -> Evaluation:
    """Plays episodes, side by side where there can be several environments.

    Args:
        predict: (N, O) observations -> actions.
        make_env: makes one environment.
        num_episodes: how many.
        seed: draws the environments' seeds; no other seed has one of them.
        reward_function: the learned reward, where there is one.
        num_envs: most environments side by side; None makes one for each episode. Where there can
            be fewer, the same episodes are played one after the other.

    Raises:
        ArgumentError: an argument is of another type.
        ConfigError: `num_episodes` is below 1, or no environment could be made.
        EnvironmentFault: an environment went wrong.
    """
    function("predict", predict, "a function of (N, O) observations that returns actions")
    function("make_env", make_env, "a function that makes one environment")
    num_episodes = whole_number("num_episodes", num_episodes, least=1)
    if num_episodes > MOST_EPISODES:
        raise ConfigError(f"num_episodes is {shown(num_episodes)}; expected 1 to {MOST_EPISODES:,}")
    seed = whole_number("seed", seed)
    if num_envs is not None:
        num_envs = whole_number("num_envs", num_envs, least=1)
    if reward_function is not None:
        expected = "a function of (obs, action, next_obs, done): model.reward_function()"
        function("reward_function", reward_function, expected)

    def says(observations: Any) -> Any:
        with calling("predict"):
            return predict(observations)

    envs, _ = open_envs(make_env, min(num_episodes, num_envs or num_episodes))
    venv = side_by_side(envs, EpisodeStore(1))  # Nothing played here is kept.
    try:
        rollouts = play(
            says,
            venv,
            num_episodes=num_episodes,
            seed=first_episode_seed(seed),
            reward_function=reward_function,
        )
    finally:
        venv.close()
    return evaluation_of(rollouts)


def evaluation_of(rollouts: Rollouts) -> Evaluation:
    """Sums up episodes that were played."""
    true_returns, learned = rollouts.true_returns(), rollouts.learned_rewards
    return Evaluation(
        true_return_mean=float(true_returns.mean()),
        true_return_std=float(true_returns.std()),
        learned_return_mean=rollouts.learned_return_mean(),
        reward_true_correlation=(
            math.nan if learned is None else correlation(learned, rollouts.true_rewards)
        ),
        success_rate=rollouts.success_rate(),
        num_episodes=rollouts.num_episodes,
    )


def correlation(x: Any, y: Any) -> float:
    """Returns Pearson's correlation; NaN where one of them does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])
