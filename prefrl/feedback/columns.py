"""The columns that answers have, one entry an answer.

Axes: N answers.
"""

import warnings
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefrl.arguments import as_array
from prefrl.errors import ArgumentError, DataError, not_a


class KnownColumns(TypedDict, total=False):
    """Facts about answers, each one value for all of them or one an answer.

    `objective` is what was asked about, `question` the number of the question (two answers to one
    question share it), `group` what is trained or tested on as a whole, `annotator` the person,
    `is_audit` a query drawn at random, `is_repeat` one that was put before, `source` who answered
    ("simulated", "human", "demonstration", "pseudo"), `votes_*` how many people said so. None says
    nothing.
    """

    objective: ArrayLike | None
    question: ArrayLike | None
    group: ArrayLike | None
    annotator: ArrayLike | None
    is_audit: ArrayLike | None
    is_repeat: ArrayLike | None
    source: ArrayLike | None
    votes_left: ArrayLike | None
    votes_right: ArrayLike | None
    votes_equal: ArrayLike | None


class AnswerColumns(KnownColumns, total=False):
    """Every column: the answer, whether it is held out, and the round of queries it is of, too."""

    p_left: ArrayLike | None
    is_validation: ArrayLike | None
    session: ArrayLike | None


@dataclass(frozen=True)
class Column:
    """The dtype, the range and the neutral value of a column.

    Args:
        dtype: in memory; None keeps what comes.
        kinds: NumPy's letters of the dtypes that are taken.
        expected: the same for people.
        neutral: says nothing; None where there is no such value.
        allowed: the values there are; None for any.
    """

    dtype: Any
    kinds: str
    expected: str
    neutral: Any
    allowed: tuple[str, ...] | None = None


_NUMBERS = (np.int64, "iu", "whole numbers")
_CLAIMS = (np.bool_, "b", "true or false")
# Python's own strings: NumPy's cut off what is longer than the longest before, without a word.
_TEXTS = (np.object_, "UO", "text")

COLUMNS: dict[str, Column] = {
    "p_left": Column(np.float64, "fiub", "numbers", None),
    "is_validation": Column(*_CLAIMS, neutral=False),
    "session": Column(*_NUMBERS, neutral=0),
    "objective": Column(*_NUMBERS, neutral=0),
    "question": Column(*_NUMBERS, neutral=None),
    "group": Column(None, "iufbUO", "numbers or text", neutral=-1),
    "annotator": Column(*_TEXTS, neutral=""),
    "is_audit": Column(*_CLAIMS, neutral=False),
    "is_repeat": Column(*_CLAIMS, neutral=False),
    "source": Column(*_TEXTS, neutral=""),
    "votes_left": Column(*_NUMBERS, neutral=0),
    "votes_right": Column(*_NUMBERS, neutral=0),
    "votes_equal": Column(*_NUMBERS, neutral=0),
}


@dataclass(frozen=True)
class FileMemory:
    """A file's own dtypes and arrays, with which it is written as it was.

    Args:
        dtypes: of the arrays in it, by name and in their order.
        unknown: arrays that are none of the format's; they go through unchanged.
    """

    dtypes: Mapping[str, np.dtype[Any]] = field(default_factory=dict)
    unknown: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def of_other_answers(self) -> "FileMemory":
        """Returns what still holds where the answers are others: the dtypes, with a warning."""
        if not self.unknown:
            return self
        warnings.warn(
            f"{', '.join(self.unknown)}: not of the format, so which answers they are about is not "
            "known; they are left out now that the answers are others",
            stacklevel=3,
        )
        return FileMemory(self.dtypes)


def neutral_column(name: str, num: int, *, first_question: int = 0) -> NDArray[Any]:
    """Returns (N,) values that say nothing; questions are counted on from `first_question`."""
    column = COLUMNS[name]
    if name == "question":
        return np.arange(first_question, first_question + num, dtype=np.int64)
    return np.full(num, column.neutral, dtype=column.dtype)


