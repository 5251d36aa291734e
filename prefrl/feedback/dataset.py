"""Every query that was put to a teacher, with its answer, in memory.

Axes: N answers, B those of a batch, T steps, O observation dims, A action dims.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefrl import arguments
from prefrl.arguments import flag, generator, instance, numbers, optional, share, whole_number
from prefrl.errors import ArgumentError, DataError, at_least, not_a
from prefrl.feedback.columns import (
    COLUMNS,
    AnswerColumns,
    FileMemory,
    KnownColumns,
    checked_columns,
    is_neutral,
    joined_column,
)
from prefrl.feedback.comparisons import Comparisons
from prefrl.feedback.holding_out import held_out
from prefrl.feedback.pairs import Pairs, are_new, dims_of, window_pairs
from prefrl.feedback.steps import Steps
from prefrl.segments import SegmentBatch

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Comparisons", "PreferenceDataset"]


class PreferenceDataset:
    """Every query that was put, skipped ones included, in the order in which they were.

    Answers are assigned to training or validation when they arrive, once and for all, before any
    bootstrap sample is drawn. Each column is an array of N entries, an attribute of its own;
    `AnswerColumns` says what each is about. One may correct an entry in place:

        comparisons = prefrl.load_comparisons("comparisons.npz")
        comparisons.p_left[3] = 0.5
        comparisons.save("comparisons.npz")

    Args:
        validation_fraction: share of the answers that is held out, in [0, 1).
        left: left segments, in batches.
        right: right segments, likewise.
        env_id: of the environment that the segments are from.
        columns: `p_left` and others; what is left out says nothing.

    Raises:
        DataError: a column has the wrong shape, dtype or range; it is named.

    Example:
        >>> import numpy as np
        >>> from prefrl import PreferenceDataset
        >>> from prefrl.testing.made_up import segments
        >>> rng = np.random.default_rng(0)
        >>> left, right = segments(3, rng=rng), segments(3, rng=rng)
        >>> answers = PreferenceDataset()
        >>> answers.add(left, right, [1.0, 0.5, np.nan], session=0, rng=rng)
        >>> len(answers), answers.num_answers, answers.num_skips
        (3, 2, 1)
    """

    env_id: str | None
    p_left: NDArray[np.float64]
    is_validation: NDArray[np.bool_]
    session: NDArray[np.int64]
    objective: NDArray[np.int64]
    question: NDArray[np.int64]
    group: NDArray[Any]
    annotator: NDArray[np.object_]
    is_audit: NDArray[np.bool_]
    is_repeat: NDArray[np.bool_]
    source: NDArray[np.object_]
    votes_left: NDArray[np.int64]
    votes_right: NDArray[np.int64]
    votes_equal: NDArray[np.int64]

    def __init__(
        self,
        validation_fraction: float = 0.15,
        left: Sequence[SegmentBatch] = (),
        right: Sequence[SegmentBatch] = (),
        env_id: str | None = None,
        **columns: "Unpack[AnswerColumns]",
    ) -> None:
        for name, batches in (("left", left), ("right", right)):
            _check_batches(name, batches)
        optional("env_id", env_id, str, "the environments' Gymnasium id")
        if sum(len(batch) for batch in left) != sum(len(batch) for batch in right):
            raise DataError(
                "there are not as many right segments as left ones "
                f"({sum(len(batch) for batch in left)})"
            )
        pairs = []
        if left:
            pairs = [Pairs.of(SegmentBatch.concatenate(left), SegmentBatch.concatenate(right))]
        self._fill(validation_fraction, pairs, columns)
        self.env_id = env_id

    @staticmethod
    def of_pairs(
        pairs: Pairs,
        columns: Mapping[str, Any],
        *,
        validation_fraction: float = 0.15,
        env_id: str | None = None,
        memory: FileMemory | None = None,
    ) -> "PreferenceDataset":
        """Makes a dataset of pairs that are there already, as those of a file.

        Args:
            pairs: N of them.
            columns: `p_left` and others.
            validation_fraction: share of the answers that is held out of those that follow.
            env_id: of the environment that the segments are from.
            memory: what else is in their file.

        Raises:
            DataError: a column does not fit.
        """
        dataset = PreferenceDataset.__new__(PreferenceDataset)
        dataset._fill(validation_fraction, [pairs], columns)
        dataset.env_id, dataset.memory = env_id, memory or FileMemory()
        return dataset

    def _fill(
        self, validation_fraction: float, pairs: list[Pairs], columns: Mapping[str, Any]
    ) -> None:
        self.validation_fraction = share("validation_fraction", validation_fraction)
        self.memory = FileMemory()
        self._pairs = pairs
        num = sum(len(part) for part in pairs)
        if num:
            columns = {**columns, "p_left": columns.get("p_left", np.zeros(0))}
        else:
            columns = {"p_left": np.zeros(0), **columns}
        for name, column in checked_columns(columns, num).items():
            setattr(self, name, column)

    def __len__(self) -> int:
        return len(self.p_left)

    @property
    def left(self) -> list[SegmentBatch]:
        """Returns the left segments, in batches."""
        return [part.left for part in self._pairs]

    @property
    def right(self) -> list[SegmentBatch]:
        """Returns the right segments, in batches as long."""
        return [part.right for part in self._pairs]

    @property
    def pairs(self) -> Pairs:
        """Joins all pairs over one table of steps.

        Raises:
            DataError: nothing was ever asked, so not even the dims are known.
        """
        if not self._pairs:
            raise DataError("there are no comparisons yet")
        return Pairs.concatenate(self._pairs)

    @property
    def steps(self) -> Steps:
        """Returns arrays of R rows by name: observations, actions, and what else a step has."""
        return self.pairs.steps

    def has(self, name: str) -> bool:
        """Tells whether a column says something, or stood in the file that this is read from."""
        on_disk = "split" if name == "is_validation" else name
        return on_disk in self.memory.dtypes or not is_neutral(name, getattr(self, name))

    @property
    def num_asked(self) -> int:
        """Counts the queries: several answers to one count once."""
        return len(np.unique(self.question))

    @property
    def num_answers(self) -> int:
        """Counts the answers: ties count, skips do not, held-out ones do."""
        return int((~np.isnan(self.p_left)).sum())

    @property
    def num_answered(self) -> int:
        """Counts the answered queries, as a budget does: several answers to one count once."""
        return len(np.unique(self.question[~np.isnan(self.p_left)]))

    @property
    def num_skips(self) -> int:
        """Counts the queries that were put and not answered; what one skips, another may answer."""
        return self.num_asked - self.num_answered

    def window_pairs(self) -> NDArray[np.int64]:
        """Returns (N, 4) the two windows of each query, as `prefrl.feedback.pairs` has them."""
        known = [window_pairs(*part.windows()) for part in self._pairs]
        return np.concatenate([np.zeros((0, 4), dtype=np.int64), *known])

    def is_new(self, left: SegmentBatch, right: SegmentBatch) -> NDArray[np.bool_]:
        """Returns (B,) which pairs were not put before; see `prefrl.feedback.pairs.are_new`."""
        return are_new(left, right, before=self.window_pairs())

    def add(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        p_left: ArrayLike,
        *,
        session: int,
        rng: np.random.Generator,
        **columns: "Unpack[KnownColumns]",
    ) -> None:
        """Appends queries and their answers.

        Args:
            left: (B, T, ...) left segments.
            right: (B, T, ...) right segments.
            p_left: (B,) 1, 0, 0.5 or NaN (skipped).
            session: the round of queries they belong to.
            rng: draws which of the answers are held out.
            columns: what else is known of them: `objective`, `question`, `annotator`, ...; each one
                value for all of them or one a query. Questions are counted on by default.

        Raises:
            DataError: answers and segments do not fit each other, or those that are here already.
        """
        instance("left", left, SegmentBatch)
        instance("right", right, SegmentBatch)
        generator("rng", rng)
        session = whole_number("session", session)
        p_left = numbers("p_left", p_left, ("queries",), dtype=np.float64)
        if p_left.shape != (len(left),) or len(left) != len(right):
            raise DataError(
                f"{len(left)} left and {len(right)} right segments with answers of shape "
                f"{p_left.shape}"
            )
        self._check_dims(left, right)
        pairs = Pairs.of(left, right)
        given = {**columns, "p_left": p_left, "session": session}
        first_question = int(self.question.max(initial=-1)) + 1
        added = checked_columns(given, len(p_left), first_question=first_question)
        added["is_validation"] = held_out(self, p_left, added["question"], rng=rng)
        # Only now, that all of it is known to fit.
        self._pairs.append(pairs)
        for name, column in added.items():
            setattr(self, name, joined_column(getattr(self, name), column))
        self.memory = self.memory.of_other_answers()

    def remove(self, rows: ArrayLike) -> None:
        """Takes answers out, in place; the others keep their order, and the side of the split.

        Args:
            rows: their indices.
        """
        is_kept = np.ones(len(self), dtype=bool)
        is_kept[np.asarray(rows, dtype=np.int64)] = False
        if is_kept.all():
            return
        ends = np.cumsum([len(part) for part in self._pairs])[:-1]
        some = [
            part if own.all() else part.select(np.flatnonzero(own))
            for part, own in zip(self._pairs, np.split(is_kept, ends), strict=True)
        ]
        # Where none is left, the dims are known nevertheless.
        self._pairs = [part for part in some if len(part)] or some[:1]
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[is_kept])
        self.memory = self.memory.of_other_answers()

    def _check_dims(self, left: SegmentBatch, right: SegmentBatch) -> None:
        known = dims_of(self._pairs[0].left) if self._pairs else dims_of(left)
        has_states = not self._pairs or "sim_states" in self._pairs[0].steps
        for batch in (left, right):
            dims = dims_of(batch)
            if dims[:3] != known[:3] or (has_states and dims != known):
                raise DataError(
                    "segments have (steps, observation, action and state dims) "
                    f"{dims}; those they are compared with have {known}"
                )

    def split(self) -> tuple[Comparisons, Comparisons]:
        """Returns the answered comparisons: those to train on, and those held out.

        Raises:
            DataError: nothing was ever asked, so not even the dims are known.
        """
        if not self._pairs:
            raise DataError("there are no comparisons yet")
        left = np.concatenate([batch.inputs() for batch in self.left])
        right = np.concatenate([batch.inputs() for batch in self.right])
        length = np.concatenate([part.length for part in self._pairs])
        answered = ~np.isnan(self.p_left)
        return tuple(  # type: ignore[return-value]
            Comparisons(
                left[rows],
                right[rows],
                self.p_left[rows].astype(np.float32),
                query=np.flatnonzero(rows),
                objective=self.objective[rows],
                length=length[rows],
            )
            for rows in (answered & ~self.is_validation, answered & self.is_validation)
        )

    def without_repeats(self) -> "PreferenceDataset":
        """Returns the queries that were put for the first time: those that are trained on.

        A query that is put again tells how reliable whoever answers is, and nothing new.
        """
        if not self.is_repeat.any():
            return self
        first_ones = ~self.is_repeat
        return PreferenceDataset.of_pairs(
            self.pairs.select(np.flatnonzero(first_ones)),
            {name: getattr(self, name)[first_ones] for name in COLUMNS},
            validation_fraction=self.validation_fraction,
            env_id=self.env_id,
            memory=FileMemory(self.memory.dtypes),
        )

    def select(self, rows: ArrayLike | slice) -> "PreferenceDataset":
        """Returns some of the answers, in the order asked for, as a dataset of its own.

        Steps that no chosen segment shows are left out. Arrays of a file that are none of the
        format's are dropped with a warning: nobody knows which rows they are about.

        Args:
            rows: a slice, (B,) indices, or an (N,) mask.
        """
        everything = np.arange(len(self))
        try:
            if not isinstance(rows, slice):
                rows = np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.int64)
            chosen = everything[rows]
        except Exception as error:  # whatever an object of somebody's does
            expected = f"a slice, indices below {len(self)}, or ({len(self)},) True or False"
            raise ArgumentError(not_a("rows", rows, expected)) from error
        if chosen.ndim != 1:
            raise ArgumentError(not_a("rows", rows, "(queries,) indices"))
        if not self._pairs:
            return PreferenceDataset(self.validation_fraction, env_id=self.env_id)
        pairs, memory = self.pairs, self.memory
        if not np.array_equal(chosen, everything):
            pairs = pairs.select(chosen)
            memory = memory.of_other_answers()
        columns = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return PreferenceDataset.of_pairs(
            pairs,
            columns,
            validation_fraction=self.validation_fraction,
            env_id=self.env_id,
            memory=memory,
        )

    def first(self, count: int) -> "PreferenceDataset":
        """Returns the first `count` queries, skipped ones included, as a dataset of its own."""
        if whole_number("count", count, least=-sys.maxsize) < 0:
            raise DataError(at_least("count", count, 0))
        if count == 0:
            return PreferenceDataset(self.validation_fraction, env_id=self.env_id)
        return self.select(slice(0, count))

    def save(self, path: Path | str, *, is_compact: bool = False) -> None:
        """Writes every answer in the interchange format, atomically.

        Args:
            path: the file.
            is_compact: it takes less space, and seconds to write.

        Raises:
            StorageError: the file could not be written; what was there before is untouched.
            DataError: there is nothing to write.
        """
        from prefrl.feedback.interchange import write

        write(arguments.path("path", path), self, is_compact=flag("is_compact", is_compact))

    @staticmethod
    def load(path: Path | str, *, validation_fraction: float = 0.15) -> "PreferenceDataset":
        """Reads a file as `prefrl.load_comparisons` does."""
        from prefrl.feedback.interchange import load_comparisons

        return load_comparisons(path, validation_fraction=validation_fraction)


def _check_batches(name: str, batches: object) -> None:
    expected = "a list of SegmentBatch objects"
    if isinstance(batches, SegmentBatch) or not isinstance(batches, Sequence):
        raise ArgumentError(not_a(name, batches, expected))
    for number, batch in enumerate(batches):
        instance(f"{name}[{number}]", batch, SegmentBatch)
