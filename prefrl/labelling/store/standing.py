"""Standings of questions, worked out from their answers and leases."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, or_, select, update

from prefrl.feedback.protocols import Answer
from prefrl.labelling.errors import UnknownQuestion
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store.schema import annotators, answers, leases, questions, revision
from prefrl.session.questions import QuestionState, Standing

# Two of them are enough to take a question for one that nobody can answer.
_ENOUGH_SKIPS = 2
LARGEST_ID = 2**63 - 1

# Made once: to put a statement together takes SQLAlchemy longer than SQLite takes to answer it.
_BUMP = update(revision).values(number=revision.c.number + 1)
_QUESTION = select(questions).where(questions.c.id == bindparam("number"))
_SAID = select(answers).where(answers.c.question == bindparam("number"))


def bump(connection: Connection) -> None:
    """Counts a change of an answer, or of a question's state."""
    connection.execute(_BUMP)


def question_row(connection: Connection, number: int) -> Row[Any]:
    """Returns what is known of a question, its segments apart.

    Raises:
        UnknownQuestion: there is none.
    """
    row = None
    if isinstance(number, int) and 0 <= number <= LARGEST_ID:
        row = connection.execute(_QUESTION, {"number": number}).one_or_none()
    if row is None:
        raise unknown_question(connection, number)
    return row


def check_known(connection: Connection, ids: Iterable[int]) -> None:
    """Refuses ids of no question.

    Raises:
        UnknownQuestion: one is none.
    """
    for number in dict.fromkeys(ids):
        question_row(connection, int(number))


def unknown_question(connection: Connection, number: object) -> UnknownQuestion:
    """Returns the error that says so, and which questions there are."""
    statement = select(func.count(), func.min(questions.c.id), func.max(questions.c.id))
    num, first, last = connection.execute(statement).one()
    between = f", {first} to {last}" if num else ""
    return UnknownQuestion(f"there is no question {number}; {num} were put{between}")


def standings(
    connection: Connection, rows: Sequence[Row[Any]], now_s: float
) -> dict[int, Standing]:
    """Returns how each of these questions stands."""
    ids = {row.id for row in rows}
    said: dict[int, list[Row[Any]]] = {}
    in_order = (answers.c.question, answers.c.answered_s, answers.c.annotator)
    for one in connection.execute(_about(answers, ids).order_by(*in_order)):
        said.setdefault(one.question, []).append(one)
    held: dict[int, Row[Any]] = {}
    for one in connection.execute(
        _about(leases, ids).order_by(leases.c.until_s, leases.c.annotator)
    ):
        held[one.question] = one
    return {row.id: _standing(row, said.get(row.id, []), held.get(row.id), now_s) for row in rows}


def _about(table: Any, ids: set[int]) -> Any:
    """Selects what a table has of questions: of few by their ids, of many by looking at all."""
    statement = select(table)
    return statement.where(table.c.question.in_(sorted(ids))) if len(ids) < 500 else statement


def _standing(
    row: Row[Any], said: Sequence[Row[Any]], held: Row[Any] | None, now_s: float
) -> Standing:
    state: QuestionState = row.state
    if state == "open" and held is not None and held.until_s > now_s:
        state = "leased"
    holder, until_s = ("", 0.0) if held is None else (held.annotator, held.until_s)
    return Standing(state, holder, until_s, _joint_answer(row.id, state, said))


def _joint_answer(number: int, state: QuestionState, said: Sequence[Row[Any]]) -> Answer | None:
    """Returns the answer of a closed question: with several, the share of votes for left."""
    if state not in ("answered", "skipped"):
        return None
    votes = [one for one in said if (one.p_left is None) == (state == "skipped")]
    if not votes:
        return None
    p_left = math.nan if state == "skipped" else sum(one.p_left for one in votes) / len(votes)
    annotator = votes[0].annotator if len(votes) == 1 else ""
    return Answer(number, p_left, annotator, votes[-1].answered_s)


