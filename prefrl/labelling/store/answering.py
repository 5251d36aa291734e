"""Handing questions out, and taking their answers in: the side of whoever answers."""

import math
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, exists, insert, select, update

from prefrl.arguments import instance, whole_number
from prefrl.errors import ArgumentError, DataError, not_a, shown
from prefrl.labelling.errors import Closed, UnknownAnnotator
from prefrl.labelling.rows import P_LEFT, Leased, Said, StoreSettings
from prefrl.labelling.store.handing_out import check_room, free, has_budget, held
from prefrl.labelling.store.notes import rules_and_pause, rules_of
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import HUMAN, annotators, answers, leases, questions
from prefrl.labelling.store.standing import (
    NOW_S,
    NUMBER,
    WHO,
    bump,
    end_lease,
    question_row,
    set_lease,
    settle,
)

# One that is looked at, and the next one, which is loaded meanwhile.
MOST_LEASES = 2

_SEE = update(annotators).where(annotators.c.name == WHO)
_PROLONG = update(leases).where(leases.c.annotator == WHO, leases.c.until_s > NOW_S)
_PROLONG_ONE = _PROLONG.where(leases.c.question == NUMBER)
_IS_OWN = (answers.c.question == NUMBER) & (answers.c.annotator == WHO)
_OWN = select(answers).where(_IS_OWN)
_ANSWER = insert(answers)
_REPLACE = update(answers).where(_IS_OWN)
_TAKE_BACK = delete(answers).where(_IS_OWN)
_DROP_REPEATS = delete(leases).where(
    leases.c.annotator == WHO,
    leases.c.question.in_(select(questions.c.id).where(questions.c.repeat_of == NUMBER)),
)
_SKIPPED = select(questions.c.id).where(
    questions.c.state == "open",
    exists().where(answers.c.question == questions.c.id, answers.c.p_left.is_(None)),
)


def _see(connection: Connection, annotator: str, now_s: float) -> None:
    """Notes that an annotator is there.

    Raises:
        UnknownAnnotator: there is none of that name.
    """
    if not connection.execute(_SEE, {"who": annotator, "seen_s": now_s}).rowcount:
        raise UnknownAnnotator(f"there is no annotator {annotator!r}, or there is none any more")


def _next_question(
    connection: Connection,
    annotator: str,
    *,
    after: int | None,
    is_paused: bool,
    rules: StoreSettings,
    now_s: float,
) -> Leased | None:
    """Returns the question that an annotator is to answer next, leased from now on.

    Args:
        connection: in a transaction.
        annotator: their name.
        after: a question that they have already; None: none.
        is_paused: no more questions are handed out than are leased already.
        rules: of handing out.
        now_s: seconds since 1970.

    Raises:
        UnknownAnnotator: there is none of that name.
    """
    _see(connection, annotator, now_s)
    own = held(connection, annotator, now_s)
    row = next((one for one in own if one.id != after), None)
    if row is None and len(own) < MOST_LEASES and not is_paused:
        row = free(connection, annotator, rules, now_s, but=after)
        if row is None:
            _settle_skipped(connection, rules, now_s)
    if row is None:
        return None
    until_s = now_s + rules.lease_s
    if any(one.id == row.id for one in own):
        _prolong(connection, annotator, until_s, now_s, number=row.id)
    else:
        set_lease(connection, row.id, annotator, until_s=until_s, now_s=now_s)
    return Leased(row.id, row.left_clip, row.right_clip, until_s, rules.lease_s, row.repeat_of)


def _renew(connection: Connection, annotator: str, rules: StoreSettings, now_s: float) -> int:
    """Prolongs the leases of an annotator, and returns how many they are.

    Raises:
        UnknownAnnotator: there is none of that name.
    """
    _see(connection, annotator, now_s)
    return _prolong(connection, annotator, now_s + rules.lease_s, now_s)


def _prolong(
    connection: Connection,
    annotator: str,
    until_s: float,
    now_s: float,
    *,
    number: int | None = None,
) -> int:
    values: dict[str, Any] = {"who": annotator, "now_s": now_s, "until_s": until_s}
    if number is None:
        return connection.execute(_PROLONG, values).rowcount
    return connection.execute(_PROLONG_ONE, {**values, "number": number}).rowcount


def _settle_skipped(connection: Connection, rules: StoreSettings, now_s: float) -> None:
    """Closes what was left open for somebody who has gone since."""
    if settle(connection, list(connection.execute(_SKIPPED).scalars()), rules, now_s):
        bump(connection)


