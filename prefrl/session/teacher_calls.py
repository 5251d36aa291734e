"""Calls of a teacher of anybody's: whatever comes back is known to be what it should.

Axes: B queries.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import as_array
from prefrl.errors import ContractError, DataError, calling, shown
from prefrl.feedback.protocols import Answer, AsyncTeacher, Observer
from prefrl.segments import SegmentBatch


def observed(teacher: Observer, pool: SegmentBatch) -> dict[str, float]:
    """Shows a teacher segments, and returns its metrics.

    Raises:
        ContractError: it raised, or returned something else than numbers by name.
    """
    name = type(teacher).__name__
    with calling(f"observe of {name}"):
        metrics: Any = teacher.observe(pool)
    if metrics is None:
        return {}
    try:
        return {str(key): float(value) for key, value in dict(metrics).items()}
    except (TypeError, ValueError):
        raise ContractError(
            f"observe of {name} returned {shown(metrics)}; expected a dict of "
            "numbers by name, which may be empty"
        ) from None


def checked_answers(teacher: object, answers: object, num: int) -> NDArray[np.float64]:
    """Returns the answers of a teacher of anybody's, once they are known to be some.

    Raises:
        ContractError: they are not one number in [0, 1] or NaN a query.
    """
    expected = f"({num},) numbers: 1 left, 0 right, 0.5 tie, the share of votes for left, NaN skip"
    what = f"answer of {type(teacher).__name__} returned"
    try:
        array = as_array(answers)
    except Exception as error:  # ragged, or whatever somebody's object does
        raise ContractError(f"{what} {shown(answers)}; expected {expected}") from error
    if array.dtype.kind not in "fiub":
        said = shown(answers)
        raise ContractError(f"{what} {said}; expected {expected}")
    if array.shape != (num,):
        raise ContractError(f"{what} an array of shape {array.shape}; expected {expected}")
    p_left = array.astype(np.float64)
    wrong = np.flatnonzero(~(np.isnan(p_left) | ((p_left >= 0) & (p_left <= 1))))
    if len(wrong):
        raise ContractError(f"{what} {p_left[wrong[0]]:g} to query {wrong[0]}; expected {expected}")
    return p_left


def collected(teacher: AsyncTeacher) -> list[Answer]:
    """Returns what has arrived; an iterator would be used up by whoever looks at it first.

    Raises:
        DataError: the teacher returned something else than answers.
    """
    with calling(f"collect of {type(teacher).__name__}"):
        arrived: Any = teacher.collect()
        answers: list[Answer] = list(arrived) if isinstance(arrived, Iterable) else [arrived]
    for answer in answers:
        if not isinstance(answer, Answer):
            raise DataError(
                f"collect of {type(teacher).__name__} returned {shown(answer)}; "
                "expected a list of Answer objects"
            )
    return answers
