"""Turns what is handed in as a reward, a function, a model or its folder, into a function."""

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from prefrl import arguments
from prefrl.errors import (
    ArgumentError,
    ContractError,
    DataError,
    StorageError,
    name_of,
    not_a,
    with_type,
)
from prefrl.segments import FloatArray
from prefrl.types import RewardFunction


@runtime_checkable
class HasRewardFunction(Protocol):
    """A reward model that gives a frozen reward function of itself.

    One of several objectives takes their weights there, too.
    """

    def reward_function(self) -> RewardFunction:
        """Returns the present reward."""
        ...


@runtime_checkable
class EnsembleReward(Protocol):
    """A reward function that also knows how unsure it is."""

    def with_uncertainty(
        self, obs: FloatArray, action: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Returns (N,) rewards and (N,) uncertainties."""
        ...


@runtime_checkable
class NoveltyAware(Protocol):
    """A reward function that also knows how new to it an input is."""

    @property
    def knows_novelty(self) -> bool:
        """True where there is anything to compare with."""
        ...

    def novelty(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """Returns (N,) 0 for what was seen in training, larger for what is unlike it."""
        ...


RewardSource = RewardFunction | HasRewardFunction | str | os.PathLike[str]
"""A reward function, a reward model, or the folder of one (or of the run that learned it)."""

_EXPECTED = "a reward function, a reward model or the path of its folder"


def as_reward_function(
    reward: RewardSource, objective_weights: Sequence[float] | None = None
) -> RewardFunction:
    """Returns the reward function itself, or the frozen present one of a reward model.

    Args:
        reward: either of them, or the folder of a reward model, or of the run that learned it.
        objective_weights: how much each of the model's objectives counts; None takes equal shares.

    Raises:
        ArgumentError: it is none of them, or a function is given weights.
        ContractError: the function takes other arguments than a reward function is called with.
        StorageError: the folder holds no reward model.
    """
    if isinstance(reward, (str, os.PathLike)):
        reward = _model_in(arguments.path("reward", reward))
    if isinstance(reward, type) or not (callable(reward) or isinstance(reward, HasRewardFunction)):
        raise ArgumentError(not_a("reward", reward, _EXPECTED))
    if isinstance(reward, HasRewardFunction):
        if objective_weights is None:
            return reward.reward_function()
        model: Any = reward  # the protocol asks for no weights, as few models have objectives
        return model.reward_function(objective_weights)  # type: ignore[no-any-return]
    if objective_weights is not None:
        raise ArgumentError("objective_weights are for a reward model; a function has its own")
    _check_takes_transitions(reward)
    return reward


def _check_takes_transitions(reward: RewardFunction) -> None:
    try:
        takes = inspect.signature(reward)
    except (TypeError, ValueError):  # compiled functions say nothing of their arguments
        return
    try:
        takes.bind(*("obs", "action", "next_obs", "done"))
    except TypeError as error:
        raise ContractError(
            f"the reward function {name_of(reward)} cannot be called with "
            f"(obs, action, next_obs, done): {error}"
        ) from None


def _model_in(folder: Path) -> HasRewardFunction:
    # Only now: torch takes seconds to import.
    from prefrl.rewards.model import EnhancedRewardModel

    try:
        return EnhancedRewardModel.load(folder)
    except (OSError, ValueError) as error:  # no path at all: too long, or with a NUL in it
        raise StorageError(f"{str(folder)!r} holds no reward model: {with_type(error)}") from None


def own_rewards(rewards: Any, num: int) -> FloatArray:
    """Returns (N,) float32 of what a reward function returned, in an array of nobody else's.

    Args:
        rewards: what was returned.
        num: N.

    Raises:
        DataError: it is not one number a transition.
    """
    if np.shape(rewards) != (num,):
        raise DataError(
            f"the reward function returned rewards of shape {np.shape(rewards)}; expected ({num},)"
        )
    own = np.array(rewards)
    if own.dtype.kind not in "fiub":
        raise DataError(f"the reward function returned rewards of type {own.dtype}; expected float")
    return own.astype(np.float32, copy=False)
