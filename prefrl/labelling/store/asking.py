"""Putting questions, and ending them: the side of whoever asks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, insert, select

from prefrl.arguments import flag, instance, listed, whole_number
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.feedback.protocols import Answer, Question
from prefrl.labelling.store.handing_out import free, has_budget, held
from prefrl.labelling.store.listing import Listing
from prefrl.labelling.store.notes import check_turn, rules_and_pause, rules_of
from prefrl.labelling.store.schema import answers, questions, segments
from prefrl.labelling.store.segment_bytes import bytes_of
from prefrl.labelling.store.standing import (
    LARGEST_ID,
    MAY_ANSWER,
    NUM_LEASES,
    NUMBER,
    SET_STATE,
    bump,
    check_known,
    end_lease,
    num_votes,
    question_row,
    set_lease,
    settle,
)
from prefrl.segments import SegmentBatch
from prefrl.session.question_store import answers_wanted, made_questions

_IS_IT = questions.c.id == NUMBER
_IS_NEWS = select(questions).where(_IS_IT, questions.c.state == "open", MAY_ANSWER)
_NUM_LEASES_OF = select(NUM_LEASES).where(_IS_IT)


def next_id(connection: Connection, first_id: int) -> int:
    """Returns the number of the next question, which none has had.

    A database that was put back from a copy may lack questions that had numbers below `first_id`.
    """
    last = connection.execute(select(func.max(questions.c.id))).scalar()
    return first_id if last is None else max(first_id, int(last) + 1)


def _put(
    connection: Connection,
    new: Sequence[Question],
    wanted: NDArray[np.int64],
    *,
    model_version: int | None,
    now_s: float,
) -> None:
    """Opens questions.

    Args:
        connection: in a transaction.
        new: B questions, under the ids that they have from now on.
        wanted: (B,) how many answers each one wants.
        model_version: of the reward model that chose them.
        now_s: seconds since 1970.
    """
    if not new:
        return
    rows = [
        {
            "id": question.id,
            "session": question.session,
            "policy_step": question.policy_step,
            "model_version": model_version,
            "objective": question.objective,
            "is_audit": question.is_audit,
            "wanted": int(num),
            "state": "open",
            "put_s": now_s,
        }
        for question, num in zip(new, wanted, strict=True)
    ]
    insert_questions(connection, rows, new)


def _put_repeat(connection: Connection, question: Question, of: int, *, now_s: float) -> None:
    """Opens a question that an annotator has answered once more, with its sides swapped.

    Raises:
        DataError: it was not answered, or is a repeat itself.
        UnknownQuestion: there is none.
    """
    first = question_row(connection, of)
    if first.repeat_of is not None or first.state != "answered":
        what = "a repeat itself" if first.repeat_of is not None else first.state
        raise DataError(f"question {of} is {what}; an answered one can be repeated")
    row = {
        "id": question.id,
        "session": question.session,
        "policy_step": question.policy_step,
        "model_version": first.model_version,
        "objective": question.objective,
        "is_audit": question.is_audit,
        "repeat_of": of,
        "wanted": 1,
        "state": "open",
        "put_s": now_s,
        "left_clip": first.right_clip,
        "right_clip": first.left_clip,
    }
    insert_questions(connection, [row], [question])


def insert_questions(
    connection: Connection, rows: Sequence[dict[str, Any]], new: Sequence[Question]
) -> None:
    """Inserts questions.

    Args:
        connection: in a transaction.
        rows: of the table, one a question.
        new: the same questions, with their segments.
    """
    connection.execute(insert(questions), rows)
    sides = [
        {"question": one.id, "left": bytes_of(one.left), "right": bytes_of(one.right)}
        for one in new
    ]
    connection.execute(insert(segments), sides)
    bump(connection)


def _num_wanted(connection: Connection, num: int, overlap: float) -> NDArray[np.int64]:
    """Returns (B,) how many answers each of the next questions wants: 2 in even intervals, else 1.

    Args:
        connection: in a transaction.
        num: B.
        overlap: share of the questions that want two.
    """
    statement = select(func.count()).where(questions.c.repeat_of.is_(None))
    before = int(connection.execute(statement).scalar_one())
    return answers_wanted(before, num, overlap)


def _lease(
    connection: Connection, holder: str, count: int, *, until_s: float, now_s: float
) -> list[Row[Any]]:
    """Reserves questions that the holder may be given, oldest first, and returns them."""
    rules, is_paused = rules_and_pause(connection)
    if is_paused:
        return []
    own = {row.id for row in held(connection, holder, now_s)}
    rows: list[Row[Any]] = []
    last = -1
    while len(rows) < count:
        # One by one: each that is reserved leaves the budget less room.
        row = free(connection, holder, rules, now_s, above=last)
        if row is None:
            break
        last = row.id
        if row.id not in own:
            set_lease(connection, row.id, holder, until_s=until_s, now_s=now_s)
            rows.append(row)
    return rows


def _record(connection: Connection, given: Sequence[Answer], now_s: float) -> list[Answer]:
    """Records the answers that are news.

    Raises:
        UnknownQuestion: one is to no question; nothing is recorded.
    """
    check_known(connection, (answer.question for answer in given))
    rules = rules_of(connection)
    news = []
    for answer in given:
        which = {"number": answer.question, "who": answer.annotator}
        row = connection.execute(_IS_NEWS, which).first()
        if row is None or not (answer.is_skip or has_budget(connection, row, rules)):
            continue
        new = {
            "question": answer.question,
            "annotator": answer.annotator,
            "p_left": None if answer.is_skip else answer.p_left,
            "answered_s": answer.answered_s,
            "source": answer.source,
        }
        connection.execute(insert(answers).values(new))
        end_lease(connection, answer.question, now_s, annotator=answer.annotator)
        settle(connection, [answer.question], rules, now_s)
        news.append(answer)
    if news:
        bump(connection)
    return news


def withdraw_pending(
    connection: Connection, ids: Iterable[int], now_s: float, *, also_leased: bool
) -> list[int]:
    """Ends pending questions; one that has some of the answers it wants is answered with these.

    Args:
        connection: in a transaction.
        ids: of questions.
        now_s: seconds since 1970.
        also_leased: those that somebody looks at are ended, too.

    Returns:
        those that were withdrawn.

    Raises:
        UnknownQuestion: there is no such question; nothing is withdrawn.
    """
    ids = list(dict.fromkeys(int(number) for number in ids))
    check_known(connection, ids)
    withdrawn = []
    for number in ids:
        row = question_row(connection, number)
        if row.state != "open" or not (also_leased or _is_free(connection, number, now_s)):
            continue
        num = num_votes(connection, number)
        if num:
            ended = {"number": number, "state": "answered", "wanted": num}
            connection.execute(SET_STATE, ended)
        else:
            connection.execute(SET_STATE, {"number": number, "state": "withdrawn"})
            withdrawn.append(number)
        end_lease(connection, number, now_s)
        bump(connection)
    return withdrawn


def _is_free(connection: Connection, number: int, now_s: float) -> bool:
    which = {"number": number, "now_s": now_s}
    return not connection.execute(_NUM_LEASES_OF, which).scalar_one()


class Asking(Listing):
    """Puts questions: the side of whoever asks."""

    def put(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        session: int,
        policy_step: int,
        objective: NDArray[np.int64] | None = None,
        is_audit: NDArray[np.bool_] | None = None,
        model_version: int | None = None,
    ) -> list[Question]:
        """Opens questions; see `QuestionStore`.

        Args:
            left: B left segments.
            right: B right segments.
            session: the round of queries they are put in.
            policy_step: environment steps that the policy had taken by then.
            objective: (B,) what each is about.
            is_audit: (B,) drawn at random, not chosen.
            model_version: of the reward model that chose them.
        """
        made = made_questions(
            left,
            right,
            first_id=0,
            session=whole_number("session", session),
            policy_step=whole_number("policy_step", policy_step),
            objective=objective,
            is_audit=is_audit,
        )
        if not made:
            return []
        with self._database.writing() as connection:
            check_turn(connection, self._turn)
            first = next_id(connection, self.first_id)
            made = [replace(question, id=first + question.id) for question in made]
            overlap = rules_of(connection).overlap
            wanted = _num_wanted(connection, len(made), overlap)
            _put(connection, made, wanted, model_version=model_version, now_s=self.clock())
        self._known.update((question.id, question) for question in made)
        return made

    def put_repeat(self, question: int, *, session: int, policy_step: int) -> Question:
        """Opens an answered question once more, sides swapped, for those who have answered it.

        A repeat costs no budget and is no part of `entries`, `standings` and the training data.

        Raises:
            UnknownQuestion: there is no such question.
            DataError: it was not answered, or is a repeat itself.
        """
        first = self.question(question)
        with self._database.writing() as connection:
            check_turn(connection, self._turn)
            repeat = Question(
                next_id(connection, self.first_id),
                first.right,
                first.left,
                whole_number("session", session),
                whole_number("policy_step", policy_step),
                first.objective,
                first.is_audit,
                first.id,
            )
            _put_repeat(connection, repeat, first.id, now_s=self.clock())
        self._known[repeat.id] = repeat
        return repeat

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves questions by the rule of `next_question`; see `QuestionStore`.

        As many as are asked for: the two that a page holds at most are no limit here.
        """
        instance("holder", holder, str)
        count = min(max(whole_number("count", count, least=-1), 0), LARGEST_ID)
        if not isinstance(duration_s, (int, float)) or not abs(duration_s) < 2**53:
            raise ArgumentError(not_a("duration_s", duration_s, "a number of seconds"))
        with self._database.writing() as connection:
            now_s = self.clock()
            until_s = now_s + duration_s
            rows = _lease(connection, holder, count, until_s=until_s, now_s=now_s)
            return self._questions(connection, rows)

    def answer(self, answers: Sequence[Answer]) -> list[Answer]:
        """Records answers; see `QuestionStore`. One that the budget has no room for is no news.

        Unlike those of `give` they were given already, to whoever brings them: who looks at a
        question meanwhile does not keep them out.
        """
        answers = listed("answers", answers, Answer)
        if not answers:
            return []
        with self._database.writing() as connection:
            return _record(connection, answers, self.clock())

    def withdraw(self, ids: Iterable[int], *, also_leased: bool = True) -> list[int]:
        """Ends pending questions without an answer; see `QuestionStore`."""
        ids = listed("ids", ids, int, np.integer)
        flag("also_leased", also_leased)
        if not ids:
            return []
        with self._database.writing() as connection:
            return withdraw_pending(connection, ids, self.clock(), also_leased=also_leased)
