"""Returns over several steps never run from one episode into the next."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import SAC
from stable_baselines3.common import buffers

from prefrl.agents import OffPolicyAgent, make_agent
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL, stack_of
from tests.envs.tasks import Counting

pytestmark = pytest.mark.skipif(
    not hasattr(buffers, "NStepReplayBuffer"), reason="this Stable-Baselines3 has none"
)
GAMMA = 0.5


def numbered(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    """A reward by which each step can be told from any other, and whether it ended."""
    return (1 + obs[:, 0] + 8 * obs[:, 1] + 0.25 * obs[:, 2] + 64 * done).astype(np.float32)


def renumbered(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    return -numbered(obs, action, next_obs, done)


def made(ends: Any, num_envs: int, n_steps: int, size: int, store: EpisodeStore) -> OffPolicyAgent:
    numbers = iter(range(num_envs))
    lengths, is_cut = zip(*ends, strict=True)
    venv = stack_of(
        lambda: Counting(next(numbers), lengths, is_truncated=is_cut), num_envs, store=store
    )
    more: dict[str, Any] = {"n_steps": n_steps}
    model = SAC(
        "MlpPolicy",
        venv,
        buffer_size=size * num_envs,
        gamma=GAMMA,
        batch_size=4,
        learning_starts=10**6,  # Nothing is learned: what matters is in the buffer.
        policy_kwargs={**SMALL},
        seed=0,
        device="cpu",
        **more,
    )
    agent: Any = make_agent(model)
    return agent


def assert_samples_are_of_one_episode_each(buffer: Any, ends: Any, reward: Any, cut: Any) -> None:
    """Computes every return by hand, from the episodes' own numbers.

    Args:
        buffer: the agent's.
        ends: (length, is truncated) of the episodes, by turns.
        reward: what rewards were computed by.
        cut: (environment, episode) -> the step after which the learner reset it.
    """
    rows = np.arange(buffer.size())
    for env in range(buffer.n_envs):
        one = _only(buffer, env)
        sample = one._get_samples(rows)
        for row in rows:
            which, episode, step = (int(v) for v in buffer.observations[row, env])
            length, is_truncated = ends[episode % len(ends)]
            last_of_all = cut.get((which, episode), length)
            newest = _newest(buffer, env, which, episode)
            n = min(buffer.n_steps, last_of_all - step, newest - step + 1)
            steps = step + np.arange(n)
            obs = np.stack([np.full(n, which), np.full(n, episode), steps], axis=1)
            is_over = (steps + 1 == length) & (not is_truncated)
            earned = reward(obs, None, None, is_over)
            assert sample.rewards[row, 0] == pytest.approx(float(earned @ GAMMA ** np.arange(n)))
            assert sample.next_observations[row].tolist() == [which, episode, step + n]
            assert bool(sample.dones[row, 0]) == bool(is_over[-1])
            assert sample.discounts[row, 0] == pytest.approx(GAMMA**n)


def _only(buffer: Any, env: int) -> Any:
    """The rows of one environment, as a buffer of its own: which is drawn is left to chance."""
    one = type(buffer)(
        buffer.buffer_size,
        buffer.observation_space,
        buffer.action_space,
        device="cpu",
        n_steps=buffer.n_steps,
        gamma=buffer.gamma,
    )
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        getattr(one, name)[:] = getattr(buffer, name)[:, [env]]
    one.pos, one.full = buffer.pos, buffer.full
    return one


def _newest(buffer: Any, env: int, which: int, episode: int) -> int:
    """The last step of an episode that is in the buffer."""
    observed = buffer.observations[: buffer.size(), env]
    mine = observed[(observed[:, 0] == which) & (observed[:, 1] == episode)]
    return int(mine[:, 2].max())


@settings(deadline=None)
@given(
    ends=st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=3),
    phases=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    num_envs=st.integers(1, 3),
    n_steps=st.integers(2, 5),
    size=st.integers(1, 30),
    saved_at=st.integers(0, 4),
    is_refilled=st.booleans(),
)
def test_every_sample_is_what_its_own_episode_gives(
    ends, phases, num_envs, n_steps, size, saved_at, is_refilled
):
    store = EpisodeStore()
    agent = made(ends, num_envs, n_steps, size, store)
    cut: dict[tuple[int, int], int] = {}
    for index, length in enumerate(phases):
        agent.begin_phase(index)
        agent.set_reward(numbered)
        agent.train(length * num_envs)
        buffer: Any = agent.model.replay_buffer
        at = agent.venv.observed.copy()
        assert_samples_are_of_one_episode_each(buffer, ends, numbered, cut)
        for which, episode, step in at.astype(int).tolist():
            cut[which, episode] = step
        if index == saved_at:
            state = agent.state()
            if is_refilled:
                agent.begin_phase(index)  # Unfinished episodes, too, come into the store.
                del state["buffer"]
            again = made(ends, num_envs, n_steps, size, EpisodeStore())
            again.restore(state)
            if is_refilled:
                again.refill(store)
                again.relabel(numbered)
                again.begin_phase(index)
                buffer = again.model.replay_buffer
                # Environments got whole stretches of time, whichever was theirs.
                assert_samples_are_of_one_episode_each(buffer, ends, numbered, cut)
                continue
            again.begin_phase(index)
            buffer = again.model.replay_buffer
            assert_samples_are_of_one_episode_each(buffer, ends, numbered, cut)
    agent.begin_phase(len(phases))
    agent.relabel(renumbered)
    assert_samples_are_of_one_episode_each(agent.model.replay_buffer, ends, renumbered, cut)
