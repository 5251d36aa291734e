"""Questions, their standings and their answers, as whoever asks wants to see them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from prefrl.arguments import instance
from prefrl.feedback.protocols import Question
from prefrl.labelling.rows import P_LEFT, Counts, GivenAnswer, OwnAnswer, Pending
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import answers, questions, segments
from prefrl.labelling.store.segment_bytes import segments_from
from prefrl.labelling.store.standing import (
    IDS_AT_ONCE,
    WHO,
    num_leased,
    num_pending,
    num_spent,
    question_row,
    standings,
)
from prefrl.session.questions import Entry, QuestionState, Standing, check_states

_SAID: dict[float | None, Any] = {p_left: said for said, p_left in P_LEFT.items()}

# Every answer with its question, by question and time.
GIVEN = (
    select(answers, questions)
    .join(questions, questions.c.id == answers.c.question)
    .order_by(answers.c.question, answers.c.answered_s, answers.c.annotator)
)
_GIVEN_BY = select(answers.c.p_left, answers.c.answered_s, answers.c.response_time_s).where(
    answers.c.annotator == WHO
)


def _rows_in(
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


def _load(connection: Connection, rows: Sequence[Row[Any]]) -> list[Question]:
    """Returns questions, segments and all.

    Raises:
        StorageError: a segment is damaged.
    """
    ids = [row.id for row in rows]
    sides: dict[int, Row[Any]] = {}
    for first in range(0, len(ids), IDS_AT_ONCE):
        some = segments.c.question.in_(ids[first : first + IDS_AT_ONCE])
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


def _given(connection: Connection) -> list[GivenAnswer]:
    """Returns every answer, by question and time."""
    return [
        GivenAnswer(
            question=row.question,
            annotator=row.annotator,
            said=_SAID.get(row.p_left, ""),
            p_left=math.nan if row.p_left is None else row.p_left,
            response_time_s=row.response_time_s,
            answered_s=row.answered_s,
            policy_step=row.policy_step,
            model_version=row.model_version,
            is_repeat_of=row.repeat_of,
            session=row.session,
            is_audit=row.is_audit,
            source=row.source,
        )
        for row in connection.execute(GIVEN)
    ]


def _counts(connection: Connection, now_s: float) -> Counts:
    """Returns how many questions and answers there are."""
    of_questions = questions.c.repeat_of.is_(None)
    by_state = select(questions.c.state, func.count()).where(of_questions)
    states = {row[0]: row[1] for row in connection.execute(by_state.group_by(questions.c.state))}
    leased = num_leased(connection, now_s)
    joined = select(func.count(answers.c.p_left), func.count()).select_from(answers)
    joined = joined.join(questions, questions.c.id == answers.c.question).where(of_questions)
    num_votes, num_rows = connection.execute(joined).one()
    repeats = select(func.count()).select_from(questions).where(~of_questions)
    return Counts(
        **{**states, "open": states.get("open", 0) - leased, "leased": leased},
        spent=num_spent(connection),
        answers=num_votes,
        skips=num_rows - num_votes,
        repeats=connection.execute(repeats).scalar_one(),
        repeats_answered=connection.execute(
            repeats.where(questions.c.state == "answered")
        ).scalar_one(),
    )


class Listing(Opened):
    """Shows questions, how they stand, and their answers."""

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states; see `QuestionStore`. Repeats are left out."""
        check_states(states)
        with self._database.reading() as connection:
            rows = _rows_in(connection, states, with_repeats=False)
            stand = standings(connection, rows, self.clock())
            rows = [row for row in rows if not states or stand[row.id].state in states]
            known = self._questions(connection, rows)
        return [Entry(question, stand[question.id]) for question in known]

    def standings(
        self, *states: QuestionState, with_repeats: bool = False
    ) -> Mapping[int, Standing]:
        """Returns how questions stand, by id, oldest first, without their segments.

        Args:
            *states: those wanted; all of them where none is named.
            with_repeats: repeats are among them.
        """
        check_states(states)
        with self._database.reading() as connection:
            rows = _rows_in(connection, states, with_repeats=with_repeats)
            stand = standings(connection, rows, self.clock())
        return {number: one for number, one in stand.items() if not states or one.state in states}

    def question(self, question: int) -> Question:
        """Returns a question, segments and all.

        Raises:
            UnknownQuestion: there is none.
        """
        if question in self._known:
            return self._known[question]
        with self._database.reading() as connection:
            return self._questions(connection, [question_row(connection, question)])[0]

    def answers(self) -> list[GivenAnswer]:
        """Returns every answer as it stands now, skips and repeats too, by question and time."""
        with self._database.reading() as connection:
            return _given(connection)

    def answers_of(self, annotator: str) -> list[OwnAnswer]:
        """Returns the answers of one annotator, skips and repeats too, in any order."""
        instance("annotator", annotator, str)
        with self._database.reading() as connection:
            return [
                OwnAnswer(_SAID.get(p_left, ""), answered_s, response_time_s)
                for p_left, answered_s, response_time_s in connection.execute(
                    _GIVEN_BY, {"who": annotator}
                )
            ]

    def counts(self) -> Counts:
        """Returns how many questions and answers there are."""
        with self._database.reading() as connection:
            return _counts(connection, self.clock())

    def pending(self) -> Pending:
        """Returns how many questions wait for an answer, and how many the budget has paid for."""
        with self._database.reading() as connection:
            return num_pending(connection, self.clock())

    def _questions(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Question]:
        """Returns questions with their segments, which are read from the database once."""
        missing = [row for row in rows if row.id not in self._known]
        self._known.update((one.id, one) for one in _load(connection, missing))
        return [self._known[row.id] for row in rows]
