"""Questions in memory: the rules of a store, kept as long as the process lives.

What is in a store survives a kill in `FileQuestions`.

Axes: B questions.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance, listed, whole_number
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.feedback.protocols import Answer, Question
from prefrl.segments import SegmentBatch
from prefrl.session.question_store import (
    PENDING,
    STATES,
    Closed,
    Entry,
    GivenAnswer,
    LeasedByOther,
    QuestionState,
    QuestionStore,
    Standing,
    answers_wanted,
    check_states,
    made_questions,
)
from prefrl.session.told_standing import ToldStanding

__all__ = [
    "PENDING",
    "STATES",
    "Entry",
    "GivenAnswer",
    "MemoryQuestions",
    "QuestionState",
    "QuestionStore",
    "Standing",
    "ToldStanding",
    "check_states",
    "made_questions",
]


@dataclass
class MemoryQuestions:
    """Keeps questions as long as the process lives.

    Args:
        first_id: of the first question.
        clock: seconds since 1970.
        overlap: share of the questions that two annotators are to answer, in even intervals.
        num_annotators: how many there are. A skip of each of them, or of two, ends a question.
        lease_s: for so long a question is leased to whoever takes an answer back.

    Example:
        >>> questions = MemoryQuestions()
        >>> questions.entries("open")
        []
    """

    first_id: int = 0
    clock: Callable[[], float] = time.time
    overlap: float = 0.0
    num_annotators: int = 1
    lease_s: float = 60.0
    _known: dict[int, Question] = field(default_factory=dict, init=False, repr=False)
    _standing: dict[int, ToldStanding] = field(default_factory=dict, init=False, repr=False)
    _revision: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.overlap, (int, float)) or not 0 <= self.overlap <= 1:
            raise ArgumentError(not_a("overlap", self.overlap, "a number from 0 to 1"))

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
            first_id=self._next_id(),
            session=session,
            policy_step=policy_step,
            objective=objective,
            is_audit=is_audit,
        )
        before = sum(question.repeat_of is None for question in self._known.values())
        wanted = answers_wanted(before, len(questions), self.overlap).tolist()
        put = {one.id: ToldStanding(wanted=num) for one, num in zip(questions, wanted, strict=True)}
        self._commit(put, questions)
        return questions

    def put_repeat(self, question: int, *, session: int, policy_step: int) -> Question:
        """Opens a question once more; see `QuestionStore`."""
        first = self.question(question)
        if first.repeat_of is not None or self._standing[question].state != "answered":
            what = "a repeat itself" if first.repeat_of is not None else self._state_of(question)
            raise DataError(f"question {question} is {what}; an answered one can be repeated")
        repeat = replace(
            first,
            id=self._next_id(),
            left=first.right,
            right=first.left,
            session=session,
            policy_step=policy_step,
            repeat_of=question,
        )
        self._commit({repeat.id: ToldStanding()}, [repeat])
        return repeat

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves open questions; see `QuestionStore`."""
        instance("holder", holder, str)
        count = min(max(whole_number("count", count, least=-1), 0), len(self._known))
        if not isinstance(duration_s, (int, float)) or not abs(duration_s) < 2**53:
            raise ArgumentError(not_a("duration_s", duration_s, "a number of seconds"))
        now_s = self.clock()
        free = [
            number
            for number, standing in self._standing.items()
            if standing.state == "open"
            and self._may_answer(holder, number, standing)
            and holder not in standing.holders(now_s)
            and standing.has_room(holder, now_s)
        ][:count]
        self._commit(
            {
                number: self._standing[number].leased_to(holder, now_s + duration_s)
                for number in free
            }
        )
        return [self._known[number] for number in free]

    def answer(self, answers: Sequence[Answer]) -> list[Answer]:
        """Records answers; see `QuestionStore`."""
        answers = listed("answers", answers, Answer)
        self._check_known(answer.question for answer in answers)
        news: list[Answer] = []
        changed: dict[int, ToldStanding] = {}
        now_s = self.clock()
        for answer in answers:
            number = answer.question
            standing = changed.get(number, self._standing[number])
            if standing.state == "open" and self._may_answer(answer.annotator, number, standing):
                # Whoever has said something looks at it no more.
                standing = standing.without_lease(answer.annotator, now_s)
                standing = replace(standing, answers=(*standing.answers, answer))
                changed[number] = self._settled(number, standing)
                news.append(answer)
        self._commit(changed)
        return news

    def undo(self, annotator: str, question: int) -> bool:
        """Takes back what an annotator said of a question; says whether there was anything.

        The question is then leased to them, and as open as the answers of others leave it.

        Raises:
            DataError: there is no such question.
            LeasedByOther: they had skipped it, and somebody else looks at it by now.
            Closed: it was withdrawn, or they had skipped it and others have answered it since.
        """
        instance("annotator", annotator, str)
        question = whole_number("question", question)
        self._check_known([question])
        standing, now_s = self._standing[question], self.clock()
        answer = standing.answer_of(annotator)
        if answer is None:
            return False
        if standing.state == "withdrawn":
            raise Closed(f"question {question} was withdrawn")
        if answer.is_skip:
            if not self._is_for(annotator, question):
                raise LeasedByOther(f"question {question} is for somebody else")
            if standing.num_told >= standing.wanted:
                raise Closed(f"question {question} has been answered by others")
            if not standing.has_room(annotator, now_s):
                raise LeasedByOther(f"somebody else is looking at question {question}")
        rest = tuple(one for one in standing.answers if one.annotator != annotator)
        again = replace(standing, answers=rest).leased_to(annotator, now_s + self.lease_s)
        repeats = {
            number: self._standing[number].without_lease(annotator, now_s)
            for number, one in self._known.items()
            if one.repeat_of == question
        }
        self._commit({question: self._settled(question, again), **repeats})
        return True

    def withdraw(self, ids: Iterable[int], *, also_leased: bool = True) -> list[int]:
        """Ends pending questions without an answer; see `QuestionStore`."""
        ids = list(dict.fromkeys(listed("ids", ids, int, np.integer)))
        self._check_known(ids)
        states, now_s = PENDING if also_leased else ("open",), self.clock()
        ended = {
            number: self._standing[number].ended(now_s)
            for number in ids
            if self._standing[number].at(now_s).state in states
        }
        self._commit(ended)
        return [number for number, standing in ended.items() if standing.state == "withdrawn"]

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states; see `QuestionStore`."""
        return [Entry(self._known[n], one) for n, one in self.standings(*states).items()]

    def revision(self) -> int:
        """Returns a number that grows with every change; see `QuestionStore`."""
        return self._revision

    def standings(
        self, *states: QuestionState, with_repeats: bool = False
    ) -> dict[int, ToldStanding]:
        """Returns how questions stand; see `QuestionStore`."""
        check_states(states)
        return {
            number: standing
            for number, standing in self._now().items()
            if (not states or standing.state in states)
            and (with_repeats or self._known[number].repeat_of is None)
        }

    def answers(self) -> list[Answer]:
        """Returns every answer as it stands now; see `QuestionStore`."""
        return [answer for standing in self._standing.values() for answer in standing.answers]

    def question(self, question: int) -> Question:
        """Returns a question; see `QuestionStore`."""
        number = whole_number("question", question)
        self._check_known([number])
        return self._known[number]

    def _now(self) -> dict[int, ToldStanding]:
        """Returns all standings: leased, where somebody looks at a question."""
        now_s = self.clock()
        return {number: standing.at(now_s) for number, standing in self._standing.items()}

    def _state_of(self, number: int) -> str:
        return self._now()[number].state

    def _may_answer(self, annotator: str, number: int, standing: ToldStanding) -> bool:
        """Tells whether somebody may say something of a question, if it is pending."""
        return standing.answer_of(annotator) is None and self._is_for(annotator, number)

    def _is_for(self, annotator: str, number: int) -> bool:
        """Tells a repeat of what somebody else has answered from what is for anybody."""
        first = self._known[number].repeat_of
        if first is None:
            return True
        said = self._standing[first].answer_of(annotator)
        return said is not None and not said.is_skip

    def _settled(self, number: int, standing: ToldStanding) -> ToldStanding:
        is_repeat = self._known[number].repeat_of is not None
        return standing.settled(num_annotators=self.num_annotators, is_repeat=is_repeat)

    def _check_known(self, ids: Iterable[int]) -> None:
        for number in ids:
            if number not in self._known:
                raise DataError(
                    f"there is no question {number}; {len(self._known)} were put"
                    + (f", {min(self._known)} to {max(self._known)}" if self._known else "")
                )

    def _next_id(self) -> int:
        return max(self._known, default=self.first_id - 1) + 1

    def _commit(self, changed: dict[int, ToldStanding], added: Sequence[Question] = ()) -> None:
        """Makes a change: the whole of it, or by an error none."""
        if not changed:
            return
        self._known.update((question.id, question) for question in added)
        self._standing.update(changed)
        self._revision += 1
