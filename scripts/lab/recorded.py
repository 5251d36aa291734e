"""Recorded answers in the interchange layout, split into parts to train on and to test on.

Axes: N comparisons, R rows, T steps, O observation dims, A action dims.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, StorageError
from prefrl.feedback.dataset import read_arrays
from prefrl.records.files import reason
from prefrl.segments import SegmentBatch

# Without a split of its own, a file is cut into so many parts, each of them tested on once a seed.
NUM_FOLDS = 5
PARTS = ("observations", "actions", "left_start", "right_start", "segment_length", "p_left")
_VOTES = ("votes_left", "votes_right", "votes_equal")
# What damaged or foreign bytes make zipfile and NumPy raise, and ours where the arrays do not fit.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
    *(ValueError, TypeError, LookupError, OverflowError, MemoryError, DataError),
)

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Recorded:
    """A file of comparisons.

    Args:
        observations: (R, O) float32.
        actions: (R, A) float32; A may be 0.
        starts: (N, 2) row of the left and of the right segment's first step.
        segment_length: T.
        p_left: (N,) 1 left, 0 right, 0.5 tie, NaN without an answer.
        votes: (N, 3) how many said left, right, equal; None where they were not recorded.
        group: (N,) comparisons of one group are trained or tested on together; None: no groups.
        is_test: (N,) the file's own split; None where it has none.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    starts: NDArray[np.int64]
    segment_length: int
    p_left: NDArray[np.float64]
    votes: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None
    is_test: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        rows, shape = len(self.observations), (len(self.p_left),)
        for name in ("observations", "actions"):
            array = getattr(self, name)
            if array.ndim != 2 or len(array) != rows:
                raise DataError(f"{name} have shape {array.shape}; expected ({rows}, dims)")
            if not np.isfinite(array).all():
                raise DataError(f"{name} hold NaN or an infinity")
        if self.observations.shape[1] + self.actions.shape[1] == 0:
            raise DataError("a row holds no numbers; expected an observation or an action")
        expected = {"p_left": shape, "starts": (*shape, 2), "votes": (*shape, 3)}
        for name in ("p_left", "starts", "votes", "group", "is_test"):
            array = getattr(self, name)
            if array is not None and array.shape != expected.get(name, shape):
                raise DataError(
                    f"{name} has shape {array.shape}; expected {expected.get(name, shape)}"
                )
        if self.segment_length < 1:
            raise DataError(f"segment_length is {self.segment_length}; expected 1 or more")
        last = rows - self.segment_length
        if len(self) and not 0 <= self.starts.min() <= self.starts.max() <= last:
            raise DataError(
                f"a segment of {self.segment_length} steps starts outside the {rows} rows"
            )
        if not (np.isnan(self.p_left) | ((self.p_left >= 0) & (self.p_left <= 1))).all():
            raise DataError("p_left holds a number outside [0, 1]")
        if self.votes is not None and (self.votes < 0).any():
            raise DataError("votes hold a number below 0")

    def __len__(self) -> int:
        return len(self.p_left)

    def segments(self, rows: Rows, side: int) -> SegmentBatch:
        """The left (0) or right (1) segments of some comparisons."""
        starts = self.starts[rows, side]
        steps = starts[:, None] + np.arange(self.segment_length)
        return SegmentBatch(
            observations=self.observations[steps],
            actions=self.actions[steps],
            true_rewards=np.zeros(steps.shape, dtype=np.float32),
            sim_states=np.zeros((*steps.shape, 0)),
            episode=np.zeros(len(rows), dtype=np.int64),
            start=starts,
        )

    def vote_share(self) -> NDArray[np.float64]:
        """(N,) share of the votes for left, an equal one counting half; NaN without votes.

        Raises:
            DataError: votes were not recorded.
        """
        if self.votes is None:
            raise DataError("this file holds no votes")
        left, _, equal = self.votes.T
        total = self.votes.sum(1)
        share = (left + 0.5 * equal) / np.maximum(total, 1)
        return np.where(total > 0, share, np.nan)

    def human_ceiling(self) -> float | None:
        """How often one decisive voter agrees with the majority of the others on a comparison.

        Every voter is held against the rest in turn; where the rest are evenly split they say
        nothing. None where votes were not recorded.
        """
        if self.votes is None:
            return None
        left, right = self.votes[:, 0], self.votes[:, 1]
        # One who said left is left out: the others are left - 1 against right; and likewise right.
        lead_left, lead_right = left - 1 - right, right - 1 - left
        agree = (left * (lead_left > 0)).sum() + (right * (lead_right > 0)).sum()
        told = (left * (lead_left != 0)).sum() + (right * (lead_right != 0)).sum()
        return float(agree / told) if told else None

    def splits(self, *, rng: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
        """Rows to train on and rows to test on, training rows in random order.

        The file's own split once; else each of five parts tested on once, parts made of whole
        groups where there are groups.

        Raises:
            DataError: there is nothing to train on, or nothing to test on.
        """
        answered = ~np.isnan(self.p_left)
        if self.is_test is not None:
            in_test = [self.is_test]
        else:
            group = np.arange(len(self)) if self.group is None else self.group
            groups = np.unique(group[answered])
            # Fewer groups than folds: each is tested on once.
            parts = np.array_split(rng.permutation(groups), min(NUM_FOLDS, max(len(groups), 1)))
            in_test = [np.isin(group, part) for part in parts]
        for is_test in in_test:
            train, test = np.flatnonzero(answered & ~is_test), np.flatnonzero(answered & is_test)
            if not len(train) or not len(test):
                raise DataError(
                    f"{len(train)} answers are left to train on and {len(test)} to test on; "
                    "expected 1 or more of each"
                )
            yield rng.permutation(train), test


def load(path: Path) -> Recorded:
    """Reads a file in the interchange layout; nothing in it is unpickled.

    Raises:
        StorageError: the file is missing, damaged, or lacks a part; it is named.
    """
    try:
        return _of_arrays(read_arrays(path))
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}") from None
    except _DAMAGE as error:
        said = " ".join(str(error).split())
        raise StorageError(f"{path} is damaged or holds no comparisons: {said}") from None


def _of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Recorded:
    has_votes = any(name in arrays for name in _VOTES)
    expected = (*PARTS, *_VOTES) if has_votes else PARTS
    if missing := [name for name in expected if name not in arrays]:
        raise DataError(f"it lacks {', '.join(missing)}")
    group = arrays.get("group")
    if group is not None:  # Whatever names them.
        group = np.unique(group, return_inverse=True)[1].reshape(group.shape)
    return Recorded(
        observations=arrays["observations"].astype(np.float32),
        actions=arrays["actions"].astype(np.float32),
        starts=_columns(arrays, ("left_start", "right_start")),
        segment_length=int(arrays["segment_length"]),
        p_left=arrays["p_left"].astype(np.float64),
        votes=_columns(arrays, _VOTES) if has_votes else None,
        group=group,
        is_test=_is_test(arrays["split"]) if "split" in arrays else None,
    )


def _columns(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[np.int64]:
    for name in names:
        if not np.issubdtype(arrays[name].dtype, np.integer):
            raise DataError(f"{name} is of type {arrays[name].dtype}; expected whole numbers")
    return np.stack([arrays[name].astype(np.int64) for name in names], axis=1)


def _is_test(split: NDArray[Any]) -> NDArray[np.bool_]:
    if odd := set(split.tolist()) - {"train", "test"}:
        raise DataError(f"split holds {sorted(map(str, odd))[0]!r}; expected 'train' or 'test'")
    return np.asarray(split == "test", dtype=np.bool_)
