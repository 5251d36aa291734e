from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents.relabel_buffer import relabel, stored_rows
from prefrl.envs import RewardVecEnv
from tests.agents.stacks import SMALL, constant, stack, stack_of
from tests.envs.tasks import Counting


def filled_buffer(venv: RewardVecEnv, num_steps: int, *, buffer_size: int = 1_000) -> ReplayBuffer:
    """The replay buffer of an agent that acted at random and learned nothing."""
    model = SAC(
        "MlpPolicy",
        venv,
        buffer_size=buffer_size,
        learning_starts=10_000,
        policy_kwargs={**SMALL},
        seed=0,
        device="cpu",
    )
    model.learn(num_steps)
    assert model.replay_buffer is not None
    return model.replay_buffer


def as_counting_earns(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    return 100 * obs[:, 1] + obs[:, 2] + action.sum(axis=1)


def test_actions_reach_the_reward_as_the_environment_saw_them():
    # The bounds of these actions are [-1, 3] and [0, 10], the buffer keeps them in [-1, 1].
    venv = stack_of(partial(Counting, lengths=(6, 4)))
    buffer = filled_buffer(venv, 40)
    earned = buffer.rewards[:40].copy()
    assert buffer.actions[:40].max() <= 1
    buffer.rewards[:] = -1
    relabel(buffer, as_counting_earns, venv)
    np.testing.assert_allclose(buffer.rewards[:40], earned, rtol=1e-5)


def test_actions_of_any_shape_do():
    space = Counting.action_space
    table = spaces.Box(space.low[:, None], space.high[:, None])
    venv = stack_of(lambda: with_actions(Counting(lengths=(6, 4)), table))
    buffer = filled_buffer(venv, 40)
    earned = buffer.rewards[:40].copy()
    relabel(buffer, as_counting_earns, venv)
    np.testing.assert_allclose(buffer.rewards[:40], earned, rtol=1e-5)


def with_actions(env: Counting, space: spaces.Box) -> Counting:
    env.action_space = space
    return env


def test_only_the_filled_part_is_written():
    buffer = filled_buffer(venv := stack_of(Counting), 40)
    relabel(buffer, constant(7.0), venv)
    assert (buffer.rewards[:40] == 7).all()
    assert (buffer.rewards[40:] == 0).all()


@pytest.mark.parametrize("num_steps", [50, 77, 130])
def test_the_whole_of_a_full_buffer_is_written_the_wrapped_part_too(num_steps):
    buffer = filled_buffer(venv := stack_of(Counting), num_steps, buffer_size=50)
    assert buffer.full
    relabel(buffer, constant(7.0), venv)
    assert (buffer.rewards == 7).all()
    relabel(buffer, as_counting_earns, venv)
    # Five steps an episode; the newest transitions stand before `pos`, the oldest after it.
    steps = np.concatenate(
        [
            np.arange(num_steps - buffer.pos, num_steps),
            np.arange(num_steps - 50, num_steps - buffer.pos),
        ]
    )
    expected = 100 * (steps // 5) + steps % 5
    unscaled = np.array([1.0, 5.0]) + buffer.actions[:, 0] * np.array([2.0, 5.0])
    np.testing.assert_allclose(buffer.rewards[:, 0], expected + unscaled.sum(axis=1), rtol=1e-5)


def test_the_last_step_of_an_episode_is_seen_to_lead_to_where_it_ended():
    venv = stack_of(partial(Counting, lengths=(4,)))
    buffer = filled_buffer(venv, 12)
    relabel(buffer, lambda obs, action, next_obs, done: next_obs[:, 2] + 100 * done, venv)
    assert buffer.rewards[:12, 0].tolist() == [1, 2, 3, 104] * 3


def test_environments_side_by_side_keep_their_own_rewards():
    numbers = iter(range(3))
    venv = stack_of(lambda: Counting(next(numbers), (4,)), 3)
    buffer = filled_buffer(venv, 30)
    relabel(buffer, lambda obs, action, next_obs, done: obs[:, 0] + 10 * obs[:, 2], venv)
    np.testing.assert_array_equal(
        buffer.rewards[:5], [[0, 1, 2], [10, 11, 12], [20, 21, 22], [30, 31, 32], [0, 1, 2]]
    )
    np.testing.assert_array_equal(stored_rows(buffer, buffer.observations)[:4, 0], [0, 1, 2, 0])


def test_discrete_actions_reach_the_reward_one_hot():
    venv = stack(1, "CartPole-v1")
    model = DQN(
        "MlpPolicy",
        venv,
        buffer_size=50,
        learning_starts=1_000,
        policy_kwargs={**SMALL},
        device="cpu",
        seed=0,
    )
    model.learn(30)
    buffer = model.replay_buffer
    assert buffer is not None
    relabel(buffer, lambda obs, action, next_obs, done: action[:, 1], venv)
    np.testing.assert_array_equal(buffer.rewards[:30], buffer.actions[:30, :, 0])
    assert set(buffer.rewards[:30, 0]) == {0.0, 1.0}


def test_an_empty_buffer_is_left_alone():
    def never(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        raise AssertionError("there is nothing to reward")

    venv = stack_of(Counting)
    buffer = ReplayBuffer(10, venv.observation_space, venv.action_space, device="cpu")
    relabel(buffer, never, venv)
