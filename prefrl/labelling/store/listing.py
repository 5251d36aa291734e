"""Lists of answers, and counts of questions and answers."""

import math
from collections import Counter
from typing import Any

from sqlalchemy import Connection, func, select

from prefrl.labelling.rows import P_LEFT, Counts, GivenAnswer
from prefrl.labelling.store.asking import rows_in
from prefrl.labelling.store.schema import answers, questions
from prefrl.labelling.store.standing import num_spent, standings

_SAID: dict[float | None, Any] = {p_left: said for said, p_left in P_LEFT.items()}


def given(connection: Connection) -> list[GivenAnswer]:
    """Returns every answer, by question and time."""
    statement = (
        select(answers, questions)
        .join(questions, questions.c.id == answers.c.question)
        .order_by(answers.c.question, answers.c.answered_s, answers.c.annotator)
    )
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
        )
        for row in connection.execute(statement)
    ]


def counts(connection: Connection, now_s: float) -> Counts:
    """Returns how many questions and answers there are."""
    rows = rows_in(connection, (), with_repeats=False)
    states: Counter[str] = Counter(one.state for one in standings(connection, rows, now_s).values())
    of_questions = questions.c.repeat_of.is_(None)
    joined = select(func.count(answers.c.p_left), func.count()).select_from(answers)
    joined = joined.join(questions, questions.c.id == answers.c.question).where(of_questions)
    num_votes, num_rows = connection.execute(joined).one()
    repeats = select(func.count()).select_from(questions).where(~of_questions)
    return Counts(
        **states,
        spent=num_spent(connection),
        answers=num_votes,
        skips=num_rows - num_votes,
        repeats=connection.execute(repeats).scalar_one(),
        repeats_answered=connection.execute(
            repeats.where(questions.c.state == "answered")
        ).scalar_one(),
    )
