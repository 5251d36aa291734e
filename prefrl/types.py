"""The protocols that the loop is made of, and the axis legend.

Axes, everywhere: B comparisons, S segments, N transitions, T steps of a segment, K heads,
D features, O observation dims, A action dims.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prefrl.segments import FloatArray, SegmentBatch

State = dict[str, Any]
"""A tree of dicts and lists whose leaves are arrays, numbers, strings, booleans or None."""

Pairs = NDArray[np.int64]
"""(B, 2) indices into a pool of segments: left, right."""


@dataclass(frozen=True)
class EpisodeReturns:
    """One finished episode's sums.

    Args:
        true_return: of the environment's own reward.
        learned_return: of the reward the agent was given.
        length: steps.
        is_terminated: it ended by itself, not at a time limit.
    """

    true_return: float
    learned_return: float
    length: int
    is_terminated: bool


@runtime_checkable
class RewardFunction(Protocol):
    """Rewards for a batch of transitions; no gradient, nothing of itself changes."""

    def __call__(
        self,
        obs: FloatArray,
        action: FloatArray,
        next_obs: FloatArray,
        done: NDArray[np.bool_],
    ) -> FloatArray:
        """(N, O), (N, A), (N, O), (N,) -> (N,) float32."""
        ...


class Predictor(Protocol):
    """What a query strategy may ask of a reward model."""

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, K) each head's reward summed over each segment, in nats."""
        ...

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, D) where segments lie in its feature space, at unit length."""
        ...

    def asked_embeddings(self) -> FloatArray:
        """(M, D) where those lie that it remembers having been asked about; M may be 0."""
        ...

    def asked_places(self) -> FloatArray:
        """(M, 2 O) mean and last observation, raw, of all segments asked about.

        M may be 0, or more than those above.
        """
        ...


class QueryStrategy(Protocol):
    """Chooses which pairs of a pool are put to the teacher."""

    def select(
        self,
        pool: SegmentBatch,
        num_queries: int,
        predictor: Predictor,
        *,
        rng: np.random.Generator,
    ) -> Pairs:
        """(num_queries, 2) distinct pairs, none of a segment with itself."""
        ...


class Teacher(Protocol):
    """Whoever answers: a person or a simulation."""

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Shows the present candidates before a session; returns figures worth logging."""
        ...

    def answer(
        self, left: SegmentBatch, right: SegmentBatch, *, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """(B,) 1 left, 0 right, 0.5 tie, NaN skipped."""
        ...


class RewardLearner(Predictor, Protocol):
    """A reward model together with the way it is fitted."""

    def fit(self, comparisons: Any, *, session: int) -> dict[str, float]:
        """Fits to every comparison so far; returns figures worth logging."""
        ...

    def reward_function(self) -> RewardFunction:
        """The present reward, ready to be put into environments."""
        ...

    def state(self) -> State:
        """Everything needed to restore it."""
        ...

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        ...


class Agent(Protocol):
    """A reinforcement learner behind vector environments whose reward can be replaced."""

    @property
    def num_steps(self) -> int:
        """Environment steps taken so far, over all environments."""
        ...

    def begin_leg(self, seed: int) -> None:
        """Resets environments and every generator the learner draws from."""
        ...

    def explore(self, num_steps: int) -> None:
        """Gathers exactly `num_steps` steps before any reward is known."""
        ...

    def set_reward(self, reward_function: RewardFunction) -> None:
        """From the next step on this is the reward."""
        ...

    def relabel(self, reward_function: RewardFunction) -> None:
        """Computes the rewards of stored experience anew."""
        ...

    def train(self, num_steps: int) -> None:
        """Learns over exactly `num_steps` further steps."""
        ...

    def pop_finished(self) -> list[EpisodeReturns]:
        """The episodes that ended since the last call."""
        ...

    def state(self) -> State:
        """Everything needed to restore it at the start of a leg."""
        ...

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        ...
