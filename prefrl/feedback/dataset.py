"""Comparisons: queries with their answers, in memory and on disk.

Axes: B comparisons, T steps, O observation dims, A action dims, D = O + A.
"""

import math
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, StorageError
from prefrl.records.files import write_atomically
from prefrl.segments import FloatArray, SegmentBatch

# What damaged or foreign bytes make zipfile and NumPy raise, and ours where the arrays do not fit.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError),
    *(ValueError, TypeError, LookupError, DataError),
)


@dataclass(frozen=True)
class Comparisons:
    """B queries, each with what the teacher said.

    Args:
        left: (B, T, D) observations and actions of the left segments.
        right: (B, T, D) of the right segments.
        p_left: (B,) 1 left, 0 right, 0.5 tie, or the share of votes for left; never NaN.
        query: (B,) number of each query in its dataset; by default they are counted from 0.
        objective: (B,) which objective each answer is about; by default the first.
    """

    left: FloatArray
    right: FloatArray
    p_left: FloatArray
    query: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    objective: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        num = len(self.p_left)
        for name, usual in (("query", np.arange(num)), ("objective", np.zeros(num, np.int64))):
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, usual)
            if getattr(self, name).shape != (num,):
                raise DataError(f"{name} has shape {getattr(self, name).shape}; expected ({num},)")
        if self.left.ndim != 3 or self.left.shape != self.right.shape:
            raise DataError(
                f"left has shape {self.left.shape} and right {self.right.shape}; "
                "expected the same (comparisons, steps, dims)"
            )
        if self.p_left.shape != self.left.shape[:1]:
            raise DataError(f"p_left has shape {self.p_left.shape}; expected {self.left.shape[:1]}")
        if not ((self.p_left >= 0) & (self.p_left <= 1)).all():
            raise DataError("p_left must lie in [0, 1]; leave skipped queries out")

    def __len__(self) -> int:
        return len(self.p_left)

    def segment_numbers(self) -> NDArray[np.int64]:
        """(B, 2) the same number for segments of the same content, left and right."""
        both = np.concatenate([self.left, self.right])
        rows = np.ascontiguousarray(both.reshape(len(both), math.prod(both.shape[1:])))
        whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
        _, numbers = np.unique(whole, return_inverse=True)
        return numbers.reshape(2, len(self)).T.astype(np.int64)


def _windows(left: SegmentBatch, right: SegmentBatch) -> list[frozenset[tuple[int, int]]]:
    """Which two windows each pair shows, on whichever side: their episodes and first steps."""
    sides = [
        zip(batch.episode.tolist(), batch.start.tolist(), strict=True) for batch in (left, right)
    ]
    return [frozenset(pair) for pair in zip(*sides, strict=True)]


