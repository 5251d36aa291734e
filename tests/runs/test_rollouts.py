import math
from typing import Any

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs import make_vec_env
from prefrl.runs.rollouts import Rollouts, play
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Counting
from tests.own_envs import PointMass


def still(observations: Any) -> np.ndarray:
    return np.zeros((len(observations), 2), dtype=np.float32)


def counting(num_envs, lengths=(2, 5, 3)):
    """Environments whose step t earns t, with episodes of their own length, then of 99 steps."""
    numbers = iter(range(num_envs))

    def make():
        number = next(numbers)
        return Counting(number, (lengths[number % len(lengths)], 99))

    return make_vec_env(make, num_envs, EpisodeStore(1))


def by_next(obs, action, next_obs, done):
    """Looks at everything that a reward function is given."""
    return (obs[:, 0] + 10 * next_obs[:, 0] + 1_000 * done).astype(np.float32)


def test_every_transition_of_every_episode_is_kept_and_nothing_after_its_end():
    rollouts = play(still, counting(3), num_episodes=3, seed=0, reward_function=by_next)
    assert rollouts.num_episodes == 3
    assert np.bincount(rollouts.episode).tolist() == [2, 5, 3]
    assert rollouts.true_returns().tolist() == [1.0, 10.0, 3.0]
    assert rollouts.learned_rewards is not None
    assert rollouts.learned_rewards.tolist() == by_next(*rollouts.transitions).tolist()


def test_another_reward_scores_them_later_as_it_would_have_at_the_time():
    unscored = play(still, counting(3), num_episodes=3, seed=0)
    assert unscored.learned_rewards is None
    assert math.isnan(unscored.learned_return_mean())
    at_the_time = play(still, counting(3), num_episodes=3, seed=0, reward_function=by_next)
    assert unscored.scored_by(by_next) == at_the_time.learned_return_mean()


@pytest.mark.parametrize("num_envs", [1, 2, 3, 7])
def test_the_same_episodes_are_played_whatever_number_of_environments_stands_side_by_side(num_envs):
    def policy(observations: Any) -> np.ndarray:
        return np.tanh(observations[:, :2]).astype(np.float32)

    def points(number):
        return make_vec_env(lambda: TimeLimit(PointMass(), 10), number, EpisodeStore(1))

    rollouts = play(policy, points(num_envs), num_episodes=7, seed=3)
    expected = play(policy, points(7), num_episodes=7, seed=3)
    assert rollouts.true_returns().tolist() == expected.true_returns().tolist()


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_what_is_written_down_scores_as_what_was_played(lengths):
    num = len(lengths)
    rollouts = play(still, counting(num, tuple(lengths)), num_episodes=num, seed=0)
    state = rollouts.state()
    assert len(state["observations"]) + len(state["last_observations"]) == sum(lengths) + num
    again = Rollouts.from_state(state)
    assert again.true_returns().tolist() == rollouts.true_returns().tolist()
    assert again.scored_by(by_next) == rollouts.scored_by(by_next)
