"""Pairs of segments as windows over a table of steps, which several of them may share.

Axes: N pairs, R rows of the table, T steps of a segment, O observation dims, A action dims, Q
simulator-state dims, M objectives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.feedback.steps import Steps, check_steps, episodes_of, joined_steps, true_reward_of
from prefrl.segments import SegmentBatch

# Fields of a SegmentBatch that go by another name in a table.
_FIELDS = {"true_reward": "true_rewards", "true_rewards": "objective_rewards"}
_FROM_BATCH = (
    *("observations", "actions", "true_reward", "true_rewards"),
    *("terminated", "truncated", "sim_states"),
)


@dataclass(frozen=True)
class Pairs:
    """N pairs of segments; a segment is rows `start .. start + length - 1` of the table.

    Args:
        steps: the table; `observations` and `actions` are there, others may be.
        left_start: (N,) row of each left segment's first step.
        right_start: (N,) likewise.
        length: (N,) steps of both segments of a pair.
        segment_length: T, the longest that a segment can be.

    Raises:
        DataError: a segment does not lie within the table, or an array is of another shape.
    """

    steps: Steps
    left_start: NDArray[np.int64]
    right_start: NDArray[np.int64]
    length: NDArray[np.int64]
    segment_length: int

    def __post_init__(self) -> None:
        check_steps(self.steps)
        for name in ("length", "left_start", "right_start"):
            object.__setattr__(self, name, _whole_numbers(name, getattr(self, name)))
        _check_windows(self)

    def __len__(self) -> int:
        return len(self.length)

    @property
    def num_rows(self) -> int:
        """Returns R."""
        return len(self.steps["observations"])

    @property
    def dims(self) -> tuple[int, ...]:
        """Returns T, O, A and Q."""
        arrays = (self.steps.get(name) for name in ("observations", "actions", "sim_states"))
        return (self.segment_length, *(0 if a is None else a.shape[1] for a in arrays))

    @cached_property
    def left(self) -> SegmentBatch:
        """Cuts the left segments; a view of the table where they lie one after another in it."""
        return self._segments(self.left_start)

    @cached_property
    def right(self) -> SegmentBatch:
        """Cuts the right segments, likewise."""
        return self._segments(self.right_start)

    @staticmethod
    def of(left: SegmentBatch, right: SegmentBatch) -> "Pairs":
        """Lays segments out in a table, the left ones first; padding is left out.

        Raises:
            DataError: segments of a pair differ in length, or batches in dims.
        """
        for name in ("observations", "actions", "sim_states"):
            one, other = getattr(left, name).shape, getattr(right, name).shape
            if one != other:
                raise DataError(
                    f"{name} of the left segments have shape {one}, of the right ones {other}"
                )
        if (left.length != right.length).any():
            raise DataError("the segments of a pair differ in length; cut both to the shorter one")
        is_step = left.mask()
        columns = np.arange(left.segment_length)

        def rows(batch: SegmentBatch, name: str) -> NDArray[Any]:
            if name == "episode":
                array = np.broadcast_to(batch.episode[:, None], is_step.shape)
            elif name == "episode_step":
                array = batch.start[:, None] + columns
            else:
                array = getattr(batch, _FIELDS.get(name, name))
            return array[is_step]

        names = [*_FROM_BATCH, "episode", "episode_step"]
        if left.objective_rewards.shape[2] == 0:
            names.remove("true_rewards")
        steps = {name: np.concatenate([rows(left, name), rows(right, name)]) for name in names}
        ends = np.cumsum(left.length)
        starts = ends - left.length
        total = int(ends[-1]) if len(ends) else 0
        return Pairs(steps, starts, starts + total, left.length, left.segment_length)

    def windows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (N, 2) the episode and the first step in it of the left and of the right ones."""
        both = np.stack(episodes_of(self.steps), axis=1).astype(np.int64)
        return both[self.left_start], both[self.right_start]

    def select(self, rows: NDArray[np.int64]) -> "Pairs":
        """Returns some of the pairs, with those rows of the table that they show."""
        chosen = replace(
            self,
            left_start=self.left_start[rows],
            right_start=self.right_start[rows],
            length=self.length[rows],
        )
        steps, is_shown = dict(self.steps), chosen.is_shown()
        if "episode" in steps:  # Not to be counted from whichever of its steps are left.
            steps["episode_step"] = episodes_of(steps)[1]
        # The rows of a segment stay next to each other, so its start says where all of them are.
        new_row = np.cumsum(is_shown) - 1
        return Pairs(
            {name: array[is_shown] for name, array in steps.items()},
            new_row[chosen.left_start],
            new_row[chosen.right_start],
            chosen.length,
            self.segment_length,
        )

    def is_shown(self) -> NDArray[np.bool_]:
        """Returns (R,) which rows lie in a segment."""
        starts = np.concatenate([self.left_start, self.right_start])
        ends = starts + np.tile(self.length, 2)
        begun, ended = (np.bincount(rows, minlength=self.num_rows + 1) for rows in (starts, ends))
        return np.asarray(np.cumsum(begun - ended)[:-1] > 0, dtype=np.bool_)

    @staticmethod
    def concatenate(parts: Sequence["Pairs"]) -> "Pairs":
        """Joins pairs and their tables; T is the largest.

        Where a table lacks an array that another has, there is NaN, False, or a black frame.

        Raises:
            DataError: an array's dims differ between tables.
        """
        if len(parts) == 1:
            return parts[0]
        steps = joined_steps([part.steps for part in parts])
        first_row = np.cumsum([0, *(part.num_rows for part in parts)])
        starts = {
            side: np.concatenate(
                [getattr(part, side) + first for part, first in zip(parts, first_row, strict=False)]
            )
            for side in ("left_start", "right_start")
        }
        return Pairs(
            steps,
            **starts,
            length=np.concatenate([part.length for part in parts]),
            segment_length=max(part.segment_length for part in parts),
        )

    def _segments(self, start: NDArray[np.int64]) -> SegmentBatch:
        cut = _window_cutter(start, self.length, self.segment_length)
        no_dims, nowhere = np.zeros((self.num_rows, 0)), np.zeros(self.num_rows, dtype=bool)
        episode, step = episodes_of(self.steps)
        return SegmentBatch(
            observations=cut(self.steps["observations"], np.float32),
            actions=cut(self.steps["actions"], np.float32),
            true_rewards=cut(true_reward_of(self.steps), np.float32),
            sim_states=cut(self.steps.get("sim_states", no_dims), np.float64),
            episode=episode[start].astype(np.int64),
            start=step[start].astype(np.int64),
            length=self.length,
            terminated=cut(self.steps.get("terminated", nowhere), np.bool_),
            truncated=cut(self.steps.get("truncated", nowhere), np.bool_),
            objective_rewards=cut(self.steps.get("true_rewards", no_dims), np.float32),
        )


