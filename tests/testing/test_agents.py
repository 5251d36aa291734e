"""An agent that breaks a clause of its contract is found out, in one line that says which."""

from typing import Any

import numpy as np
import pytest

from prefrl.errors import ContractError
from prefrl.testing import check_agent
from prefrl.types import Agent, EpisodeReturns, RewardFunction, State
from tests.testing.broken import broken

LENGTH = 10


class Fair:
    """Walks at random, and remembers the mean reward: all that an agent must do."""

    def __init__(self, seed: int) -> None:
        self.num_steps = 0
        self.mean = np.array([float(seed)])
        self.rng = np.random.default_rng(seed)
        self.reward: RewardFunction | None = None
        self.finished: list[EpisodeReturns] = []
        self.rewards: list[float] = []
        self.true_rewards: list[float] = []

    def begin_phase(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rewards, self.true_rewards = [], []

    def explore(self, num_steps: int) -> None:
        self.walk(num_steps, learns=False)

    def train(self, num_steps: int) -> None:
        self.walk(num_steps, learns=True)

    def walk(self, num_steps: int, *, learns: bool) -> None:
        for _ in range(num_steps):
            obs = self.rng.normal(size=(1, 2)).astype(np.float32)
            reward = self.reward(obs, obs, obs, np.zeros(1, dtype=bool))[0] if self.reward else 0
            self.num_steps += 1
            self.rewards.append(float(reward))
            self.true_rewards.append(float(obs[0, 0]))
            if learns:
                self.mean = 0.9 * self.mean + 0.1 * reward
            if len(self.rewards) == LENGTH:
                self.end()

    def end(self) -> None:
        true, learned = float(np.sum(self.true_rewards)), float(np.sum(self.rewards))
        self.finished.append(EpisodeReturns(true, learned, LENGTH, False))
        self.rewards, self.true_rewards = [], []

    def set_reward(self, reward_function: RewardFunction) -> None:
        self.reward = reward_function

    def relabel(self, reward_function: RewardFunction) -> None:
        pass

    def pop_finished(self) -> list[EpisodeReturns]:
        finished, self.finished = self.finished, []
        return finished

    def state(self) -> State:
        return {"parameters": {"mean": self.mean.copy()}, "num_steps": self.num_steps}

    def restore(self, state: State) -> None:
        self.mean = np.array(state["parameters"]["mean"])
        self.num_steps = int(state["num_steps"])


BROKEN: dict[str, tuple[str, type[Any]]] = {}
breaks = broken(BROKEN)


@breaks("a new agent has taken 1 steps; expected 0")
class StartsAtOne(Fair):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.num_steps = 1


@breaks("takes steps in `begin_phase`")
class StepsAtTheBeginning(Fair):
    def begin_phase(self, seed: int) -> None:
        super().begin_phase(seed)
        self.walk(1, learns=False)


@breaks("after `explore(40)` the agent has taken 43 steps; expected 41")
class ExploresInSevens(Fair):
    def explore(self, num_steps: int) -> None:
        self.walk(num_steps + -num_steps % 7 if num_steps > 1 else num_steps, learns=False)


@breaks("after `train(33)` the agent has taken")
class TrainsInTwos(Fair):
    def train(self, num_steps: int) -> None:
        self.walk(num_steps + num_steps % 2 * (num_steps > 1), learns=True)


@breaks("in `explore(0)`, raised ZeroDivisionError")
class CannotDoNothing(Fair):
    def explore(self, num_steps: int) -> None:
        super().explore(num_steps + 0 // num_steps)


@breaks("no episode ended within 60 steps")
class NeverEnds(Fair):
    def end(self) -> None:
        self.rewards = self.rewards[1:]


@breaks("has a learned return of 0.0; expected 2.5")
class ForgetsTheReward(Fair):
    def end(self) -> None:
        self.finished.append(EpisodeReturns(float(np.sum(self.true_rewards)), 0.0, LENGTH, False))
        self.rewards, self.true_rewards = [], []


@breaks("gives the learned return as the true one")
class HidesTheTruth(Fair):
    def end(self) -> None:
        self.true_rewards = self.rewards
        super().end()


@breaks("tells an episode twice")
class TellsTwice(Fair):
    def pop_finished(self) -> list[EpisodeReturns]:
        return self.finished[-6:]


@breaks("training changes nothing of the agent")
class NeverLearns(Fair):
    def train(self, num_steps: int) -> None:
        self.explore(num_steps)


@breaks("the same seeds give another agent: state()['parameters']['mean'] differs")
class ChanceOfItsOwn(Fair):
    def train(self, num_steps: int) -> None:
        super().train(num_steps)
        self.mean = self.mean + np.random.default_rng().normal()


@breaks("`begin_phase` with another seed gives the same episodes")
class OneSeedForAll(Fair):
    def begin_phase(self, seed: int) -> None:
        super().begin_phase(0)


@breaks("learns the same from another reward")
class KeepsItsOwnReward(Fair):
    def train(self, num_steps: int) -> None:
        super().train(num_steps)
        self.mean = np.array([float(self.rng.normal())])


@breaks("saving the agent's `state()`, or restoring it into a new agent, raised")
class StateThatCannotBeSaved(Fair):
    def state(self) -> State:
        return {**super().state(), "reward": self.reward}


@breaks("a restored agent has taken 0 steps; expected 40")
class ForgetsItsSteps(Fair):
    def restore(self, state: State) -> None:
        super().restore({**state, "num_steps": 0})


@breaks("a restored agent is another one: state()['parameters']['mean'] differs")
class ForgetsWhatItLearned(Fair):
    def restore(self, state: State) -> None:
        self.num_steps = int(state["num_steps"])


@breaks("a restored agent goes on in another way: state()['parameters']['mean'] differs")
class LeavesOutItsOptimiser(Fair):
    step = 0.0

    def train(self, num_steps: int) -> None:
        super().train(num_steps)
        self.step += 1
        self.mean = self.mean + self.step


@pytest.mark.parametrize(("said", "make_agent"), BROKEN.values(), ids=BROKEN)
def test_a_broken_agent_is_found_out(said: str, make_agent: Any) -> None:
    with pytest.raises(ContractError) as caught:
        check_agent(make_agent)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fair_agent_passes() -> None:
    agent: Agent = Fair(0)
    assert agent.num_steps == 0
    check_agent(Fair)
    check_agent(Fair, stride=3)
