"""Tables of steps: arrays of R rows each, by the names that they have on disk.

Axes: R rows, O observation dims, A action dims, Q simulator-state dims, M objectives.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError

Steps = Mapping[str, NDArray[Any]]
"""Arrays of R rows each, by the names that they have on disk."""


@dataclass(frozen=True)
class StepArray:
    """The shape and the dtype of an array of a step table.

    Args:
        tail: what its axes after the first are called.
        kinds: NumPy's letters of the dtypes that are taken.
        fill: stands where one of several tables does not have the array.
    """

    tail: tuple[str, ...]
    kinds: str
    fill: Any = math.nan


STEP_ARRAYS: dict[str, StepArray] = {
    "observations": StepArray(("dims",), "fiub"),
    "actions": StepArray(("dims",), "fiub"),
    "next_observations": StepArray(("dims",), "fiub"),
    "frames": StepArray(("height", "width", "3"), "uif", fill=0),
    "true_reward": StepArray((), "fiub"),
    "true_rewards": StepArray(("objectives",), "fiub"),
    "episode": StepArray((), "iu", fill=0),
    "episode_step": StepArray((), "iu", fill=0),
    "terminated": StepArray((), "biu", fill=False),
    "truncated": StepArray((), "biu", fill=False),
    "sim_states": StepArray(("dims",), "fiub"),
}

_KINDS = {"iu": "whole numbers", "biu": "true or false"}


def true_reward_of(steps: Steps) -> NDArray[Any]:
    """Returns (R,) the environment's own reward; NaN where the table does not tell it."""
    if "true_reward" in steps:
        return steps["true_reward"]
    each = steps.get("true_rewards")
    if each is not None and each.shape[1] == 1:
        return each[:, 0]
    return np.full(len(steps["observations"]), math.nan, dtype=np.float32)


def episodes_of(steps: Steps) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns (R,) each row's episode and its step in it.

    A table without episodes counts as one; without steps they are counted from where an episode
    begins in the table. So two windows are the same where both numbers are.
    """
    row = np.arange(len(steps["observations"]))
    episode = steps.get("episode", np.zeros(len(row), dtype=np.int64))
    step = steps.get("episode_step")
    if step is None:
        begins = np.ones(len(row), dtype=bool)
        begins[1:] = episode[1:] != episode[:-1]
        step = row - np.maximum.accumulate(np.where(begins, row, 0))
    return episode, step


def check_steps(steps: Steps) -> None:
    """Refuses a table whose arrays do not fit each other.

    Raises:
        DataError: an array's shape or dtype is wrong; it is named.
    """
    rows = len(steps["observations"]) if steps["observations"].ndim else 0
    for name, array in steps.items():
        kind = STEP_ARRAYS[name]
        expected = f"({', '.join([str(rows), *kind.tail])}{'' if kind.tail else ','})"
        is_fine = array.ndim == 1 + len(kind.tail) and len(array) == rows
        if not is_fine or (name == "frames" and array.shape[-1] != 3):
            raise DataError(f"{name} has shape {array.shape}; expected {expected}")
        if array.dtype.kind not in kind.kinds and array.size:
            expected = _KINDS.get(kind.kinds, "numbers")
            raise DataError(f"{name} is of type {array.dtype}; expected {expected}")
    if steps["observations"].shape[1] + steps["actions"].shape[1] == 0:
        raise DataError("observations: a row holds no numbers; expected an observation or action")
    if "next_observations" in steps:
        one, other = (steps[name].shape for name in ("observations", "next_observations"))
        if one != other:
            raise DataError(f"next_observations has shape {other}; expected {one}")


def joined_steps(tables: Sequence[Steps]) -> dict[str, NDArray[Any]]:
    """Joins tables; where one lacks an array that another has, there is the array's fill.

    Raises:
        DataError: an array's dims differ between tables.
    """
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: _joined(tables, name) for name in names}


def _joined(tables: Sequence[Steps], name: str) -> NDArray[Any]:
    tails = {table[name].shape[1:] for table in tables if name in table}
    if len(tails) > 1:
        each = " and ".join(str(tail) for tail in sorted(tails))
        raise DataError(f"{name} is {each} wide; expected the same dims everywhere")
    (tail,) = tails
    dtype = next(table[name].dtype for table in tables if name in table)
    fill = STEP_ARRAYS[name].fill
    parts = []
    for table in tables:
        missing = (len(table["observations"]), *tail)
        is_float = dtype.kind == "f" or not isinstance(fill, float)
        parts.append(
            table[name]
            if name in table
            else np.full(missing, fill, dtype=dtype if is_float else np.float64)
        )
    return np.concatenate(parts)