def _give(
    connection: Connection,
    annotator: str,
    number: int,
    said: Said,
    *,
    response_time_s: float | None,
    rules: StoreSettings,
    now_s: float,
) -> None:
    """Records the answer of an annotator, in the place of an earlier one.

    Raises:
        UnknownAnnotator: there is none of that name.
        UnknownQuestion: there is no such question.
        LeasedByOther: somebody else looks at it.
        Closed: it was withdrawn, others have answered it, or the budget is spent.
    """
    _see(connection, annotator, now_s)
    row = question_row(connection, number)
    p_left = P_LEFT[said]
    which = {"number": number, "who": annotator}
    own = connection.execute(_OWN, which).one_or_none()
    if own is not None and own.p_left == p_left:
        return  # Said once more, by somebody who did not hear that it is known.
    if row.state == "withdrawn":
        raise Closed(f"question {number} was withdrawn")
    if own is None or own.p_left is None:
        check_room(connection, annotator, row, now_s)
        if p_left is not None and not has_budget(connection, row, rules):
            raise Closed(f"the budget of {rules.budget:,} answered questions is spent")
    values = {
        "p_left": p_left,
        "response_time_s": response_time_s,
        "answered_s": now_s,
        "source": HUMAN,
    }
    if own is None:
        connection.execute(_ANSWER, {"question": number, "annotator": annotator, **values})
    else:
        connection.execute(_REPLACE, {**which, **values})
    end_lease(connection, number, now_s, annotator=annotator)
    if p_left is None:
        _drop_repeats(connection, annotator, number)
    settle(connection, [number], rules, now_s)
    bump(connection)


def _undo(
    connection: Connection, annotator: str, number: int, rules: StoreSettings, now_s: float
) -> bool:
    """Takes the answer of an annotator back, who has leased the question from now on.

    Returns:
        whether there was one.

    Raises:
        UnknownAnnotator: there is none of that name.
        UnknownQuestion: there is no such question.
        LeasedByOther: somebody else looks at it, who came after the skip.
        Closed: it was withdrawn, or others have answered it since.
    """
    _see(connection, annotator, now_s)
    row = question_row(connection, number)
    which = {"number": number, "who": annotator}
    own = connection.execute(_OWN, which).one_or_none()
    if own is None:
        return False
    if row.state == "withdrawn":
        raise Closed(f"question {number} was withdrawn")
    if own.p_left is None:
        check_room(connection, annotator, row, now_s)
    connection.execute(_TAKE_BACK, which)
    _drop_repeats(connection, annotator, number)
    until_s = now_s + rules.lease_s
    set_lease(connection, number, annotator, until_s=until_s, now_s=now_s)
    settle(connection, [number], rules, now_s)
    bump(connection)
    return True


def _drop_repeats(connection: Connection, annotator: str, number: int) -> None:
    """Takes away the repeats of a question that an annotator no longer has answered."""
    connection.execute(_DROP_REPEATS, {"number": number, "who": annotator})


class Answering(Opened):
    """Hands questions out, and takes answers in: the side of whoever answers."""

    def next_question(self, annotator: str, *, after: int | None = None) -> Leased | None:
        """Returns what an annotator is to answer: their oldest lease, else a new one.

        Args:
            annotator: their name.
            after: a question that they have already; another one is leased beside it, two at most.

        Returns:
            None where nothing waits for them, or the asking is paused.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("annotator", annotator, str)
        if after is not None and whole_number("after", after) < 0:
            after = None
        with self._database.writing(is_durable=False) as connection:
            rules, is_paused = rules_and_pause(connection)
            return _next_question(
                connection,
                annotator,
                after=after,
                is_paused=is_paused,
                rules=rules,
                now_s=self.clock(),
            )

    def renew(self, annotator: str) -> int:
        """Prolongs the leases of an annotator, and returns how many they are.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("annotator", annotator, str)
        with self._database.writing(is_durable=False) as connection:
            rules = rules_of(connection)
            return _renew(connection, annotator, rules, self.clock())

    def give(
        self, annotator: str, question: int, said: Said, *, response_time_s: float | None = None
    ) -> None:
        """Records an annotator's answer, in the place of an earlier one of theirs.

        It is safe to repeat: the same answer, given again, changes nothing.

        Args:
            annotator: their name.
            question: its id.
            said: left, right, tie or skip.
            response_time_s: from when it was shown to when it was answered.

        Raises:
            UnknownAnnotator: there is none of that name.
            UnknownQuestion: there is no such question.
            LeasedByOther: somebody else looks at it.
            Closed: it was withdrawn, others have answered it, or the budget is spent.
        """
        instance("annotator", annotator, str)
        if said not in P_LEFT:
            raise DataError(f"an answer is {shown(said)}; expected {', '.join(P_LEFT)}")
        response_time_s = _seconds("response_time_s", response_time_s)
        with self._database.writing() as connection:
            _give(
                connection,
                annotator,
                question,
                said,
                response_time_s=response_time_s,
                rules=rules_of(connection),
                now_s=self.clock(),
            )

    def undo(self, annotator: str, question: int) -> bool:
        """Takes an annotator's answer back; the question is open again, and leased to them.

        Returns:
            whether there was one; else nothing changes, so that it is safe to repeat.

        Raises:
            UnknownAnnotator: there is none of that name.
            UnknownQuestion: there is no such question.
            LeasedByOther: somebody else looks at it by now, as it had been skipped.
            Closed: it was withdrawn, or had been skipped and was answered by others.
        """
        instance("annotator", annotator, str)
        with self._database.writing() as connection:
            rules = rules_of(connection)
            return _undo(connection, annotator, question, rules, self.clock())


def _seconds(name: str, value: object) -> float | None:
    """Returns a duration, None where there is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise ArgumentError(not_a(name, value, "a number of seconds or None"))
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(f"{name} is {shown(value)}; expected 0 or more seconds")
    return seconds
