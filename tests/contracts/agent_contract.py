"""What every agent must keep to: inherit `AgentContract` and provide `make_agent`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prefrl.records.checkpoint import load_state, save_state
from prefrl.types import Agent

MakeAgent = Callable[[int], Agent]


def first_coordinate(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    """A reward that is easy to compute by hand."""
    return next_obs[:, 0].astype(np.float32)


def against_effort(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    """Another one."""
    return (1.0 - action.sum(axis=1)).astype(np.float32)


def quarter_each(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    """Counts the steps, in quarters."""
    return np.full(len(obs), 0.25, dtype=np.float32)


def assert_same_state(one: Any, other: Any, place: str = "state") -> None:
    """Every leaf of two trees is the same, to the last bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_same_state(one[key], other[key], f"{place}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), place
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same_state(left, right, f"{place}[{i}]")
    elif isinstance(one, (torch.Tensor, np.ndarray)):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=place)
    else:
        assert one == other or (one != one and other != other), f"{place}: {one} is not {other}"


class AgentContract:
    """Inherited by one test class for each agent.

    A subclass overrides the fixture `make_agent`, which returns a function from a seed of the
    initial weights to a new agent, and `stride`, in whose multiples it takes steps.
    """

    stride = 1

    @pytest.fixture
    def make_agent(self) -> MakeAgent:
        raise NotImplementedError

    def explore(self, agent: Agent, *, seed: int = 1, strides: int = 40) -> None:
        """A phase before any reward is known."""
        agent.begin_phase(seed)
        agent.explore(strides * self.stride)

    def train(
        self, agent: Agent, *, seed: int = 2, strides: int = 40, reward: Any = first_coordinate
    ) -> None:
        """A phase after a session."""
        agent.begin_phase(seed)
        agent.set_reward(reward)
        agent.relabel(reward)
        agent.train(strides * self.stride)

    def test_steps_are_taken_exactly(self, make_agent):
        agent = make_agent(0)
        assert agent.num_steps == 0
        agent.begin_phase(0)
        assert agent.num_steps == 0
        expected = 0
        for strides in (1, 40):
            agent.explore(strides * self.stride)
            expected += strides * self.stride
            assert agent.num_steps == expected
        for strides in (1, 33, 50):
            self.train(agent, strides=strides)
            expected += strides * self.stride
            assert agent.num_steps == expected

    def test_no_steps_are_taken_where_none_are_asked_for(self, make_agent):
        agent = make_agent(0)
        self.explore(agent)
        agent.begin_phase(0)
        agent.explore(0)
        agent.train(0)
        assert agent.num_steps == 40 * self.stride

    def test_the_episodes_that_ended_are_told_once_with_the_reward_that_held(self, make_agent):
        agent = make_agent(0)
        self.explore(agent)
        agent.pop_finished()
        self.train(agent, strides=60, reward=quarter_each)
        episodes = agent.pop_finished()
        assert episodes
        for episode in episodes:
            assert episode.learned_return == 0.25 * episode.length
            assert episode.true_return != episode.learned_return
        assert agent.pop_finished() == []

    def test_the_same_seeds_give_the_same_agent(self, make_agent):
        agents = [make_agent(0), make_agent(0)]
        for agent in agents:
            self.explore(agent)
            self.train(agent)
        assert_same_state(agents[0].state(), agents[1].state())

    def test_what_a_phase_does_follows_from_its_seed(self, make_agent):
        episodes = []
        for seed in (2, 2, 3):
            agent = make_agent(0)
            self.explore(agent)
            agent.pop_finished()
            self.train(agent, seed=seed)
            episodes.append(agent.pop_finished())
        assert episodes[0] == episodes[1]
        assert episodes[0] != episodes[2]

    def test_training_changes_the_agent(self, make_agent):
        agent = make_agent(0)
        self.explore(agent)
        before = parameters_of(agent)
        self.train(agent)
        assert any((a != b).any() for a, b in zip(before, parameters_of(agent), strict=False))

    def test_the_reward_decides_what_is_learned(self, make_agent):
        parameters = []
        for reward in (first_coordinate, against_effort):
            agent = make_agent(0)
            self.explore(agent)
            self.train(agent, reward=reward)
            parameters.append(parameters_of(agent))
        assert any((a != b).any() for a, b in zip(*parameters, strict=True))

    def test_a_state_goes_to_disk_and_back_into_a_new_agent(self, make_agent, tmp_path):
        agent = make_agent(0)
        self.explore(agent)
        self.train(agent)
        again = restored(agent, make_agent(1), tmp_path)
        assert again.num_steps == agent.num_steps
        assert_same_state(again.state(), agent.state())

    @pytest.mark.parametrize("saved_after", ["exploration", "training"])
    def test_a_restored_agent_goes_on_as_if_nothing_had_happened(
        self, make_agent, tmp_path, saved_after
    ):
        agent = make_agent(0)
        self.explore(agent)
        if saved_after == "training":
            self.train(agent)
        again = restored(agent, make_agent(1), tmp_path)
        for other in (agent, again):
            other.pop_finished()
            self.train(other, seed=5, reward=against_effort)
        assert_same_state(again.state(), agent.state())
        assert again.pop_finished() == agent.pop_finished()


def parameters_of(agent: Agent) -> list[np.ndarray]:
    """Copies of what the agent has learned, and of what its optimisers remember."""
    return _leaves(agent.state()["parameters"])


def _leaves(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in _leaves(value)]
    return [tree.detach().numpy().copy()] if isinstance(tree, torch.Tensor) else []


def restored(agent: Agent, fresh: Agent, folder: Path) -> Agent:
    """A fresh agent with the state of another, by way of the disk."""
    save_state(folder / "agent.npz", agent.state())
    fresh.restore(load_state(folder / "agent.npz"))
    return fresh
