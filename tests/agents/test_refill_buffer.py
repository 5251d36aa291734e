from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer

from prefrl.agents import make_agent
from prefrl.agents.refill_buffer import refill
from prefrl.agents.relabel_buffer import relabel
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL, stack, stack_of
from tests.envs.tasks import Counting


def recorded(ends: list[tuple[int, bool]], num_steps: int, num_envs: int = 1) -> Any:
    """A stack of counting environments and the episodes of so many steps of each."""
    numbers, store = iter(range(num_envs)), EpisodeStore()
    lengths, is_cut = zip(*ends, strict=True)
    venv = stack_of(lambda: Counting(next(numbers), lengths, is_truncated=is_cut), num_envs)
    venv.venv.store = store  # type: ignore[attr-defined]
    venv.reset()
    venv.action_space.seed(0)
    for _ in range(num_steps):
        venv.step(np.stack([venv.action_space.sample() for _ in range(num_envs)]))
    venv.reset()
    return venv, store


def empty(venv: Any, buffer_size: int = 1_000) -> ReplayBuffer:
    return ReplayBuffer(
        buffer_size,
        venv.observation_space,
        venv.action_space,
        device="cpu",
        n_envs=venv.num_envs,
    )


@settings(deadline=None, max_examples=30)
@given(
    ends=st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=4),
    num_steps=st.integers(1, 30),
    num_envs=st.integers(1, 3),
    size=st.integers(1, 40),
)
def test_every_row_is_a_step_that_was_taken_and_ends_as_it_did(ends, num_steps, num_envs, size):
    venv, store = recorded(ends, num_steps, num_envs)
    buffer = empty(venv, size * num_envs)
    assert buffer.buffer_size == size
    rows = min(num_steps, size)
    assert refill(buffer, store) == rows * num_envs
    assert buffer.size() == rows
    assert buffer.pos == rows % size
    steps = buffer.observations[:rows]
    one_on = np.array([0, 0, 1])
    np.testing.assert_array_equal(buffer.next_observations[:rows], steps + one_on)
    for i in range(num_envs):
        for row in range(rows):
            which, episode, step = steps[row, i]
            length, is_cut = ends[int(episode) % len(ends)]
            is_over = step + 1 == length
            ended, cut = buffer.dones[row, i], buffer.timeouts[row, i]
            assert (ended and not cut) == (is_over and not is_cut)
            is_followed = row + 1 < rows and (steps[row + 1, i] == [which, episode, step + 1]).all()
            assert bool(ended) != is_followed
    earned = buffer.rewards[:rows].copy()

    def as_counting_earns(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        return 100 * obs[:, 1] + obs[:, 2] + action.sum(axis=1)

    relabel(buffer, as_counting_earns, venv)
    np.testing.assert_allclose(buffer.rewards[:rows], earned, rtol=1e-5)


def test_the_newest_steps_are_kept_where_not_all_fit():
    venv, store = recorded([(4, True)], 22)
    buffer = empty(venv, 10)
    refill(buffer, store)
    assert buffer.full
    counted = 4 * buffer.observations[:, 0, 1] + buffer.observations[:, 0, 2]
    assert counted.tolist() == list(range(12, 22))


def test_a_store_with_nothing_in_it_leaves_the_buffer_empty():
    venv, _ = recorded([(4, True)], 1)
    assert refill(buffer := empty(venv), EpisodeStore()) == 0
    assert buffer.size() == 0


def test_discrete_actions_are_stored_as_their_numbers():
    store = EpisodeStore()
    venv = stack(1, "CartPole-v1", store=store)
    model = DQN("MlpPolicy", venv, buffer_size=50, policy_kwargs={**SMALL}, device="cpu", seed=0)
    model.learn(32)
    was = model.replay_buffer
    assert was is not None
    venv.reset()
    again = empty(venv, 50)
    assert refill(again, store) == 32
    np.testing.assert_array_equal(again.actions[:32], was.actions[:32])
    np.testing.assert_array_equal(again.observations[:32], was.observations[:32])


def test_observations_that_are_numbers_are_stored_as_such():
    class Corridor(Counting):
        observation_space = spaces.Discrete(7)

        def _seen(self) -> Any:
            return np.int64(self._obs[2])

    store = EpisodeStore()
    venv = stack_of(lambda: Corridor(lengths=(5,)), 1, store=store)
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros((1, 2)))
    buffer = empty(venv)
    refill(buffer, store)
    assert buffer.observations[:5, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert buffer.next_observations[:5, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_an_off_policy_agent_learns_on_from_what_was_recorded():
    venv, store = recorded([(9, True)], 40)
    options: dict[str, Any] = {"learning_starts": 0, "policy_kwargs": {**SMALL}}
    agent: Any = make_agent(
        SAC("MlpPolicy", venv, seed=0, device="cpu", buffer_size=100, **options)
    )
    state = agent.state()
    del state["buffer"]
    agent.restore(state)
    assert agent.refill(store) == 40
    agent.begin_phase(0)
    agent.train(5)
    assert agent.model.replay_buffer.size() == 45


@pytest.mark.parametrize("num_envs", [1, 2])
def test_an_on_policy_agent_stores_nothing(num_envs):
    from stable_baselines3 import PPO

    venv, store = recorded([(9, True)], 40, num_envs)
    agent = make_agent(PPO("MlpPolicy", venv, n_steps=16, batch_size=16, seed=0, device="cpu"))
    assert agent.refill(store) == 0
