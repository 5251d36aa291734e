"""The life of a question: open, leased, answered, skipped or withdrawn.

A store belongs to whoever asks. What is in it survives a kill in `FileQuestions`; comparisons are
an export of it, a row an answer.

Axes: B questions.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance, listed, numbers, whole_number
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.feedback.protocols import Answer, Question
from prefrl.segments import SegmentBatch

QuestionState = Literal["open", "leased", "answered", "skipped", "withdrawn"]
STATES: tuple[QuestionState, ...] = ("open", "leased", "answered", "skipped", "withdrawn")
PENDING: tuple[QuestionState, ...] = ("open", "leased")


@dataclass(frozen=True)
class Standing:
    """The standing of a question.

    Args:
        state: open, leased, answered, skipped or withdrawn.
        holder: who has leased it last; "" nobody.
        leased_until_s: when the lease ends and it is open again, in seconds since 1970.
        answer: what was said; only of answered and skipped ones.
    """

    state: QuestionState = "open"
    holder: str = ""
    leased_until_s: float = 0.0
    answer: Answer | None = None


@dataclass(frozen=True)
class Entry:
    """A question and how it stands."""

    question: Question
    standing: Standing


class QuestionStore(Protocol):
    """A store of questions, before they are answered and after.

    Each call takes effect as a whole or not at all, and may come from another process than the
    last one. A question is never forgotten: a pair that was put can be told from one that was not.
    """

    def put(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        session: int,
        policy_step: int,
        objective: NDArray[np.int64] | None = None,
        is_audit: NDArray[np.bool_] | None = None,
    ) -> list[Question]:
        """Opens B questions and returns them with the ids that they have from now on."""
        ...

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves up to `count` open questions, oldest first, for one who is about to answer.

        When the time is over, those that are not answered are open again.
        """
        ...

    def answer(self, answers: Sequence[Answer]) -> list[Answer]:
        """Records answers, and returns those that were news.

        A pending question is then answered, or skipped where `p_left` is NaN, whoever holds the
        lease. The first answer stands: a second one, and one to a withdrawn question, changes
        nothing.

        Raises:
            DataError: there is no such question; nothing is recorded.
        """
        ...

    def withdraw(self, ids: Iterable[int]) -> list[int]:
        """Ends pending questions without an answer, and returns their ids; others stay as they are.

        Raises:
            DataError: there is no such question; nothing is withdrawn.
        """
        ...

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states, oldest first; all of them where none is named."""
        ...


def made_questions(
    left: SegmentBatch,
    right: SegmentBatch,
    *,
    first_id: int,
    session: int,
    policy_step: int,
    objective: NDArray[np.int64] | None,
    is_audit: NDArray[np.bool_] | None,
) -> list[Question]:
    """Returns B questions of what `QuestionStore.put` is given, their ids counted on.

    Raises:
        DataError: sides, objectives and marks are not equally many.
    """
    num = len(instance("left", left, SegmentBatch))
    instance("right", right, SegmentBatch)
    objective = np.zeros(num, np.int64) if objective is None else objective
    is_audit = np.zeros(num, dtype=bool) if is_audit is None else is_audit
    objective = numbers("objective", objective, ("questions",), dtype=None)
    is_audit = numbers("is_audit", is_audit, ("questions",), dtype=None)
    if {len(right), len(objective), len(is_audit)} != {num}:
        raise DataError(
            f"{num} left and {len(right)} right segments, {len(objective)} objectives and "
            f"{len(is_audit)} entries of is_audit make no questions"
        )
    return [
        Question(
            id=first_id + row,
            left=left[row],
            right=right[row],
            session=session,
            policy_step=policy_step,
            objective=int(objective[row]),
            is_audit=bool(is_audit[row]),
        )
        for row in range(num)
    ]


def check_states(states: Sequence[QuestionState]) -> None:
    """Refuses what is no state of a question.

    Raises:
        DataError: one is none.
    """
    if unknown := set(states) - set(STATES):
        raise DataError(f"{min(unknown)!r} is no state of a question; {', '.join(STATES)} are")


@dataclass
class MemoryQuestions:
    """Keeps questions as long as the process lives.

    Args:
        first_id: of the first question.
        clock: seconds since 1970.

    Example:
        >>> questions = MemoryQuestions()
        >>> questions.entries("open")
        []
    """

    first_id: int = 0
    clock: Callable[[], float] = time.time
    _known: dict[int, Question] = field(default_factory=dict, init=False, repr=False)
    _standing: dict[int, Standing] = field(default_factory=dict, init=False, repr=False)

    def put(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        session: int,
        policy_step: int,
        objective: NDArray[np.int64] | None = None,
        is_audit: NDArray[np.bool_] | None = None,
    ) -> list[Question]:
        """Opens questions; see `QuestionStore`."""
        questions = made_questions(
            left,
            right,
            first_id=max(self._known, default=self.first_id - 1) + 1,
            session=session,
            policy_step=policy_step,
            objective=objective,
            is_audit=is_audit,
        )
        self._commit({one.id: Standing() for one in questions}, questions)
        return questions

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves open questions; see `QuestionStore`."""
        count = min(max(whole_number("count", count, least=-1), 0), len(self._known))
        if not isinstance(duration_s, (int, float)) or not abs(duration_s) < 2**53:
            raise ArgumentError(not_a("duration_s", duration_s, "a number of seconds"))
        free = [entry.question for entry in self.entries("open")][:count]
        until = Standing("leased", holder, self.clock() + duration_s)
        self._commit({question.id: until for question in free})
        return free

    def answer(self, answers: Sequence[Answer]) -> list[Answer]:
        """Records answers; see `QuestionStore`."""
        answers = listed("answers", answers, Answer)
        self._check_known(answer.question for answer in answers)
        news: dict[int, Answer] = {}
        for answer in answers:
            if self._standing[answer.question].state in PENDING:
                news.setdefault(answer.question, answer)
        self._commit(
            {
                number: replace(
                    self._standing[number],
                    state="skipped" if answer.is_skip else "answered",
                    answer=answer,
                )
                for number, answer in news.items()
            }
        )
        return list(news.values())

    def withdraw(self, ids: Iterable[int]) -> list[int]:
        """Ends pending questions without an answer; see `QuestionStore`."""
        ids = list(dict.fromkeys(listed("ids", ids, int, np.integer)))
        self._check_known(ids)
        pending = [number for number in ids if self._standing[number].state in PENDING]
        self._commit(
            {number: replace(self._standing[number], state="withdrawn") for number in pending}
        )
        return pending

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states; see `QuestionStore`."""
        check_states(states)
        now_s = self.clock()
        found = []
        for number, question in self._known.items():
            standing = self._standing[number]
            if standing.state == "leased" and standing.leased_until_s <= now_s:
                standing = replace(standing, state="open")
            if not states or standing.state in states:
                found.append(Entry(question, standing))
        return found

    def _check_known(self, ids: Iterable[int]) -> None:
        for number in ids:
            if number not in self._known:
                raise DataError(
                    f"there is no question {number}; {len(self._known)} were put"
                    + (f", {min(self._known)} to {max(self._known)}" if self._known else "")
                )

    def _commit(self, changed: dict[int, Standing], added: Sequence[Question] = ()) -> None:
        """Makes a change: the whole of it, or by an error none."""
        self._known.update((question.id, question) for question in added)
        self._standing.update(changed)