def _window_cutter(
    start: NDArray[np.int64], length: NDArray[np.int64], longest: int
) -> Callable[[NDArray[Any], Any], NDArray[Any]]:
    """Returns a function that cuts (R, ...) arrays into (N, T, ...) windows of a dtype.

    Shorter windows are padded with zeros. Where whole windows lie one after another, as those of a
    run do, nothing is copied.
    """
    shape, offsets = (len(start), longest), np.arange(longest)
    first = int(start[0]) if len(start) else 0
    in_order = (length == longest).all() and (
        start == first + longest * np.arange(len(start))
    ).all()
    if in_order:

        def view(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
            flat = array[first : first + len(start) * longest]
            return flat.reshape(*shape, *array.shape[1:]).astype(dtype, copy=False)

        return view
    is_step = offsets < length[:, None]
    rows = np.where(is_step, start[:, None] + offsets, 0)

    def gather(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
        windows = array[rows].astype(dtype, copy=False)
        windows[~is_step] = 0
        return windows

    return gather


def window_pairs(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns (N, 4) each pair's two windows, whichever stood on the left the smaller one first."""
    is_later = (left[:, 0] > right[:, 0]) | (
        (left[:, 0] == right[:, 0]) & (left[:, 1] > right[:, 1])
    )
    swap = is_later[:, None]
    return np.hstack([np.where(swap, right, left), np.where(swap, left, right)])


def windows_of(segments: SegmentBatch) -> NDArray[np.int64]:
    """Returns (S, 2) each segment's episode and its first step in it."""
    return np.stack([segments.episode, segments.start], axis=1)


def dims_of(segments: SegmentBatch) -> tuple[int, ...]:
    """Returns T, O, A and Q of segments, as `Pairs.dims` does of pairs."""
    arrays = (segments.observations, segments.actions, segments.sim_states)
    return (segments.segment_length, *(int(array.shape[2]) for array in arrays))


def are_new(
    left: SegmentBatch, right: SegmentBatch, *, before: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Returns (B,) which pairs are of two windows that were not put side by side before.

    A window beside itself is nothing new either, nor is a pair that comes again in the batch.

    Args:
        left: B segments.
        right: B segments.
        before: (N, 4) the pairs that were put, as `window_pairs` has them.
    """
    rows = np.concatenate([before, window_pairs(windows_of(left), windows_of(right))])
    # As one number a pair, which sort many times as fast as rows do.
    windows = np.unique(window_numbers(rows.reshape(-1, 2)), return_inverse=True)[1].reshape(-1, 2)
    numbers = windows[:, 0] * (len(rows) * 2) + windows[:, 1]
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[np.unique(numbers, return_index=True)[1]] = True
    are_two = windows[:, 0] != windows[:, 1]
    return np.asarray((is_first & are_two)[len(before) :], dtype=np.bool_)


def window_numbers(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns (S,) a number of each of (S, 2) windows; the same windows have the same."""
    # No episode has 2^31 steps: they would take more memory than there is.
    return windows[:, 0] * 2**31 + windows[:, 1]


def _whole_numbers(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu" and array.size:
        raise DataError(f"{name} is of type {array.dtype}; expected whole numbers")
    return array.astype(np.int64, copy=False)


def _check_windows(pairs: Pairs) -> None:
    shape = (len(pairs.length),) if pairs.length.ndim else ()
    for name in ("length", "left_start", "right_start"):
        array = getattr(pairs, name)
        if array.ndim != 1 or array.shape != shape:
            raise DataError(f"{name} has shape {array.shape}; expected {shape or '(answers,)'}")
    if not len(pairs):
        return
    if pairs.length.min() < 1 or pairs.length.max() > pairs.segment_length:
        raise DataError(
            f"length goes from {pairs.length.min()} to {pairs.length.max()}; expected 1 or more, "
            f"up to segment_length ({pairs.segment_length})"
        )
    for name in ("left_start", "right_start"):
        start = getattr(pairs, name)
        if start.min() < 0 or (start > pairs.num_rows - pairs.length).any():
            raise DataError(f"{name}: a segment starts or ends outside the {pairs.num_rows} rows")
    is_shown = pairs.is_shown()
    for name in ("observations", "actions"):
        with np.errstate(over="ignore"):  # What a reward model is fed is in single precision.
            array = pairs.steps[name].astype(np.float32, copy=False)
        is_wrong = is_shown & ~np.isfinite(array).all(axis=1)
        if is_wrong.any():
            raise DataError(
                f"{name} holds NaN, an infinity or a number beyond single precision in row "
                f"{np.flatnonzero(is_wrong)[0]}, which a segment shows"
            )
