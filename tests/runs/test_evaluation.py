import math
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st

from prefrl import EnhancedRewardModel
from prefrl.envs import make_env
from prefrl.errors import ConfigError, EnvironmentFault
from prefrl.runs.evaluation import correlation, evaluate
from prefrl.seeding import first_episode_seed
from tests.envs.tasks import Counting, Failing, looking_ahead
from tests.own_envs import PointMass


def still(observations: Any) -> np.ndarray:
    """A policy that never moves."""
    return np.zeros((len(observations), 2), dtype=np.float32)


class Numbered:
    """Makes environments that count up, with episodes of 2, 5, 3, ... steps."""

    LENGTHS = (2, 5, 3)

    def __init__(self) -> None:
        self.made: list[Counting] = []

    def __call__(self) -> Counting:
        number = len(self.made)
        # Their second episodes are long, and must not count.
        env = Counting(number, (self.LENGTHS[number % 3], 99))
        self.made.append(env)
        return env


def test_each_environment_plays_one_episode_and_nothing_after_it_counts():
    make = Numbered()
    result = evaluate(still, make, num_episodes=3, seed=0)
    assert len(make.made) == 3
    # Step t earns t: 0 + 1, 0 + 1 + 2 + 3 + 4 and 0 + 1 + 2.
    returns = [1.0, 10.0, 3.0]
    assert result.num_episodes == 3
    assert result.true_return_mean == pytest.approx(np.mean(returns))
    assert result.true_return_std == pytest.approx(np.std(returns))
    assert math.isnan(result.learned_return_mean)
    assert math.isnan(result.reward_true_correlation)


def test_the_learned_reward_is_summed_and_correlated_over_the_same_steps():
    def learned(obs, action, next_obs, done):
        # Opposite to the true reward, but for the last step of an episode.
        return np.where(done, 7.0, -2 * obs[:, 2]).astype(np.float32)

    result = evaluate(still, Numbered(), num_episodes=3, seed=0, reward_function=learned)
    true = [0, 1, 0, 1, 2, 3, 4, 0, 1, 2]
    said = [0, 7, 0, -2, -4, -6, 7, 0, -2, 7]
    assert result.learned_return_mean == pytest.approx(sum(said) / 3)
    x, y = np.array(true) - np.mean(true), np.array(said) - np.mean(said)
    by_hand = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
    assert result.reward_true_correlation == pytest.approx(by_hand)
    assert result.true_return_mean == pytest.approx(14 / 3)


def test_the_last_step_is_rewarded_for_where_the_episode_ended():
    result = evaluate(still, Numbered(), num_episodes=2, seed=0, reward_function=looking_ahead)
    # next_obs is (which, 0, step + 1), obs (which, 0, step), and the last step adds 1e5.
    first = sum((step + 1) + 1e3 * step for step in range(2)) + 1e5
    second = sum((1 + step + 1) + 1e3 * (1 + step) for step in range(5)) + 1e5
    assert result.learned_return_mean == pytest.approx((first + second) / 2)


def test_a_run_of_the_mill_environment_is_evaluated_the_same_every_time():
    def policy(observations: Any) -> np.ndarray:
        return np.tanh(np.asarray(observations)[:, :6]).astype(np.float32)

    make = partial(make_env, "HalfCheetah-v4", max_episode_steps=30)
    model = EnhancedRewardModel(23, hidden_dim=8, observation_dim=17, env_id="HalfCheetah-v4")
    results = [
        evaluate(policy, make, num_episodes=4, seed=s, reward_function=model.reward_function())
        for s in (1, 1, 2)
    ]
    assert results[0] == results[1]
    assert results[0] != results[2]
    env = make()
    returns = []
    for i in range(4):
        obs, _ = env.reset(seed=first_episode_seed(1) + i)
        total = 0.0
        for _ in range(30):
            obs, reward, *_ = env.step(policy(obs[None])[0])
            total += float(reward)
        returns.append(total)
    assert results[0].true_return_mean == pytest.approx(np.mean(returns), rel=1e-5)
    assert -1 <= results[0].reward_true_correlation <= 1