@dataclass
class PreferenceDataset:
    """Every query a run has asked, skipped ones included, in the order they were asked.

    Answers are assigned to training or validation when they arrive, once and for all, before any
    bootstrap sample is drawn.

    Args:
        validation_fraction: share of the answers that is held out, in [0, 1).
        left: left segments, in one batch per call of `add`.
        right: right segments, likewise.
        p_left: (B,) 1 left, 0 right, 0.5 tie, NaN skipped.
        is_validation: (B,) held out; never true of a skipped query.
        session: (B,) the round of queries it belongs to.
        objective: (B,) which objective was asked about; 0 where there is one.

    Raises:
        DataError: a field has the wrong shape or range.
    """

    validation_fraction: float = 0.15
    left: list[SegmentBatch] = field(default_factory=list)
    right: list[SegmentBatch] = field(default_factory=list)
    p_left: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    is_validation: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    session: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    objective: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if len(self.objective) == 0:
            self.objective = np.zeros(len(self.p_left), dtype=np.int64)
        if not 0 <= self.validation_fraction < 1:
            raise DataError(
                f"validation_fraction is {self.validation_fraction}; expected 0 or more, below 1"
            )
        shape = (sum(len(batch) for batch in self.left),)
        if sum(len(batch) for batch in self.right) != shape[0]:
            raise DataError(f"there are not as many right segments as left ones ({shape[0]})")
        for name in ("p_left", "is_validation", "session", "objective"):
            if getattr(self, name).shape != shape:
                raise DataError(f"{name} has shape {getattr(self, name).shape}; expected {shape}")
        _check_answers(self.p_left)
        if (np.isnan(self.p_left) & self.is_validation).any():
            raise DataError("is_validation holds out a query that was skipped")

    def __len__(self) -> int:
        return len(self.p_left)

    @property
    def num_answers(self) -> int:
        """Answered queries: ties count, skips do not, held-out ones do."""
        return int((~np.isnan(self.p_left)).sum())

    @property
    def num_skips(self) -> int:
        """Queries the teacher would not answer."""
        return int(np.isnan(self.p_left).sum())

    def is_new(self, left: SegmentBatch, right: SegmentBatch) -> NDArray[np.bool_]:
        """(B,) whether each pair is of two windows that were not put side by side before.

        A window beside itself is nothing new either, nor is a pair that comes again in the batch.
        """
        asked = {
            windows
            for batches in zip(self.left, self.right, strict=True)
            for windows in _windows(*batches)
        }
        is_new = np.zeros(len(left), dtype=bool)
        for row, windows in enumerate(_windows(left, right)):
            is_new[row] = len(windows) == 2 and windows not in asked
            asked.add(windows)
        return is_new

    def add(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        p_left: NDArray[np.float64],
        *,
        session: int,
        objective: int = 0,
        rng: np.random.Generator,
    ) -> None:
        """Appends queries and their answers.

        Args:
            left: (B, T, ...) left segments.
            right: (B, T, ...) right segments.
            p_left: (B,) 1, 0, 0.5 or NaN (skipped).
            session: the round of queries they belong to.
            objective: which objective the teacher was asked about.
            rng: draws which of the answers are held out.

        Raises:
            DataError: answers and segments do not fit each other, or those that are here already.
        """
        p_left = np.asarray(p_left, dtype=np.float64)
        if p_left.shape != (len(left),) or len(left) != len(right):
            raise DataError(
                f"{len(left)} left and {len(right)} right segments with answers of shape "
                f"{p_left.shape}"
            )
        for batch in (left, right):
            if (dims := _dims(batch)) != (expected := _dims((*self.left, left)[0])):
                raise DataError(
                    "segments have (steps, observation, action and state dims) "
                    f"{dims}; those they are compared with have {expected}"
                )
        _check_answers(p_left)
        answered = ~np.isnan(p_left)
        # The held-out share is kept over the whole run, so small sessions round neither way.
        wanted = int((self.num_answers + answered.sum()) * self.validation_fraction)
        num_held = min(max(wanted - int(self.is_validation.sum()), 0), int(answered.sum()))
        held = np.zeros(len(p_left), dtype=bool)
        held[rng.choice(np.flatnonzero(answered), size=num_held, replace=False)] = True
        self.left.append(left)
        self.right.append(right)
        self.p_left = np.concatenate([self.p_left, p_left])
        self.is_validation = np.concatenate([self.is_validation, held])
        asked = np.full(len(p_left), 1, dtype=np.int64)
        self.session = np.concatenate([self.session, session * asked])
        self.objective = np.concatenate([self.objective, objective * asked])

    def split(self) -> tuple[Comparisons, Comparisons]:
        """The answered comparisons: those to train on, and those held out.

        Raises:
            DataError: nothing was ever asked, so not even the dims are known.
        """
        if not self.left:
            raise DataError("there are no comparisons yet")
        left = np.concatenate([batch.inputs() for batch in self.left])
        right = np.concatenate([batch.inputs() for batch in self.right])
        answered = ~np.isnan(self.p_left)
        return tuple(  # type: ignore[return-value]
            Comparisons(
                left[rows],
                right[rows],
                self.p_left[rows].astype(np.float32),
                query=np.flatnonzero(rows),
                objective=self.objective[rows],
            )
            for rows in (answered & ~self.is_validation, answered & self.is_validation)
        )

    def save(self, path: Path) -> None:
        """Writes every comparison in the interchange layout, atomically.

        Raises:
            StorageError: the file could not be written; what was there before is untouched.
            DataError: there is nothing to write.
        """
        arrays = self._arrays()
        write_atomically(path, lambda file: np.savez(file, **arrays))

    def _arrays(self) -> dict[str, Any]:
        if not self.left:
            raise DataError("there are no comparisons to save")
        left, right = SegmentBatch.concatenate(self.left), SegmentBatch.concatenate(self.right)
        both = SegmentBatch.concatenate([left, right])
        length = both.segment_length
        starts = np.arange(2 * len(left), dtype=np.int64) * length

        def rows(array: NDArray[Any]) -> NDArray[Any]:
            # Not -1: an array without actions or simulator states has no elements to divide.
            return array.reshape(len(array) * length, *array.shape[2:])

        return {
            "observations": rows(both.observations),
            "actions": rows(both.actions),
            "true_reward": rows(both.true_rewards),
            "sim_states": rows(both.sim_states),
            "episode": np.repeat(both.episode, length),
            "episode_step": (both.start[:, None] + np.arange(length)).reshape(-1),
            "left_start": starts[: len(left)],
            "right_start": starts[len(left) :],
            "segment_length": np.int64(length),
            "p_left": self.p_left,
            "split": np.where(self.is_validation, "test", "train"),
            "session": self.session,
            "objective": self.objective,
        }

    @staticmethod
    def load(path: Path, *, validation_fraction: float = 0.15) -> "PreferenceDataset":
        """Reads what `save` wrote.

        Raises:
            StorageError: the file is missing, damaged or of another layout; it is named.
        """
        try:
            arrays = read_arrays(path)
            length = int(arrays["segment_length"])
            batches = []
            for side in ("left_start", "right_start"):
                if (arrays[side] < 0).any():
                    raise DataError(f"{side} is below 0")
                rows = arrays[side][:, None] + np.arange(length)
                batches.append(
                    SegmentBatch(
                        observations=arrays["observations"][rows],
                        actions=arrays["actions"][rows],
                        true_rewards=arrays["true_reward"][rows],
                        sim_states=arrays["sim_states"][rows],
                        episode=arrays["episode"][rows[:, 0]],
                        start=arrays["episode_step"][rows[:, 0]],
                    )
                )
            return PreferenceDataset(
                validation_fraction=validation_fraction,
                left=[batches[0]],
                right=[batches[1]],
                p_left=arrays["p_left"],
                is_validation=arrays["split"] == "test",
                session=arrays["session"],
                # Files from elsewhere know of one objective only.
                objective=arrays.get("objective", np.zeros(len(arrays["p_left"]), dtype=np.int64)),
            )
        except FileNotFoundError:
            raise StorageError(f"there is no file {path}") from None
        except _DAMAGE as error:
            said = " ".join(str(error).split())
            raise StorageError(f"{path} is damaged or holds no run's comparisons: {said}") from None

    def first(self, count: int) -> "PreferenceDataset":
        """The first `count` queries, skipped ones included, as a dataset of its own."""
        if count < 0:
            raise DataError(f"count is {count}; expected 0 or more")
        if count == 0 or not self.left:
            return PreferenceDataset(self.validation_fraction)
        keep = slice(0, count)
        return PreferenceDataset(
            validation_fraction=self.validation_fraction,
            left=[SegmentBatch.concatenate(self.left)[keep]],
            right=[SegmentBatch.concatenate(self.right)[keep]],
            p_left=self.p_left[keep],
            is_validation=self.is_validation[keep],
            session=self.session[keep],
            objective=self.objective[keep],
        )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file, which is checked as a whole before any of it is parsed.

    Raises:
        OSError: the file is missing or cannot be read.
        zipfile.BadZipFile, ValueError and others: it is damaged; what bytes gone wrong make of
            zipfile and NumPy is theirs to say.
    """
    with zipfile.ZipFile(path) as archive:
        # Nothing is parsed or allocated from damaged bytes.
        if (name := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{name} in it has changed since it was written")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _check_answers(p_left: NDArray[np.float64]) -> None:
    wrong = p_left[~(np.isnan(p_left) | ((p_left >= 0) & (p_left <= 1)))]
    if len(wrong):
        raise DataError(
            f"an answer is {wrong[0]}; expected 1 (left), 0 (right), 0.5 (tie), the share of votes "
            "for left, or NaN (skip)"
        )


def _dims(segments: SegmentBatch) -> tuple[int, ...]:
    """T, O, A, Q."""
    arrays = (segments.observations, segments.actions, segments.sim_states)
    return (segments.segment_length, *(int(array.shape[2]) for array in arrays))
