"""The protocols that the loop is made of, and the axis legend.

Axes, everywhere: B comparisons, S segments, N transitions, T steps of a segment, K heads,
D features, O observation dims, A action dims.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import FloatArray

Float64Array = NDArray[np.float64]
"""Doubles, for statistics; `FloatArray` is what models and environments take: float32."""

State = dict[str, Any]
"""A tree of dicts and lists whose leaves are arrays, numbers, strings, booleans or None."""


@dataclass(frozen=True)
class EpisodeReturns:
    """One finished episode's sums.

    Args:
        true_return: of the environment's own reward.
        learned_return: of the reward in its place; NaN where the agent was given the true one.
        length: steps.
        is_terminated: it ended by itself, not at a time limit.
        has_succeeded: what the environment says of it; None where it says nothing.
    """

    true_return: float
    learned_return: float
    length: int
    is_terminated: bool
    has_succeeded: bool | None = None


@runtime_checkable
class RewardFunction(Protocol):
    """Rewards for a batch of transitions; no gradient, nothing of itself changes.

    `next_obs` is what the action led to, at an episode's end its last observation; `done` is true
    where the environment *terminated* there: a time limit or a reset cuts an episode, but is no
    part of what happened in it.
    """

    def __call__(
        self,
        obs: FloatArray,
        action: FloatArray,
        next_obs: FloatArray,
        done: NDArray[np.bool_],
    ) -> FloatArray:
        """Returns (N,) float32 of (N, O), (N, A), (N, O) and (N,)."""
        ...


class Agent(Protocol):
    """A reinforcement learner behind vector environments whose reward can be replaced."""

    @property
    def num_steps(self) -> int:
        """Environment steps taken so far, over all environments."""
        ...

    def begin_phase(self, seed: int) -> None:
        """Resets environments and every generator the learner draws from."""
        ...

    def explore(self, num_steps: int) -> None:
        """Gathers exactly `num_steps` steps before any reward is known."""
        ...

    def set_reward(self, reward_function: RewardFunction) -> None:
        """Rewards by this function from the next step on."""
        ...

    def relabel(self, reward_function: RewardFunction) -> None:
        """Computes the rewards of stored experience anew."""
        ...

    def train(self, num_steps: int) -> None:
        """Learns over exactly `num_steps` further steps."""
        ...

    def pop_finished(self) -> list[EpisodeReturns]:
        """Returns the episodes that ended since the last call."""
        ...

    def state(self) -> State:
        """Returns everything needed to restore it at the start of a phase."""
        ...

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        ...
