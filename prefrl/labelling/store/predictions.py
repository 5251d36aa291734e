"""Predictions that the heads of a reward model made of questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import BindParameter, Connection, bindparam, delete, func, insert, select, update

from prefrl.arguments import listed, numbers, whole_number
from prefrl.errors import ArgumentError, DataError
from prefrl.labelling.rows import Prediction
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import predictions, questions
from prefrl.labelling.store.standing import NUMBER, check_known

_VERSION: BindParameter[Any] = bindparam("version")
_FORGET = delete(predictions).where(
    predictions.c.question == NUMBER, predictions.c.model_version == _VERSION
)
_NOTE = insert(predictions)
# The first model that was asked is the one that the question was chosen with.
_SET_VERSION = (
    update(questions)
    .where(questions.c.id == NUMBER, questions.c.model_version.is_(None))
    .values(model_version=_VERSION)
)
_NEWEST_VERSION = (
    select(predictions.c.question, func.max(predictions.c.model_version).label("model_version"))
    .group_by(predictions.c.question)
    .subquery()
)
_NEWEST = (
    select(predictions)
    .join(
        _NEWEST_VERSION,
        (predictions.c.question == _NEWEST_VERSION.c.question)
        & (predictions.c.model_version == _NEWEST_VERSION.c.model_version),
    )
    .order_by(predictions.c.question)
)


def _set(
    connection: Connection, ids: Sequence[int], p_left: list[list[float]], version: int
) -> None:
    """Notes what the heads of a model say of questions.

    Raises:
        UnknownQuestion: one is none; nothing is noted.
    """
    check_known(connection, ids)
    which = [{"number": number, "version": version} for number in ids]
    connection.execute(_FORGET, which)
    rows = [
        {"question": number, "model_version": version, "p_left_by_head": by_head}
        for number, by_head in zip(ids, p_left, strict=True)
    ]
    connection.execute(_NOTE, rows)
    connection.execute(_SET_VERSION, which)


class Predictions(Opened):
    """Keeps what the heads of a reward model predicted, where a question's owner sees it."""

    def set_predictions(
        self, ids: Sequence[int], p_left_by_head: ArrayLike, *, model_version: int
    ) -> None:
        """Notes what the heads of a reward model say of B questions.

        Args:
            ids: of the questions, each once.
            p_left_by_head: (B, K) each head's chance that left is preferred.
            model_version: of the model; it becomes that of questions which have none yet.

        Raises:
            UnknownQuestion: one is none; nothing is noted.
            ArgumentError: they are not as many as the questions.
            DataError: a number is no chance.
        """
        ids = [int(number) for number in listed("ids", ids, int, np.integer)]
        chances = numbers(
            "p_left_by_head", p_left_by_head, ("questions", "heads"), dtype=np.float64
        )
        if len(chances) != len(ids) or len(set(ids)) != len(ids):
            raise ArgumentError(
                f"p_left_by_head has {len(chances)} rows for {len(ids)} questions; expected one "
                "for each, and each question once"
            )
        if not ((chances >= 0) & (chances <= 1)).all():
            raise DataError("p_left_by_head holds a number that is no chance; expected 0 to 1")
        version = whole_number("model_version", model_version)
        if ids:
            with self._database.writing() as connection:
                _set(connection, ids, chances.tolist(), version)

    def predictions(self) -> dict[int, Prediction]:
        """Returns, by question, what the newest model that was asked says of it."""
        with self._database.reading() as connection:
            return {
                row.question: Prediction(row.question, tuple(row.p_left_by_head), row.model_version)
                for row in connection.execute(_NEWEST)
            }
