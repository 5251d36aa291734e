"""The contract of an agent."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import function, whole_number
from prefrl.errors import ArgumentError, shown
from prefrl.records.checkpoint import load_state, save_state
from prefrl.segments import FloatArray
from prefrl.testing.clauses import calling, difference, leaves, require
from prefrl.types import Agent, RewardFunction

MakeAgent = Callable[[int], Agent]

PHASE = 40
LONGEST = 60
LARGEST_STRIDE = 10_000


def first_coordinate(
    obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
) -> FloatArray:
    """Returns (N,) a reward that is easy to compute by hand."""
    return next_obs[:, 0].astype(np.float32)


def against_effort(
    obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
) -> FloatArray:
    """Returns (N,) another one."""
    reward: FloatArray = (1.0 - action.sum(axis=1)).astype(np.float32)
    return reward


def quarter_each(
    obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
) -> FloatArray:
    """Counts the steps, in quarters: (N,)."""
    return np.full(len(obs), 0.25, dtype=np.float32)


def what_is_learned(agent: Agent) -> Any:
    """Returns the part of an agent's state that is parameters, or all of it."""
    state = agent.state()
    return state.get("parameters", state)


def check_agent(make_agent: MakeAgent, *, stride: int = 1) -> None:
    """Checks that an agent keeps to its contract.

    It takes exactly the steps it is asked for; tells each episode that ended once, with the reward
    that held; learns, and learns something else from another reward; does the same from the same
    seeds and something else in a phase of another; and its state goes to disk and back into a new
    agent that goes on as if nothing had happened.

    What it has learned is `state()["parameters"]`, or all of `state()` where it has no such entry.
    Global generators are the agent's to draw from: Stable-Baselines3 does, and every phase seeds
    them anew.

    Args:
        make_agent: makes a new agent from the seed of its first parameters, with environments of
            its own whose episodes end within 20 steps of each environment.
        stride: it takes steps in multiples of this, as many as it has environments.

    Raises:
        ContractError: it does not; the line names the clause.
    """
    function("make_agent", make_agent, "a function of a seed that makes a new agent")
    stride = whole_number("stride", stride, least=1)
    if stride > LARGEST_STRIDE:
        raise ArgumentError(f"stride is {shown(stride)}; expected at most {LARGEST_STRIDE:,}")
    _check_steps(make_agent, stride)
    _check_episodes(make_agent, stride)
    _check_learning(make_agent, stride)
    for phases in (1, 2):
        _check_state(make_agent, stride, phases)


def _made(make_agent: MakeAgent, seed: int) -> Agent:
    with calling("make_agent"):
        return make_agent(seed)


def _explored(make_agent: MakeAgent, stride: int, *, seed: int = 0) -> Agent:
    """Takes a new agent through a phase before any reward is known."""
    with calling("a new agent, in `begin_phase` or `explore`,"):
        agent = _made(make_agent, seed)
        agent.begin_phase(1)
        agent.explore(PHASE * stride)
    return agent


def _train(
    agent: Agent,
    num_steps: int,
    *,
    seed: int = 2,
    reward: RewardFunction = first_coordinate,
) -> Agent:
    """Takes the agent through a phase that follows a session."""
    with calling(f"the agent, in a phase of {num_steps} steps of training,"):
        agent.begin_phase(seed)
        agent.set_reward(reward)
        agent.relabel(reward)
        agent.train(num_steps)
    return agent


def _check_steps(make_agent: MakeAgent, stride: int) -> None:
    agent, expected = _made(make_agent, 0), 0
    require(agent.num_steps == 0, f"a new agent has taken {agent.num_steps} steps; expected 0")
    agent.begin_phase(0)
    require(agent.num_steps == 0, "the agent takes steps in `begin_phase`; expected none")
    for name, strides in (("explore", 0), ("explore", 1), ("explore", PHASE), ("train", 0)):
        with calling(f"the agent, in `{name}({strides * stride})`,"):
            getattr(agent, name)(strides * stride)
        expected += strides * stride
        _require_steps(agent, name, strides * stride, expected)
    for strides in (1, 33, 50):
        _train(agent, strides * stride)
        expected += strides * stride
        _require_steps(agent, "train", strides * stride, expected)


def _require_steps(agent: Agent, name: str, num: int, expected: int) -> None:
    require(
        agent.num_steps == expected,
        f"after `{name}({num})` the agent has taken {agent.num_steps} steps; expected {expected}",
    )


def _check_episodes(make_agent: MakeAgent, stride: int) -> None:
    agent = _explored(make_agent, stride)
    agent.pop_finished()
    _train(agent, LONGEST * stride, reward=quarter_each)
    episodes = agent.pop_finished()
    require(
        episodes,
        f"no episode ended within {LONGEST * stride} steps; make the agent with shorter episodes",
    )
    for episode in episodes:
        require(
            episode.learned_return == 0.25 * episode.length,
            f"an episode of {episode.length} steps at a reward of 0.25 has a learned return of "
            f"{episode.learned_return}; expected {0.25 * episode.length}",
        )
    require(
        any(episode.true_return != episode.learned_return for episode in episodes),
        "the agent gives the learned return as the true one",
    )
    require(not agent.pop_finished(), "the agent tells an episode twice; `pop_finished` empties")


def _check_learning(make_agent: MakeAgent, stride: int) -> None:
    """Checks what follows from the seeds, and what from the reward."""
    learned, states, episodes = [], [], []
    for seed in (2, 2, 3):
        agent = _explored(make_agent, stride)
        agent.pop_finished()
        before = leaves(what_is_learned(agent))
        _train(agent, LONGEST * stride, seed=seed)
        learned.append(leaves(what_is_learned(agent)))
        require(
            difference(before, learned[-1], "parameters"), "training changes nothing of the agent"
        )
        states.append(agent.state())
        episodes.append(agent.pop_finished())
    place = difference(states[0], states[1], "state()")
    require(not place, f"the same seeds give another agent: {place} differs")
    require(episodes[0] == episodes[1], "the same seeds give other episodes")
    require(
        episodes[0] != episodes[2],
        "`begin_phase` with another seed gives the same episodes; everything that a phase draws "
        "follows from its seed",
    )
    other = _explored(make_agent, stride)
    _train(other, LONGEST * stride, reward=against_effort)
    require(
        difference(learned[0], leaves(what_is_learned(other)), "parameters"),
        "the agent learns the same from another reward; `set_reward` has no effect",
    )


def _check_state(make_agent: MakeAgent, stride: int, phases: int) -> None:
    agent = _explored(make_agent, stride)
    if phases > 1:
        _train(agent, PHASE * stride)
    again = _made(make_agent, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.npz"
        with calling("saving the agent's `state()`, or restoring it into a new agent,"):
            save_state(path, agent.state())
            again.restore(load_state(path))
    require(
        again.num_steps == agent.num_steps,
        f"a restored agent has taken {again.num_steps} steps; expected {agent.num_steps}",
    )
    place = difference(agent.state(), again.state(), "state()")
    require(not place, f"a restored agent is another one: {place} differs")
    for one in (agent, again):
        one.pop_finished()
        _train(one, PHASE * stride, seed=5, reward=against_effort)
    place = difference(agent.state(), again.state(), "state()")
    require(not place, f"a restored agent goes on in another way: {place} differs after a phase")
    require(
        again.pop_finished() == agent.pop_finished(),
        "a restored agent goes on in another way: its episodes differ",
    )
