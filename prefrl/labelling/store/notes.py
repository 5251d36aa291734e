"""Settings and status: values in JSON under a name; what the heads predicted."""

import dataclasses
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from prefrl.labelling.rows import Prediction, StoreSettings
from prefrl.labelling.store.schema import predictions, settings
from prefrl.labelling.store.standing import question_row

_RULES = "rules"
_PAUSED = "is_paused"
_RUN = "run"


def read_note(connection: Connection, table: Table, key: str, default: Any = None) -> Any:
    """Returns the value under a name."""
    found = connection.execute(select(table.c.value).where(table.c.key == key)).one_or_none()
    return default if found is None else found.value


def write_note(connection: Connection, table: Table, key: str, value: Any) -> None:
    """Puts a value under a name, in the place of the one that was there."""
    if not connection.execute(update(table).where(table.c.key == key).values(value=value)).rowcount:
        connection.execute(insert(table).values(key=key, value=value))


def rules_of(connection: Connection) -> StoreSettings:
    """Returns the rules by which questions are handed out."""
    known = read_note(connection, settings, _RULES, {})
    names = {field.name for field in dataclasses.fields(StoreSettings)}
    return StoreSettings(**{name: value for name, value in known.items() if name in names})


def set_rules(connection: Connection, rules: StoreSettings) -> None:
    """Sets the rules by which questions are handed out."""
    write_note(connection, settings, _RULES, dataclasses.asdict(rules))


def is_paused(connection: Connection) -> bool:
    """Tells whether no more questions are handed out."""
    return bool(read_note(connection, settings, _PAUSED, False))


def pause(connection: Connection, is_paused: bool) -> None:
    """Stops or goes on handing questions out."""
    write_note(connection, settings, _PAUSED, is_paused)


def run_of(connection: Connection) -> str | None:
    """Returns the run that the database belongs to; None: any may have it."""
    found = read_note(connection, settings, _RUN)
    return None if found is None else str(found)


def set_run(connection: Connection, run: str) -> None:
    """Says which run the database belongs to."""
    write_note(connection, settings, _RUN, run)


def set_prediction(
    connection: Connection, number: int, p_left_by_head: list[float], model_version: int
) -> None:
    """Notes what the heads of a model say of a question.

    Raises:
        UnknownQuestion: there is none.
    """
    question_row(connection, number)
    is_it = (predictions.c.question == number) & (predictions.c.model_version == model_version)
    connection.execute(delete(predictions).where(is_it))
    row = {"question": number, "model_version": model_version, "p_left_by_head": p_left_by_head}
    connection.execute(insert(predictions).values(row))


def newest_predictions(connection: Connection) -> dict[int, Prediction]:
    """Returns what the newest model that was asked says of each question."""
    in_order = select(predictions).order_by(predictions.c.question, predictions.c.model_version)
    return {
        row.question: Prediction(row.question, tuple(row.p_left_by_head), row.model_version)
        for row in connection.execute(in_order)
    }