@pytest.mark.parametrize("num_episodes", [0, -3])
def test_at_least_one_episode_is_played(num_episodes):
    with pytest.raises(ConfigError, match=f"num_episodes is {num_episodes}; expected 1 or more"):
        evaluate(still, Counting, num_episodes=num_episodes, seed=0)


def test_an_environment_that_goes_wrong_is_named_and_all_are_closed():
    closed: list[int] = []

    class Closing(Failing):
        def close(self) -> None:
            closed.append(1)

    def still_here(observations: Any) -> np.ndarray:
        return np.zeros((len(observations), 1), dtype=np.float32)

    def make() -> gym.Env[Any, Any]:
        return Closing("raises")

    with pytest.raises(EnvironmentFault, match="Closing failed in a step"):
        evaluate(still_here, make, num_episodes=2, seed=0)
    assert closed == [1, 1]


@given(
    x=st.lists(st.integers(-50, 50), min_size=2, max_size=20),
    scale=st.floats(0.1, 10),
    shift=st.floats(-10, 10),
)
def test_correlation_knows_no_scale_and_no_shift(x, scale, shift):
    values = np.array(x, dtype=float)
    if np.ptp(values) == 0:
        assert math.isnan(correlation(values, values))
    else:
        assert correlation(values, scale * values + shift) == pytest.approx(1.0)
        assert correlation(values, shift - scale * values) == pytest.approx(-1.0)


def test_correlation_by_hand():
    # Deviations (-1, 0, 1) and (-1, 1, 0) from the means: 1 / sqrt(2 * 2).
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [0.0, 5.0])])
def test_what_does_not_vary_has_no_correlation(x, y):
    assert math.isnan(correlation(np.array(x), np.array(y)))


class Noting(Counting):
    """Notes the seed and the first observation of each of its episodes that has a seed."""

    def __init__(self, seeds: list[int]) -> None:
        super().__init__(lengths=(1,))
        self.seeds = seeds

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.seeds.append(seed)
        return super().reset(seed=seed)


def seeds_of(seed: int, num_episodes: int, num_envs: int) -> list[int]:
    seeds: list[int] = []
    make = partial(Noting, seeds)
    evaluate(still, make, num_episodes=num_episodes, seed=seed, num_envs=num_envs)
    return seeds[:num_episodes]


@given(
    seed=st.integers(0, 2**40),
    apart=st.integers(1, 5) | st.integers(1, 2**40),
    num_episodes=st.integers(1, 12),
    num_envs=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_no_two_seeds_share_an_episode_and_each_has_the_same_ones_in_any_number_of_environments(
    seed, apart, num_episodes, num_envs
):
    seeds = seeds_of(seed, num_episodes, num_envs[0])
    assert seeds == seeds_of(seed, num_episodes, num_envs[1])
    assert len(set(seeds)) == num_episodes
    assert set(seeds).isdisjoint(seeds_of(seed + apart, num_episodes, num_envs[1]))


@given(num_envs=st.integers(1, 7), num_episodes=st.integers(1, 7))
def test_the_same_digits_are_reached_however_many_environments_there_can_be(num_envs, num_episodes):
    weights = np.random.default_rng(0).normal(size=(2, 64)).astype("f")

    def policy(observations: Any) -> np.ndarray:
        return np.tanh(observations @ weights)[:, :2]

    def make() -> gym.Env[Any, Any]:
        if next(made) == num_envs:
            raise RuntimeError("no more")
        return TimeLimit(PointMass(), 20)

    results = []
    for most in (num_envs, 99):
        made, num_envs = iter(range(most + 1)), most
        results.append(evaluate(policy, make, num_episodes=num_episodes, seed=3))
    assert str(results[0]) == str(results[1])
