"""Settings and status: values in JSON under a name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from prefrl.arguments import flag, instance
from prefrl.errors import StorageError
from prefrl.labelling.rows import Owner, StoreSettings
from prefrl.labelling.store import schema
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import questions, settings

_RULES = "rules"
_PAUSED = "is_paused"
_RUN = "run"


# Made once: settings are read at every call.
_VALUE = {
    table.name: select(table.c.value).where(table.c.key == bindparam("name"))
    for table in (settings, schema.status)
}
_RULES_AND_PAUSE = select(settings).where(settings.c.key.in_([_RULES, _PAUSED]))


def read_note(connection: Connection, table: Table, key: str, default: Any = None) -> Any:
    """Returns the value under a name."""
    found = connection.execute(_VALUE[table.name], {"name": key}).one_or_none()
    return default if found is None else found.value


def write_note(connection: Connection, table: Table, key: str, value: Any) -> None:
    """Puts a value under a name, in the place of the one that was there."""
    if not connection.execute(update(table).where(table.c.key == key).values(value=value)).rowcount:
        connection.execute(insert(table).values(key=key, value=value))


def rules_of(connection: Connection) -> StoreSettings:
    """Returns the rules by which questions are handed out."""
    return _made_rules(read_note(connection, settings, _RULES, {}))


def rules_and_pause(connection: Connection) -> tuple[StoreSettings, bool]:
    """Returns the rules, and whether no more questions are handed out, at the price of one."""
    found = {row.key: row.value for row in connection.execute(_RULES_AND_PAUSE)}
    return _made_rules(found.get(_RULES, {})), bool(found.get(_PAUSED, False))


def _made_rules(known: Mapping[str, Any]) -> StoreSettings:
    names = {field.name for field in dataclasses.fields(StoreSettings)}
    return StoreSettings(**{name: value for name, value in known.items() if name in names})


def _set_rules(connection: Connection, rules: StoreSettings) -> None:
    """Sets the rules by which questions are handed out."""
    write_note(connection, settings, _RULES, dataclasses.asdict(rules))


def is_paused(connection: Connection) -> bool:
    """Tells whether no more questions are handed out."""
    return bool(read_note(connection, settings, _PAUSED, False))


def _pause(connection: Connection, is_paused: bool) -> None:
    """Stops or goes on handing questions out."""
    write_note(connection, settings, _PAUSED, is_paused)


def _owner_of(connection: Connection) -> Owner | None:
    """Returns whom the database belongs to; None: anybody may have it."""
    found = read_note(connection, settings, _RUN)
    if not isinstance(found, dict):
        return None
    turns = tuple(found.get("turns", ()))
    return Owner(found["id"], found["name"], found.get("folder", ""), turns)


def check_turn(connection: Connection, turn: str) -> None:
    """Makes sure that nobody else has gone on with the run since.

    Args:
        connection: in a transaction.
        turn: by which this process did; "": there is no account of it.

    Raises:
        StorageError: somebody has.
    """
    owner = _owner_of(connection) if turn else None
    if owner is not None and owner.turns[-1:] != (turn,):
        raise StorageError(
            f"a copy of this run, {owner.name}, has gone on with its database meanwhile, which two "
            "runs cannot share"
        )


class Notes(Opened):
    """Keeps settings and status."""

    def settings(self) -> StoreSettings:
        """Returns the rules by which questions are handed out."""
        with self._database.reading() as connection:
            return rules_of(connection)

    def set_settings(self, settings: StoreSettings) -> None:
        """Sets the rules by which questions are handed out."""
        instance("settings", settings, StoreSettings)
        with self._database.writing() as connection:
            _set_rules(connection, settings)

    def settings_and_pause(self) -> tuple[StoreSettings, bool]:
        """Returns the rules, and whether the asking is paused, at the price of one."""
        with self._database.reading() as connection:
            return rules_and_pause(connection)

    def pause(self, is_paused: bool) -> None:
        """Stops handing out questions, or goes on; what is leased may be answered meanwhile."""
        flag("is_paused", is_paused)
        with self._database.writing() as connection:
            _pause(connection, is_paused)

    def is_paused(self) -> bool:
        """Tells whether no more questions are handed out."""
        with self._database.reading() as connection:
            return is_paused(connection)

    def set_status(self, name: str, value: Any) -> None:
        """Puts a value under a name, for the other processes to read; it is kept as JSON."""
        instance("name", name, str)
        with self._database.writing() as connection:
            write_note(connection, schema.status, name, value)

    def status(self, name: str, default: Any = None) -> Any:
        """Returns the value under a name."""
        instance("name", name, str)
        with self._database.reading() as connection:
            return read_note(connection, schema.status, name, default)

    def claim(self, run: str, *, name: str, folder: str = "", turn: str = "") -> None:
        """Makes the database that of a run.

        Args:
            run: an id that no other run has.
            name: of the run, for people.
            folder: of the run.
            turn: an id that no other claim has: once there is a later one, this process puts no
                more questions. "" lets others put them as well.

        Raises:
            StorageError: it is another run's.
        """
        own = Owner(instance("run", run, str), instance("name", name, str), folder)
        with self._database.writing() as connection:
            owner = _owner_of(connection) or own
            if owner.run != run:
                raise StorageError(
                    f"{self.name} holds the questions of another run, {owner.name}; choose "
                    "another database"
                )
            turns = (*owner.turns, *((turn,) if turn else ()))
            note = {"id": run, "name": name, "folder": folder, "turns": turns}
            write_note(connection, settings, _RUN, note)
        self._turn = turn

    def owner(self) -> Owner | None:
        """Returns whose the database was made; None: anybody may have it."""
        with self._database.reading() as connection:
            return _owner_of(connection)

    def release(self, run: str) -> bool:
        """Lets anybody have the database again, if it is this run's and holds no question.

        Returns:
            whether that is so.
        """
        with self._database.writing() as connection:
            owner = _owner_of(connection)
            is_free = connection.execute(select(questions.c.id).limit(1)).first() is None
            if not is_free or owner is None or owner.run != run:
                return False
            connection.execute(delete(settings).where(settings.c.key == _RUN))
            return True