def checked_column(name: str, values: ArrayLike, num: int) -> NDArray[Any]:
    """Returns (N,) a column of its own dtype; a single value stands for all answers.

    Raises:
        DataError: the values are of another kind, shape or range; the column is named.
    """
    column = COLUMNS[name]
    try:
        array = as_array(values)
    except Exception as error:  # ragged, or whatever somebody's object does
        raise ArgumentError(not_a(name, values, f"({num},) {column.expected}")) from error
    if array.ndim == 0:
        array = np.full(num, array)
    if array.shape != (num,):
        raise DataError(f"{name} has shape {array.shape}; expected ({num},)")
    is_claim = column.dtype is np.bool_ and array.dtype.kind in "iu" and _is_0_or_1(array)
    is_fine = array.dtype.kind in column.kinds or is_claim or not len(array)
    if array.dtype.kind == "O":
        is_fine = is_fine and all(isinstance(value, str) for value in array)
    if not is_fine:
        raise DataError(f"{name} is of type {array.dtype}; expected {column.expected}")
    if column.dtype is np.int64 and (array > np.iinfo(np.int64).max).any():
        raise DataError(f"{name} holds {array.max()}; expected numbers of 64 bits with a sign")
    is_text = array.dtype.kind == "U"
    array = array.astype(column.dtype or (np.object_ if is_text else array.dtype))
    if name == "p_left":
        _check_answers(array)
    if name.startswith("votes") and (array < 0).any():
        raise DataError(f"{name} holds {array.min()}; expected 0 or more")
    return array


def joined_column(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Joins two columns.

    Groups that have numbers in one and names in the other become names, and so do whole numbers
    that would be rounded.
    """
    kinds = {one.dtype.kind, other.dtype.kind}
    is_rounded = kinds == {"i", "u"} and np.result_type(one, other).kind == "f"
    if is_rounded or (len(kinds) == 2 and "O" in kinds):
        one, other = (_as_names(array) for array in (one, other))
    return np.concatenate([one, other])


def is_neutral(name: str, column: NDArray[Any]) -> bool:
    """Tells whether a column says nothing."""
    if column.dtype.kind == "O":
        return not (column != "").any()
    return bool((column == neutral_column(name, len(column))).all())


def ungrouped(group: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns (N,) which answers are in no group."""
    return np.asarray(group == ("" if group.dtype.kind == "O" else -1), dtype=np.bool_)


def _as_names(group: NDArray[Any]) -> NDArray[np.object_]:
    return np.where(ungrouped(group), "", group.astype(np.str_)).astype(np.object_)


def _is_0_or_1(array: NDArray[Any]) -> bool:
    return bool(((array == 0) | (array == 1)).all())


def _check_answers(p_left: NDArray[np.float64]) -> None:
    wrong = p_left[~(np.isnan(p_left) | ((p_left >= 0) & (p_left <= 1)))]
    if len(wrong):
        raise DataError(
            f"p_left: an answer is {wrong[0]}; expected 1 (left), 0 (right), 0.5 (tie), the "
            "share of votes for left, or NaN (skip)"
        )


def checked_columns(
    columns: Mapping[str, Any], num: int, *, first_question: int = 0
) -> dict[str, NDArray[Any]]:
    """Returns every column there is: those given, checked, and the neutral rest.

    Args:
        columns: those given, by name; empty ones are as good as none.
        num: N.
        first_question: number of the first, where questions are not given.

    Raises:
        DataError: one is no column of answers, or does not fit.
    """
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise DataError(f"{unknown[0]} is no column of answers; expected {', '.join(COLUMNS)}")
    checked = {}
    for name in COLUMNS:
        given: Any = columns.get(name)
        is_left_out = given is None or (name != "p_left" and _is_empty(given))
        checked[name] = (
            neutral_column(name, num, first_question=first_question)
            if is_left_out
            else checked_column(name, given, num)
        )
    return checked


def _is_empty(column: object) -> bool:
    try:
        return isinstance(column, Sized) and not len(column)
    except Exception:  # noqa: BLE001 - an array of no axis has no length
        return False
