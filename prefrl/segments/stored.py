"""Checks of what comes back from a file, where anybody may have written anything.

Axes: a segment's and an episode's, as in `SegmentBatch` and `Episode`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.segments.batch import SegmentBatch
from prefrl.segments.episode import FLAGS, ROWS

Expected = tuple[str, tuple[int | None, ...]]
"""NumPy's letters of the dtypes that are taken, and the shape; None stands for any length."""

_WORDS = {
    "b": "true or false",
    "u": "whole numbers",
    "iu": "whole numbers",
    "f": "numbers",
    "fiu": "numbers",
}

_SEGMENT_PARTS: dict[str, Expected] = {
    "observations": ("f", (None, None, None)),
    "actions": ("f", (None, None, None)),
    "true_rewards": ("f", (None, None)),
    "sim_states": ("f", (None, None, None)),
    "episode": ("iu", (None,)),
    "start": ("iu", (None,)),
    "length": ("iu", (None,)),
    "terminated": ("b", (None, None)),
    "truncated": ("b", (None, None)),
    "objective_rewards": ("f", (None, None, None)),
}
_REQUIRED = ("observations", "actions", "true_rewards", "sim_states", "episode", "start")
# Simulators keep what they like in their states.
_FINITE = ("observations", "actions", "true_rewards", "objective_rewards")


def check_arrays(arrays: Mapping[str, Any], expected: Mapping[str, Expected]) -> None:
    """Refuses arrays of another dtype or shape than they must have.

    Args:
        arrays: by name; others than those expected may be among them.
        expected: of each name.

    Raises:
        DataError: one is missing, is no array, or does not fit; it is named.
    """
    if missing := [name for name in expected if name not in arrays]:
        raise DataError(f"it lacks {', '.join(missing)}")
    for name, (kinds, shape) in expected.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray):
            raise DataError(f"{name} is no array")
        is_fine = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        )
        if not is_fine or array.dtype.kind not in kinds:
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise DataError(
                f"{name} has shape {array.shape} and type {array.dtype}; expected ({wanted}) "
                f"{_WORDS[kinds]}"
            )


def check_finite(arrays: Mapping[str, Any], names: tuple[str, ...] = _FINITE) -> None:
    """Refuses numbers that are not finite.

    Raises:
        DataError: there are some; the array is named.
    """
    for name in names:
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise DataError(f"{name} holds numbers that are not finite")


def segments_of(state: Any, *, is_reward_known: bool = True) -> SegmentBatch:
    """Returns the segments whose parts a file holds, by name.

    Args:
        state: the parts.
        is_reward_known: the true reward is; else it may be NaN, as of recorded data without any.

    Raises:
        DataError: a part is missing, unknown, or does not fit; it is named.
    """
    if not isinstance(state, Mapping):
        raise DataError(f"segments are a {type(state).__name__}; expected arrays by name")
    if unknown := [name for name in state if name not in _SEGMENT_PARTS]:
        raise DataError(f"{unknown[0]} is no part of segments")
    is_needed = [name for name in _SEGMENT_PARTS if name in state or name in _REQUIRED]
    check_arrays(state, {name: _SEGMENT_PARTS[name] for name in is_needed})
    check_finite(state if is_reward_known else _without_unknown(state))
    batch = SegmentBatch(
        **{name: _as_ours(name, array) for name, array in state.items()},
    )
    for name in ("episode", "start"):
        if len(batch) and getattr(batch, name).min() < 0:
            raise DataError(f"{name} holds {getattr(batch, name).min()}; expected 0 or more")
    return batch


def _without_unknown(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parts with zeros for the true rewards that are not known."""
    told = [name for name in ("true_rewards", "objective_rewards") if name in state]
    return {**state, **{name: np.where(np.isnan(state[name]), 0, state[name]) for name in told}}


def check_episodes(state: Any) -> None:
    """Refuses a state that no `EpisodeStore` has returned.

    Raises:
        DataError: a part is missing or does not fit; it is named.
    """
    if not isinstance(state, Mapping):
        raise DataError(f"the store's state is a {type(state).__name__}; expected arrays by name")
    check_arrays(state, {"lengths": ("iu", (None,))})
    lengths: NDArray[Any] = state["lengths"]
    num_dropped = state.get("num_dropped")
    if type(num_dropped) is not int or not 0 <= num_dropped < 2**62:
        raise DataError(f"num_dropped is {num_dropped!r}; expected 0 or more")
    num = len(lengths)
    check_arrays(state, dict.fromkeys(FLAGS, ("b", (num,))))
    if missing := [name for name in ROWS if name not in state]:
        raise DataError(f"it lacks {', '.join(missing)}")
    if not num:
        return
    if lengths.min() < 1:
        raise DataError(f"lengths holds {lengths.min()}; expected 1 or more")
    steps = sum(lengths.tolist())  # Python's numbers do not overflow.
    rows: dict[str, Expected] = dict.fromkeys(ROWS, ("f", (steps, None)))
    rows["observations"] = ("f", (steps + num, None))
    rows["true_rewards"] = ("f", (steps,))
    check_arrays(state, rows)
    check_finite(state)


def _as_ours(name: str, array: NDArray[Any]) -> NDArray[Any]:
    kind = _SEGMENT_PARTS[name][0]
    own: Any = {"f": np.float64 if name == "sim_states" else np.float32, "iu": np.int64}
    return array.astype(own.get(kind, np.bool_), copy=False)
