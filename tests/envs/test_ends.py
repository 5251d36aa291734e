"""Reward functions learn of an episode's end, on every way a transition can reach them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import NStepReplayBuffer

from prefrl import RewardVecEnv, RewardWrapper
from prefrl.agents import make_agent, make_model
from prefrl.agents.relabel_buffer import relabel
from prefrl.envs import make_vec_env
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL, SMALL_PPO, SMALL_SAC
from tests.envs.tasks import Counting

Ends = list[tuple[int, bool]]
"""Length of each episode, over and over, and whether it is cut off instead of terminated."""

ENDS: Ends = [(3, False), (4, True), (1, True), (2, False)]


class Recording:
    """A reward function that remembers what it was asked."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, Any, Any, Any]] = []

    def __call__(self, obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        assert done.dtype == bool
        copies = (obs.copy(), action.copy(), next_obs.copy(), done.copy())
        self.rows += zip(*copies, strict=True)
        return np.ones(len(obs), dtype=np.float32)


def make(which: int, ends: Ends) -> Counting:
    lengths, is_cut = zip(*ends, strict=True)
    return Counting(which, lengths, is_truncated=is_cut)


def stack(ends: Ends, num_envs: int = 2) -> tuple[RewardVecEnv, EpisodeStore]:
    numbers, store = iter(range(num_envs)), EpisodeStore()
    return make_vec_env(lambda: make(next(numbers), ends), num_envs, store), store


def assert_told(recording: Recording, ends: Ends, num_rows: int) -> None:
    """Each step leads to the next count, and only a termination is one."""
    assert len(recording.rows) == num_rows
    for obs, _, next_obs, done in recording.rows:
        which, episode, step = obs
        np.testing.assert_array_equal(next_obs, [which, episode, step + 1])
        length, is_cut = ends[int(episode) % len(ends)]
        assert done == (step + 1 == length and not is_cut)


some_ends = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=5)


@settings(deadline=None)
@given(ends=some_ends, num_steps=st.integers(1, 30), reset_after=st.integers(0, 30))
def test_the_wrapper_tells_terminations_and_where_each_step_led(ends, num_steps, reset_after):
    recording = Recording()
    env = RewardWrapper(make(0, ends), recording)
    env.reset()
    for step in range(num_steps):
        _, _, terminated, truncated, _ = env.step(np.zeros(2, dtype=np.float32))
        if terminated or truncated or step == reset_after:
            env.reset()
    assert_told(recording, ends, num_steps)


@settings(deadline=None)
@given(ends=some_ends, num_steps=st.integers(1, 30), reset_after=st.integers(0, 30))
def test_the_vector_environment_does_and_the_store_says_the_same(ends, num_steps, reset_after):
    venv, store = stack(ends)
    recording = Recording()
    venv.set_reward(recording)
    venv.reset()
    for step in range(num_steps):
        venv.step(np.zeros((2, 2), dtype=np.float32))
        if step == reset_after:
            venv.reset()
    venv.reset()
    assert_told(recording, ends, 2 * num_steps)
    assert store.num_transitions == 2 * num_steps
    for episode in store.episodes:
        number, steps = int(episode.observations[0, 1]), len(episode)
        length, is_cut = ends[number % len(ends)]
        np.testing.assert_array_equal(episode.observations[:, 2], np.arange(steps + 1))
        assert episode.is_complete == (steps == length)
        assert episode.terminated == (steps == length and not is_cut)
        assert episode.truncated != episode.terminated


def test_a_replay_buffer_computed_anew_does_through_phases_that_end_in_between():
    venv, _ = stack(ENDS, 1)
    model: Any = make_model("sac", venv, SMALL_SAC, seed=0, device="cpu")
    agent = make_agent(model)
    for phase, steps in enumerate((17, 12, 8)):
        agent.begin_phase(phase)
        agent.explore(steps)
    agent.begin_phase(3)
    recording = Recording()
    agent.relabel(recording)
    assert_told(recording, ENDS, 37)


def test_a_buffer_that_wraps_does_too():
    venv, _ = stack(ENDS, 1)
    model: Any = make_model("sac", venv, {**SMALL_SAC, "buffer_size": 20}, seed=0, device="cpu")
    agent = make_agent(model)
    agent.begin_phase(0)
    agent.explore(33)
    recording = Recording()
    agent.relabel(recording)
    assert_told(recording, ENDS, 20)


def test_a_rollout_of_ppo_does_through_phases_that_end_in_between():
    venv, _ = stack(ENDS)
    model: Any = make_model("ppo", venv, SMALL_PPO, seed=0, device="cpu")
    agent = make_agent(model)
    recording = Recording()
    agent.set_reward(recording)
    for phase, steps in enumerate((70, 38)):
        agent.begin_phase(phase)
        agent.train(steps)
    assert_told(recording, ENDS, 108)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_return_over_several_steps_ends_where_the_learner_resets(is_cut):
    venv, _ = stack([(50, is_cut)], 1)
    options: dict[str, Any] = {"learning_starts": 99, "buffer_size": 90, "policy_kwargs": {**SMALL}}
    model = SAC("MlpPolicy", venv, n_steps=5, seed=0, device="cpu", **options)
    agent = make_agent(model)
    for phase in range(2):
        agent.begin_phase(phase)
        agent.train(10)
    buffer: Any = model.replay_buffer
    assert isinstance(buffer, NStepReplayBuffer)
    relabel(buffer, Recording(), venv)
    samples = buffer._get_samples(np.arange(10))
    discounted = [sum(buffer.gamma**k for k in range(min(5, 10 - i))) for i in range(10)]
    np.testing.assert_allclose(samples.rewards[:, 0], discounted, rtol=1e-5)
    assert not samples.dones.any(), "a truncation is bootstrapped from"
    # Bootstrapped from where those steps led, not from the next episode.
    assert samples.next_observations[:, 1].tolist() == [samples.observations[0, 1]] * 10
    assert samples.next_observations[:, 2].tolist() == [min(i + 5, 10) for i in range(10)]


def test_marking_a_cut_leaves_an_episode_that_ended_there_as_it_is():
    venv, _ = stack([(5, False)], 1)
    model: Any = make_model("sac", venv, SMALL_SAC, seed=0, device="cpu")
    agent = make_agent(model)
    agent.begin_phase(0)
    agent.explore(10)
    agent.begin_phase(1)
    assert model.replay_buffer.dones[:10, 0].tolist() == [0, 0, 0, 0, 1] * 2
    assert not model.replay_buffer.timeouts.any()
