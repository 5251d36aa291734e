"""Standings of questions, worked out from their answers and leases."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from prefrl.feedback.protocols import Answer
from prefrl.labelling.errors import UnknownQuestion
from prefrl.labelling.rows import Pending, StoreSettings
from prefrl.labelling.store.schema import annotators, answers, leases, questions, revision
from prefrl.session.questions import QuestionState, Standing
from prefrl.session.told_standing import state_by_answers

LARGEST_ID = 2**63 - 1
# More values in a statement would be too many for some databases.
IDS_AT_ONCE = 500

# Statements are made once: to put one together takes SQLAlchemy longer than SQLite takes to answer
# it. What differs from call to call is the number of a question, who asks, and when.
NUMBER: BindParameter[Any] = bindparam("number")
WHO: BindParameter[Any] = bindparam("who")
NOW_S: BindParameter[Any] = bindparam("now_s")

_IS_VOTE = answers.c.p_left.is_not(None)
_OF_QUESTION = answers.c.question == questions.c.id
_OF_FIRST = answers.c.question == questions.c.repeat_of
# Beside a question: the answers to it that are no skips, and the leases of it, those of WHO apart.
NUM_VOTES = (
    select(func.count()).where(_OF_QUESTION, _IS_VOTE).correlate(questions).scalar_subquery()
)
_LEASES = (
    select(func.count())
    .where(leases.c.question == questions.c.id, leases.c.until_s > NOW_S)
    .correlate(questions)
)
NUM_LEASES = _LEASES.scalar_subquery()
NUM_OTHERS_LEASES = _LEASES.where(leases.c.annotator != WHO).scalar_subquery()
# Tells, beside a question, whether WHO may be asked it: nobody is asked twice, nor asked again what
# they did not answer.
MAY_ANSWER = ~exists().where(_OF_QUESTION, answers.c.annotator == WHO) & or_(
    questions.c.repeat_of.is_(None),
    exists().where(_OF_FIRST, answers.c.annotator == WHO, _IS_VOTE),
)

_BUMP = update(revision).values(number=revision.c.number + 1)
_QUESTION = select(questions).where(questions.c.id == NUMBER)
_NUM_VOTES_OF = select(NUM_VOTES).where(questions.c.id == NUMBER)
# A question beside each of its answers, or beside none.
_SETTLED_BY = (
    select(
        *(questions.c.state, questions.c.wanted, questions.c.repeat_of),
        *(answers.c.annotator, answers.c.p_left),
    )
    .outerjoin_from(questions, answers, _OF_QUESTION)
    .where(questions.c.id == NUMBER)
)
SET_STATE = update(questions).where(questions.c.id == NUMBER)
_ACTIVE = select(annotators.c.name).where(annotators.c.seen_s > bindparam("since_s"))

_IS_FIRST = questions.c.repeat_of.is_(None)
_ANSWERED = select(func.count()).where(_IS_FIRST, questions.c.state == "answered")
# Of the others, those have an answer that want another.
_BEGUN = select(func.count()).where(
    _IS_FIRST, questions.c.state == "open", questions.c.wanted > 1, NUM_VOTES > 0
)
# By the leases, of which few have not ended: of the questions many are open in some stores.
_IS_OPEN = exists().where(
    questions.c.id == leases.c.question, questions.c.state == "open", _IS_FIRST
)
_LEASED = select(func.count(leases.c.question.distinct())).where(leases.c.until_s > NOW_S, _IS_OPEN)
_HAS_VOTES = exists().where(answers.c.question == leases.c.question, _IS_VOTE)
_SPENT = _ANSWERED.scalar_subquery() + _BEGUN.scalar_subquery()
_NUM_SPENT = select(_SPENT)
_OPEN = select(func.count()).where(_IS_FIRST, questions.c.state == "open")
_PENDING = select(_OPEN.scalar_subquery(), _LEASED.scalar_subquery(), _SPENT)
_VOTES_AND_SPENT = select(NUM_VOTES, _SPENT).where(questions.c.id == NUMBER)
# Leased questions whose first answer will cost the budget one.
_SPENT_AND_RESERVED = select(_SPENT, _LEASED.where(~_HAS_VOTES).scalar_subquery())

_LEASE_AGAIN = update(leases).where(leases.c.question == NUMBER, leases.c.annotator == WHO)
_LEASE = insert(leases)
_END_LEASES = (
    update(leases)
    .where(leases.c.question == NUMBER, leases.c.until_s > NOW_S)
    .values(until_s=NOW_S)
)
_END_LEASE = _END_LEASES.where(leases.c.annotator == WHO)


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
    asked = list(dict.fromkeys(int(number) for number in ids))
    possible = [number for number in asked if 0 <= number <= LARGEST_ID]
    known: set[int] = set()
    for first in range(0, len(possible), IDS_AT_ONCE):
        some = questions.c.id.in_(possible[first : first + IDS_AT_ONCE])
        known.update(connection.execute(select(questions.c.id).where(some)).scalars())
    for number in asked:
        if number not in known:
            raise unknown_question(connection, number)


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
    is_few = len(ids) < IDS_AT_ONCE
    return statement.where(table.c.question.in_(sorted(ids))) if is_few else statement


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
    return Answer(number, p_left, annotator, votes[-1].answered_s, votes[-1].source)


def settle(connection: Connection, ids: Iterable[int], rules: StoreSettings, now_s: float) -> int:
    """Brings questions into the state that their answers make; withdrawn ones stay that.

    Returns:
        how many have another state than before.
    """
    num_changed = 0
    active: set[str] | None = None
    for number in ids:
        rows = connection.execute(_SETTLED_BY, {"number": number}).all()
        row = rows[0]
        if row.state == "withdrawn":
            continue
        said = [one for one in rows if one.annotator is not None]
        num = sum(one.p_left is not None for one in said)
        is_nobody_left = row.repeat_of is not None  # It is for one of them alone.
        if num < len(said) and not is_nobody_left:  # Without a skip it makes no difference.
            if active is None:
                active = active_annotators(connection, rules, now_s)
            # Whoever answered it will not be asked again, either.
            is_nobody_left = active <= {one.annotator for one in said}
        state = state_by_answers(
            num, len(said) - num, wanted=row.wanted, is_nobody_left=is_nobody_left
        )
        if state != row.state:
            connection.execute(SET_STATE, {"number": number, "state": state})
            num_changed += 1
    return num_changed


def active_annotators(connection: Connection, rules: StoreSettings, now_s: float) -> set[str]:
    """Returns the names of those who asked or answered lately."""
    since_s = now_s - rules.active_s
    return set(connection.execute(_ACTIVE, {"since_s": since_s}).scalars())


def num_votes(connection: Connection, number: int) -> int:
    """Counts the answers to a question that are no skips."""
    return int(connection.execute(_NUM_VOTES_OF, {"number": number}).scalar_one())


def num_spent(connection: Connection) -> int:
    """Counts the questions with an answer that is no skip, repeats apart."""
    return int(connection.execute(_NUM_SPENT).scalar_one())


def votes_and_spent(connection: Connection, number: int) -> tuple[int, int]:
    """Counts as `num_votes` and as `num_spent`, at the price of one."""
    votes, spent = connection.execute(_VOTES_AND_SPENT, {"number": number}).one()
    return int(votes), int(spent)


def spent_and_reserved(connection: Connection, now_s: float) -> tuple[int, int]:
    """Counts as `num_spent`, and the leased questions whose first answer will cost one more."""
    spent, reserved = connection.execute(_SPENT_AND_RESERVED, {"now_s": now_s}).one()
    return int(spent), int(reserved)


def num_leased(connection: Connection, now_s: float) -> int:
    """Counts the questions that somebody looks at, repeats apart."""
    return int(connection.execute(_LEASED, {"now_s": now_s}).scalar_one())


def num_pending(connection: Connection, now_s: float) -> Pending:
    """Counts the questions that wait for an answer, and what the budget has spent."""
    num_open, leased, spent = connection.execute(_PENDING, {"now_s": now_s}).one()
    return Pending(int(num_open) - int(leased), int(leased), int(spent))


def set_lease(
    connection: Connection, number: int, annotator: str, *, until_s: float, now_s: float
) -> None:
    """Leases a question, anew where it was leased before."""
    values = {"leased_s": now_s, "until_s": until_s}
    which = {"number": number, "who": annotator}
    if not connection.execute(_LEASE_AGAIN, {**which, **values}).rowcount:
        connection.execute(_LEASE, {"question": number, "annotator": annotator, **values})


def end_lease(
    connection: Connection, number: int, now_s: float, *, annotator: str | None = None
) -> None:
    """Ends the leases of a question, or one of them, before their time."""
    which = {"number": number, "now_s": now_s}
    if annotator is None:
        connection.execute(_END_LEASES, which)
    else:
        connection.execute(_END_LEASE, {**which, "who": annotator})
