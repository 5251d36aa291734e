"""`Episode`: a whole rollout that knows how it ended.

Axes: L steps, O observation dims, A action dims, Q simulator-state dims, M objectives.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import array_of_numbers, flag
from prefrl.errors import DataError

FloatArray = NDArray[np.float32]

ROWS = ("observations", "actions", "true_rewards", "sim_states", "objective_rewards")
"""Parts of an episode with one row a step; of observations there is one row more."""
FLAGS = ("is_complete", "terminated", "truncated")
"""Parts of an episode that it has once."""


def _no_objectives() -> FloatArray:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class Episode:
    """One rollout from reset to termination, truncation or the end of a phase.

    Args:
        observations: (L + 1, O) float32, raw: those seen *before* each action, then the one that
            the last action led to.
        actions: (L, A) float32, in the environment's own units (discrete ones one-hot).
        true_rewards: (L,) float32, the environment's own; never shown to the learner.
        sim_states: (L, Q) float64, the simulator state before each action, from which a clip is
            rendered later; Q is 0 where the environment offers none.
        is_complete: the environment itself ended it, so that its return counts.
        terminated: its last step led to a state after which nothing can come.
        truncated: it was cut there, by a time limit or by a reset that the learner made itself
            (then it is not complete); it ends in one of the two ways, or both at once.
        objective_rewards: (L, M) float32, the true reward of each of M objectives; M is 0 where
            there is one.

    Raises:
        DataError: an array has another shape, or the episode has no step or no end.
    """

    observations: FloatArray
    actions: FloatArray
    true_rewards: FloatArray
    sim_states: NDArray[np.float64]
    is_complete: bool = True
    terminated: bool = False
    truncated: bool = True
    objective_rewards: FloatArray = field(default_factory=_no_objectives)

    def __post_init__(self) -> None:
        for name in ROWS:
            array_of_numbers(name, getattr(self, name))
        for name in FLAGS:
            flag(name, getattr(self, name))
        if not self.actions.ndim:
            raise DataError("actions has shape (); expected (steps, dims)")
        length = len(self.actions)
        if self.objective_rewards.shape == (0, 0):
            object.__setattr__(self, "objective_rewards", np.zeros((length, 0), dtype=np.float32))
        if length == 0:
            raise DataError("an episode needs at least one step")
        for name in ("observations", "actions", "sim_states", "objective_rewards"):
            array, rows = getattr(self, name), length + (name == "observations")
            if array.ndim != 2 or len(array) != rows:
                raise DataError(f"{name} has shape {array.shape}; expected ({rows}, dims)")
        if self.true_rewards.shape != (length,):
            raise DataError(
                f"true_rewards has shape {self.true_rewards.shape}; expected ({length},)"
            )
        if not (self.terminated or self.truncated):
            raise DataError("an episode is terminated or truncated; this one is neither")

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def true_return(self) -> float:
        """Sum of the true rewards."""
        return float(self.true_rewards.sum(dtype=np.float64))
