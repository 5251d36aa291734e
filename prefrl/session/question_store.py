"""The life of a question: open, leased, answered, skipped or withdrawn; and who keeps it.

A store belongs to whoever asks, and comparisons are an export of it, a row an answer.

Axes: B questions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance, numbers
from prefrl.errors import DataError, PrefrlError
from prefrl.feedback.protocols import Answer, Question
from prefrl.segments import SegmentBatch

QuestionState = Literal["open", "leased", "answered", "skipped", "withdrawn"]
STATES: tuple[QuestionState, ...] = ("open", "leased", "answered", "skipped", "withdrawn")
PENDING: tuple[QuestionState, ...] = ("open", "leased")


class LeasedByOther(PrefrlError):
    """Somebody else is looking at the question."""


class Closed(PrefrlError):
    """The question takes no answer: withdrawn, answered by others, or the budget is spent."""


@dataclass(frozen=True)
class Standing:
    """The standing of a question.

    Args:
        state: open, leased, answered, skipped or withdrawn.
        holder: who has leased it last; "" nobody.
        leased_until_s: when the lease ends and it is open again, in seconds since 1970.
        answer: what was said; only of answered and skipped ones. Of several annotators, the share
            of those who said left.
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


class GivenAnswer(Protocol):
    """An answer of one annotator to one question, as it stands now."""

    @property
    def question(self) -> int:
        """Returns the question's id."""
        ...

    @property
    def annotator(self) -> str:
        """Returns who said it; "" where that is not known."""
        ...

    @property
    def p_left(self) -> float:
        """Returns 1 left, 0 right, 0.5 tie, the share of votes for left, or NaN: skipped."""
        ...

    @property
    def source(self) -> str:
        """Returns what kind of teacher said it, as the interchange format has it; "" unknown."""
        ...


class QuestionStore(Protocol):
    """A store of questions, before they are answered and after.

    Each call takes effect as a whole or not at all, and may come from another process than the
    last one. A question is never forgotten: a pair that was put can be told from one that was not.

    Where several annotators answer, a question has an answer of each, which they may replace and
    take back; how many it wants, and how many skips end it, is up to the store. It may be put once
    more as a repeat, with its sides swapped, for those who have answered it and not skipped it: no
    other annotator is given it. Repeats are left out wherever nothing is said of them.
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

    def put_repeat(self, question: int, *, session: int, policy_step: int) -> Question:
        """Opens an answered question once more, sides swapped, for those who have answered it.

        Args:
            question: its id.
            session: the round of queries that the repeat is put in.
            policy_step: environment steps that the policy has taken.

        Raises:
            DataError: there is no such question, it was not answered, or is a repeat itself.
        """
        ...

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves up to `count` questions, oldest first, for one who is about to answer.

        They are pending, say nothing of the holder yet, and want one answer more than there are and
        than others look for. When the time is over, those that are not answered are open again.
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

    def withdraw(self, ids: Iterable[int], *, also_leased: bool = True) -> list[int]:
        """Ends pending questions without an answer, and returns their ids; others stay as they are.

        One that has some of the answers that it wants is answered with these, and not among those
        returned.

        Args:
            ids: of questions, repeats too.
            also_leased: those that somebody looks at are ended, too.

        Raises:
            DataError: there is no such question; nothing is withdrawn.
        """
        ...

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states, oldest first; all of them where none is named."""
        ...

    def revision(self) -> int:
        """Returns a number that grows with every change of an answer or a question's state.

        It costs next to nothing. Leases, and their ends, may leave it as it is.
        """
        ...

    def standings(
        self, *states: QuestionState, with_repeats: bool = False
    ) -> Mapping[int, Standing]:
        """Returns how questions stand, by id, oldest first, without their segments.

        Args:
            *states: those wanted; all of them where none is named.
            with_repeats: repeats are among them.
        """
        ...

    def answers(self) -> Sequence[GivenAnswer]:
        """Returns every answer as it stands now, skips and those to repeats too, by question."""
        ...

    def question(self, question: int) -> Question:
        """Returns a question, segments and all, or a repeat.

        Raises:
            DataError: there is none.
        """
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


def answers_wanted(before: int, num: int, overlap: float) -> NDArray[np.int64]:
    """Returns (B,) how many answers each of the next questions wants: 2 in even intervals, else 1.

    Args:
        before: questions that were put before, repeats apart.
        num: B.
        overlap: share of the questions that want two.
    """
    # A little is added so that ten tenths are a whole.
    due = np.floor(np.arange(before, before + num + 1) * overlap + 1e-9)
    return np.asarray(1 + np.diff(due), dtype=np.int64)
