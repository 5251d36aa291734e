"""Putting questions, and how they stand: the side of whoever asks."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, func, insert, select, update

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer, Question
from prefrl.labelling.store.schema import answers, leases, questions, segments
from prefrl.labelling.store.segment_bytes import bytes_of, segments_from
from prefrl.labelling.store.standing import bump, check_known, num_leases, question_row
from prefrl.session.questions import QuestionState


def next_id(connection: Connection, first_id: int) -> int:
    """Returns the number of the next question, which none has had."""
    last = connection.execute(select(func.max(questions.c.id))).scalar()
    return first_id if last is None else int(last) + 1


def put(
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
    _insert(connection, rows, new)


def put_repeat(connection: Connection, question: Question, of: int, *, now_s: float) -> None:
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
    _insert(connection, [row], [question])


def _insert(
    connection: Connection, rows: Sequence[dict[str, Any]], new: Sequence[Question]
) -> None:
    connection.execute(insert(questions), rows)
    sides = [
        {"question": one.id, "left": bytes_of(one.left), "right": bytes_of(one.right)}
        for one in new
    ]
    connection.execute(insert(segments), sides)
    bump(connection)


def num_wanted(connection: Connection, num: int, overlap: float) -> NDArray[np.int64]:
    """Returns (B,) how many answers each of the next questions wants: 2 in even intervals, else 1.

    Args:
        connection: in a transaction.
        num: B.
        overlap: share of the questions that want two.
    """
    statement = select(func.count()).where(questions.c.repeat_of.is_(None))
    before = int(connection.execute(statement).scalar_one())
    # A little is added so that ten tenths are a whole.
    due = np.floor(np.arange(before, before + num + 1) * overlap + 1e-9)
    return np.asarray(1 + np.diff(due), dtype=np.int64)


def load(connection: Connection, rows: Sequence[Row[Any]]) -> list[Question]:
    """Returns questions, segments and all.

    Raises:
        StorageError: a segment is damaged.
    """
    ids = [row.id for row in rows]
    sides: dict[int, Row[Any]] = {}
    for first in range(0, len(ids), 500):
        some = segments.c.question.in_(ids[first : first + 500])
        sides |= {one.question: one for one in connection.execute(select(segments).where(some))}
    return [
        Question(
            id=row.id,
            left=segments_from(sides[row.id].left, f"the left segment of question {row.id}"),
            right=segments_from(sides[row.id].right, f"the right segment of question {row.id}"),
            session=row.session,
            policy_step=row.policy_step,
            objective=row.objective,
            is_audit=row.is_audit,
            repeat_of=row.repeat_of,
        )
        for row in rows
    ]


def rows_in(
    connection: Connection, states: Sequence[QuestionState], *, with_repeats: bool
) -> list[Row[Any]]:
    """Returns the questions in these states, oldest first, leased ones being open; all if none."""
    statement = select(questions).order_by(questions.c.id)
    if states:
        kept = {"open" if state == "leased" else state for state in states}
        statement = statement.where(questions.c.state.in_(sorted(kept)))
    if not with_repeats:
        statement = statement.where(questions.c.repeat_of.is_(None))
    return list(connection.execute(statement))


def lease(
    connection: Connection, holder: str, count: int, *, until_s: float, now_s: float
) -> list[Row[Any]]:
    """Reserves open questions, oldest first, and returns them."""
    statement = (
        select(questions)
        .where(questions.c.state == "open", questions.c.repeat_of.is_(None))
        .where(num_leases(now_s) == 0)
        .order_by(questions.c.id)
        .limit(count)
    )
    rows = list(connection.execute(statement))
    for row in rows:
        set_lease(connection, row.id, holder, until_s=until_s, now_s=now_s)
    return rows


def set_lease(
    connection: Connection, number: int, annotator: str, *, until_s: float, now_s: float
) -> None:
    """Leases a question, anew where it was leased before."""
    is_it = (leases.c.question == number) & (leases.c.annotator == annotator)
    values = {"leased_s": now_s, "until_s": until_s}
    if not connection.execute(update(leases).where(is_it).values(values)).rowcount:
        connection.execute(insert(leases).values(question=number, annotator=annotator, **values))


def end_lease(
    connection: Connection, number: int, now_s: float, *, annotator: str | None = None
) -> None:
    """Ends the leases of a question, or one of them, before their time."""
    of_it = update(leases).where(leases.c.question == number, leases.c.until_s > now_s)
    if annotator is not None:
        of_it = of_it.where(leases.c.annotator == annotator)
    connection.execute(of_it.values(until_s=now_s))


def record(connection: Connection, given: Sequence[Answer], now_s: float) -> list[Answer]:
    """Records answers of whoever is in charge; each of them closes its question at once.

    Raises:
        UnknownQuestion: one is to no question; nothing is recorded.
    """
    check_known(connection, (answer.question for answer in given))
    news: dict[int, Answer] = {}
    for answer in given:
        row = question_row(connection, answer.question)
        if row.state != "open":
            continue
        own = (answers.c.question == row.id) & (answers.c.annotator == answer.annotator)
        values = {
            "p_left": None if answer.is_skip else answer.p_left,
            "answered_s": answer.answered_s,
        }
        if not connection.execute(update(answers).where(own).values(values)).rowcount:
            connection.execute(
                insert(answers).values(question=row.id, annotator=answer.annotator, **values)
            )
        num = _num_votes(connection, row.id)
        state = "answered" if num else "skipped"
        closed = update(questions).where(questions.c.id == row.id)
        connection.execute(closed.values(state=state, wanted=max(num, 1)))
        end_lease(connection, row.id, now_s)
        news[row.id] = answer
    if news:
        bump(connection)
    return list(news.values())


def withdraw(
    connection: Connection, ids: Iterable[int], now_s: float, *, also_leased: bool = True
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
        num = _num_votes(connection, number)
        ended = update(questions).where(questions.c.id == number)
        if num:
            connection.execute(ended.values(state="answered", wanted=num))
        else:
            connection.execute(ended.values(state="withdrawn"))
            withdrawn.append(number)
        end_lease(connection, number, now_s)
        bump(connection)
    return withdrawn


def _is_free(connection: Connection, number: int, now_s: float) -> bool:
    of_it = select(num_leases(now_s)).where(questions.c.id == number)
    return not connection.execute(of_it).scalar_one()


def _num_votes(connection: Connection, number: int) -> int:
    statement = select(func.count()).where(
        answers.c.question == number, answers.c.p_left.is_not(None)
    )
    return int(connection.execute(statement).scalar_one())
