"""One rule of who may be given which question, and who may answer it, whoever hands it out."""

import functools
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, and_, bindparam, exists, func, or_, select

from prefrl.labelling.errors import Closed, LeasedByOther
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store.schema import answers, clips, leases, questions
from prefrl.labelling.store.standing import (
    MAY_ANSWER,
    NOW_S,
    NUM_LEASES,
    NUM_OTHERS_LEASES,
    NUM_VOTES,
    NUMBER,
    WHO,
    spent_and_reserved,
    votes_and_spent,
)

# The questions that the budget has room for: any, those that cost nothing more, and of these those
# that are no repeats.
_Room = Literal["any", "free", "second answers"]

_HELD = (
    select(questions)
    .join(leases, leases.c.question == questions.c.id)
    .where(leases.c.annotator == WHO, leases.c.until_s > NOW_S, questions.c.state == "open")
    .order_by(leases.c.leased_s, questions.c.id)
)
_NUM_OWN_VOTES = select(func.count()).where(
    answers.c.question == NUMBER, answers.c.annotator == WHO, answers.c.p_left.is_not(None)
)
HAS_CLIPS = and_(
    *(
        exists().where(clips.c.key == side)
        for side in (questions.c.left_clip, questions.c.right_clip)
    )
)
_NUM_READY = (
    select(func.count())
    .select_from(questions)
    .where(questions.c.state == "open", HAS_CLIPS, NUM_LEASES == 0)
)
_IS_IT = questions.c.id == NUMBER
_ROOM = select(NUM_VOTES, NUM_OTHERS_LEASES, NUM_LEASES).where(_IS_IT)


@functools.cache
def _oldest_free(room: _Room, *, needs_clips: bool) -> Select[Any]:
    """Selects the oldest question that WHO may be given, NUMBER apart."""
    statement = (
        select(questions)
        .where(questions.c.state == "open", questions.c.id != NUMBER, MAY_ANSWER)
        .where(questions.c.id > bindparam("above"))
        .where(questions.c.wanted > NUM_VOTES + NUM_OTHERS_LEASES)
        .order_by(questions.c.id)
        .limit(1)
    )
    if needs_clips:
        statement = statement.where(HAS_CLIPS)
    if room == "second answers":
        return statement.where(questions.c.repeat_of.is_(None), NUM_VOTES > 0)
    if room == "free":
        return statement.where(or_(questions.c.repeat_of.is_not(None), NUM_VOTES > 0))
    return statement


def held(connection: Connection, annotator: str, now_s: float) -> list[Row[Any]]:
    """Returns the questions that an annotator has leased, the oldest lease first."""
    return list(connection.execute(_HELD, {"who": annotator, "now_s": now_s}))


def free(
    connection: Connection,
    annotator: str,
    rules: StoreSettings,
    now_s: float,
    *,
    but: int | None = None,
    above: int = -1,
) -> Row[Any] | None:
    """Returns the oldest question that an annotator may be given.

    Args:
        connection: in a transaction.
        annotator: their name.
        rules: of handing out.
        now_s: seconds since 1970.
        but: not this one.
        above: only those with larger ids.
    """
    room: _Room = "any"
    if rules.budget is not None:
        spent, reserved = spent_and_reserved(connection, now_s)
        if spent >= rules.budget:
            room = "second answers"
        elif spent + reserved >= rules.budget:
            room = "free"
    which = {
        "who": annotator,
        "now_s": now_s,
        "number": -1 if but is None else but,
        "above": above,
    }
    statement = _oldest_free(room, needs_clips=rules.needs_clips)
    return connection.execute(statement, which).one_or_none()


def num_ready(connection: Connection, now_s: float) -> int:
    """Counts the questions that can be shown, and that nobody looks at."""
    return int(connection.execute(_NUM_READY, {"now_s": now_s}).scalar_one())


def check_room(connection: Connection, annotator: str, row: Row[Any], now_s: float) -> None:
    """Refuses one answer more than a question wants, and one in the place of whoever looks at it.

    Raises:
        LeasedByOther: somebody else looks at it, or it is a repeat of what others answered.
        Closed: others have answered it.
    """
    if row.repeat_of is not None:
        of_first = {"number": row.repeat_of, "who": annotator}
        if not connection.execute(_NUM_OWN_VOTES, of_first).scalar_one():
            raise LeasedByOther(f"question {row.id} is for somebody else")
    which = {"number": row.id, "who": annotator, "now_s": now_s}
    votes, others, all_leases = connection.execute(_ROOM, which).one()
    if votes >= row.wanted:
        raise Closed(f"question {row.id} has been answered by others")
    holds_it = all_leases > others
    if votes + others >= row.wanted and not holds_it:
        raise LeasedByOther(f"somebody else is looking at question {row.id}")


def has_budget(connection: Connection, row: Row[Any], rules: StoreSettings) -> bool:
    """Tells whether the budget has room for one more answer to a question."""
    if rules.budget is None or row.repeat_of is not None:
        return True
    votes, spent = votes_and_spent(connection, row.id)
    return votes > 0 or spent < rules.budget
