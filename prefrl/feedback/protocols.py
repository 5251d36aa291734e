"""Teachers, who answer at once, or in their own time.

Axes: B queries.
"""

import contextlib
import inspect
import math
import numbers
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import ArgumentError, DataError, not_a, shown
from prefrl.segments import SegmentBatch

_METHODS = {
    "answer": "answer(left, right, *, rng), and objective with several objectives",
    "ask": "ask(questions)",
    "collect": "collect()",
    "observe": "observe(pool)",
}


class Teacher(Protocol):
    """Whoever answers at once; one that wants to see segments first is an `Observer` as well.

    Example:
        >>> class LikesCalm:
        ...     def answer(self, left, right, *, rng):
        ...         effort = [np.abs(side.actions).sum(axis=(1, 2)) for side in (left, right)]
        ...         return np.where(effort[0] < effort[1], 1.0, 0.0)
    """

    def answer(
        self, left: SegmentBatch, right: SegmentBatch, *, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Returns (B,) 1 left, 0 right, 0.5 tie, NaN skipped."""
        ...


@runtime_checkable
class Observer(Protocol):
    """A teacher that is shown segments before it is asked about some of them."""

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Sees the present candidates before a session; returns metrics worth logging."""
        ...


@dataclass(frozen=True)
class Question:
    """Two segments that somebody is asked to compare.

    Args:
        id: its number in the store that it comes from; never given to another question.
        left: one segment.
        right: one segment, as long.
        session: the round of queries it was put in.
        policy_step: environment steps that the policy had taken by then.
        objective: what it is about; 0 where there is one objective.
        is_audit: drawn at random, not chosen.
        repeat_of: the question that it repeats with its sides swapped, for those who answered that
            one; None: it is no repeat.
    """

    id: int
    left: SegmentBatch
    right: SegmentBatch
    session: int = 0
    policy_step: int = 0
    objective: int = 0
    is_audit: bool = False
    repeat_of: int | None = None

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            if len(getattr(self, name)) != 1:
                raise DataError(
                    f"{name} of question {self.id} has {len(getattr(self, name))} segments; "
                    "expected 1"
                )

    def copied(self) -> "Question":
        """Returns the question with arrays of its own, for whoever may write to them."""
        return replace(self, left=self.left[[0]], right=self.right[[0]])


@dataclass(frozen=True)
class Answer:
    """The answer that somebody gave to a question.

    Args:
        question: the question's id.
        p_left: 1 left, 0 right, 0.5 tie, the share of votes for left, or NaN: skipped.
        annotator: who said it; "" where that is not known.
        answered_s: when, in seconds since 1970; None where that is not known.
        source: what kind of teacher said it: "simulated", "human", "demonstration" or "pseudo"; ""
            where that is not known.
    """

    question: int
    p_left: float
    annotator: str = ""
    answered_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        # Whatever arithmetic it comes from, NumPy's among others, it can be written into a file.
        with contextlib.suppress(Exception):  # whatever somebody's object does
            object.__setattr__(self, "question", operator.index(self.question))
        if isinstance(self.p_left, (numbers.Real, np.bool_)):
            with contextlib.suppress(OverflowError):
                object.__setattr__(self, "p_left", float(self.p_left))
        if not (isinstance(self.p_left, float) and (self.is_skip or 0 <= self.p_left <= 1)):
            raise DataError(
                f"the answer to question {shown(self.question)} is {shown(self.p_left)}; expected "
                "1 (left), 0 (right), 0.5 (tie), the share of votes for left, or NaN (skip)"
            )
        for name in ("annotator", "source"):
            if not isinstance(getattr(self, name), str):
                raise DataError(
                    f"{name} of the answer to question {shown(self.question)} is "
                    f"{shown(getattr(self, name))}; expected text"
                )
        when = self.answered_s
        try:
            is_time = when is None or (isinstance(when, numbers.Real) and math.isfinite(when))
        except OverflowError:
            is_time = False
        if not is_time:
            raise DataError(
                f"answered_s of the answer to question {shown(self.question)} is "
                f"{shown(when)}; expected seconds since 1970, or None"
            )
        if when is not None:
            object.__setattr__(self, "answered_s", float(when))

    @property
    def is_skip(self) -> bool:
        """Tells whether the question was looked at and left unanswered."""
        return math.isnan(self.p_left)


@runtime_checkable
class AsyncTeacher(Protocol):
    """Whoever answers in their own time, in any order, perhaps never: people, another process.

    Nothing is lost over a kill on either side if both calls are safe to repeat. After a restart the
    questions that are still open are asked again, under the ids that they had: a teacher that knows
    an id does not put it to its people a second time, and gives its answer once more if it has one.
    Answers that were given before are left out by whoever collects them.

    Example:
        >>> from prefrl.feedback.protocols import Answer, is_async
        >>> class Mailbox:
        ...     def __init__(self):
        ...         self.ids = []
        ...     def ask(self, questions):
        ...         self.ids += [question.id for question in questions]
        ...     def collect(self):
        ...         arrived, self.ids = self.ids, []
        ...         return [Answer(number, p_left=1.0) for number in arrived]
        >>> is_async(Mailbox())
        True
    """

    def ask(self, questions: Sequence[Question]) -> None:
        """Takes questions, and returns without waiting for an answer."""
        ...

    def collect(self) -> Sequence[Answer]:
        """Returns the answers that have arrived, none of them being none; never waits."""
        ...


def check_can_be_asked(teacher: Any, *, has_objectives: bool | None = None) -> None:
    """Refuses what lacks a teacher's methods, or has some that cannot be called as one is.

    What only an answer can show is checked when it is there.

    Args:
        teacher: what was given as one.
        has_objectives: it learns each query's objective; None: that is not known yet.

    Raises:
        ArgumentError: it is no teacher; the line says what is missing.
    """
    expected = "an object with a method answer(left, right, *, rng), or with ask and collect"
    if teacher is None or isinstance(teacher, (type, str)):
        raise ArgumentError(not_a("teacher", teacher, expected))
    name = type(teacher).__name__
    has = {method: callable(getattr(teacher, method, None)) for method in _METHODS}
    if not has["answer"] and has["ask"] != has["collect"]:
        there, missing = ("ask", "collect") if has["ask"] else ("collect", "ask")
        raise ArgumentError(
            f"teacher {name} has a method {there} and no {missing}; a teacher that takes its time "
            "has both, ask(questions) and collect()"
        )
    if not (has["answer"] or has["ask"]):
        raise ArgumentError(not_a("teacher", teacher, expected))
    if hasattr(teacher, "observe") and not callable(teacher.observe):
        raise ArgumentError(f"observe of teacher {name} is no method; expected observe(pool)")
    calls: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {
        "observe": ((None,), {}),
        "ask": (((),), {}),
        "collect": ((), {}),
    }
    if not is_async(teacher) and has_objectives is not None:
        about = {"objective": None} if has_objectives else {}
        calls["answer"] = ((None, None), {"rng": None, **about})
    for method, (arguments, named) in calls.items():
        if callable(getattr(teacher, method, None)):
            _check_can_be_called(f"{method} of teacher {name}", teacher, method, arguments, named)


def _check_can_be_called(
    what: str,
    teacher: Any,
    method: str,
    arguments: tuple[object, ...],
    named: dict[str, object],
) -> None:
    try:
        signature = inspect.signature(getattr(teacher, method))
    except (TypeError, ValueError):  # of something built in, which says nothing
        return
    try:
        signature.bind(*arguments, **named)
    except TypeError as error:
        raise ArgumentError(
            f"{what} takes {signature}: {error}; expected {_METHODS[method]}"
        ) from None


def is_async(teacher: Any) -> TypeGuard[AsyncTeacher]:
    """Tells a teacher that answers in its own time from one that answers at once."""
    return isinstance(teacher, AsyncTeacher)