def settle(connection: Connection, ids: Iterable[int], rules: StoreSettings, now_s: float) -> int:
    """Brings questions into the state that their answers make; withdrawn ones stay that.

    Returns:
        how many have another state than before.
    """
    num_changed = 0
    active: set[str] | None = None
    for number in ids:
        row = connection.execute(_QUESTION, {"number": number}).one()
        if row.state == "withdrawn":
            continue
        said = connection.execute(_SAID, {"number": number}).all()
        num = sum(one.p_left is not None for one in said)
        skips = {one.annotator for one in said if one.p_left is None}
        state = "answered" if num >= row.wanted else "open"
        if state == "open" and skips:
            if active is None:
                active = active_annotators(connection, rules, now_s)
            # Whoever answered it will not be asked again, either.
            nobody_is_left = active <= {one.annotator for one in said}
            if len(skips) >= _ENOUGH_SKIPS or nobody_is_left or row.repeat_of is not None:
                state = "answered" if num else "skipped"
        if state != row.state:
            connection.execute(
                update(questions).where(questions.c.id == number).values(state=state)
            )
            num_changed += 1
    return num_changed


def active_annotators(connection: Connection, rules: StoreSettings, now_s: float) -> set[str]:
    """Returns the names of those who asked or answered lately."""
    seen = select(annotators.c.name).where(annotators.c.seen_s > now_s - rules.active_s)
    return set(connection.execute(seen).scalars())


def may_answer(annotator: str) -> Any:
    """Tells, beside a question, whether an annotator may be asked it.

    Nobody is asked twice, nor asked again what they did not answer.
    """
    own = exists().where(answers.c.question == questions.c.id, answers.c.annotator == annotator)
    of_first = exists().where(
        answers.c.question == questions.c.repeat_of,
        answers.c.annotator == annotator,
        answers.c.p_left.is_not(None),
    )
    return ~own & or_(questions.c.repeat_of.is_(None), of_first)


def num_votes() -> Any:
    """Counts, beside a question, the answers to it that are no skips."""
    statement = select(func.count()).where(
        answers.c.question == questions.c.id, answers.c.p_left.is_not(None)
    )
    return statement.correlate(questions).scalar_subquery()


def num_leases(now_s: float, *, but: str | None = None) -> Any:
    """Counts, beside a question, the leases of it; those of one annotator apart."""
    statement = select(func.count()).where(
        leases.c.question == questions.c.id, leases.c.until_s > now_s
    )
    if but is not None:
        statement = statement.where(leases.c.annotator != but)
    return statement.correlate(questions).scalar_subquery()


_ANSWERED = select(func.count()).where(
    questions.c.repeat_of.is_(None), questions.c.state == "answered"
)
# Of the others, those have an answer that want another.
_BEGUN = select(func.count()).where(
    questions.c.repeat_of.is_(None),
    questions.c.state == "open",
    questions.c.wanted > 1,
    num_votes() > 0,
)


def num_spent(connection: Connection) -> int:
    """Counts the questions with an answer that is no skip, repeats apart."""
    return sum(int(connection.execute(one).scalar_one()) for one in (_ANSWERED, _BEGUN))


def num_reserved(connection: Connection, now_s: float) -> int:
    """Counts the leased questions whose first answer will cost the budget one."""
    statement = _leased(now_s).where(questions.c.repeat_of.is_(None), num_votes() == 0)
    return int(connection.execute(statement).scalar_one())


def num_leased(connection: Connection, now_s: float) -> int:
    """Counts the questions that somebody looks at, repeats apart."""
    statement = _leased(now_s).where(questions.c.repeat_of.is_(None))
    return int(connection.execute(statement).scalar_one())


def _leased(now_s: float) -> Any:
    return (
        select(func.count(leases.c.question.distinct()))
        .join_from(leases, questions, questions.c.id == leases.c.question)
        .where(leases.c.until_s > now_s, questions.c.state == "open")
    )


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
