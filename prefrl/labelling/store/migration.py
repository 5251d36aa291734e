"""The version of the tables, and how older ones become the present one.

Alembic's scripts are in `versions/`; a database says in `prefrl_version` which it was last at.
"""

import re
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from prefrl.errors import StorageError
from prefrl.labelling.errors import NoStore
from prefrl.labelling.store.database import Database
from prefrl.labelling.store.schema import SCHEMA_VERSION, VERSION_TABLE

VERSIONS = Path(__file__).parent / "versions"

_VERSION = table(VERSION_TABLE, column("version_num"))


def bring_up_to_date(database: Database, *, is_made: bool = True, is_upgraded: bool = True) -> None:
    """Makes sure that the tables are there, and of this version.

    Args:
        database: any.
        is_made: tables are made where there are none, and so is the file of SQLite's.
        is_upgraded: older ones are changed.

    Raises:
        NoStore: there are none, and they are not to be made.
        StorageError: they are of a newer version; or of an older one, and are not to be changed; or
            the database belongs to something else.
    """
    if not is_made:
        database.check_file()
        database.makes_file = False
    with database.reading() as connection:
        found = _version(database, connection)
    if found == SCHEMA_VERSION:
        return
    _check(database, found, is_made=is_made, is_upgraded=is_upgraded)
    with database.migrating() as connection:
        # Another process may have done it by now.
        found = _version(database, connection)
        if found != SCHEMA_VERSION:
            _check(database, found, is_made=is_made, is_upgraded=is_upgraded)
            upgrade(connection, found)


def upgrade(connection: Connection, found: str | None, *, to: str = SCHEMA_VERSION) -> None:
    """Changes the tables, version by version.

    Args:
        connection: in a transaction of its own.
        found: the version that they are of; None: there are none.
        to: the version that they become.
    """
    # Only here, as it takes longer to import than most calls of a store take.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(VERSIONS.parent), version_locations=[str(VERSIONS)])
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    steps = list(scripts.iterate_revisions(to, found or "base"))
    with Operations.context(context):
        for step in reversed(steps):
            step.module.upgrade()
            context.stamp(scripts, step.revision)


def _version(database: Database, connection: Connection) -> str | None:
    """Returns the version of the tables; None where there are none."""
    inspector = inspect(connection)
    if inspector.has_table(VERSION_TABLE):
        found = connection.execute(select(_VERSION.c.version_num)).scalars().all()
        return str(found[0]) if found else None
    if database.is_sqlite and (others := inspector.get_table_names()):
        raise StorageError(
            f"{database.name} is no store of labels: it holds the table {sorted(others)[0]}"
        )
    return None


def _versions() -> set[str]:
    """Returns all versions that there were, by the names of their scripts."""
    return {path.name[1:5] for path in VERSIONS.glob("v[0-9]*.py")}


def _check(database: Database, found: str | None, *, is_made: bool, is_upgraded: bool) -> None:
    if found is None:
        if not is_made:
            raise NoStore(f"{database.name} is empty")
        return
    if found not in _versions():
        is_newer = re.fullmatch(r"\d{4}", found) and found > SCHEMA_VERSION
        raise StorageError(
            f"{database.name} is of schema version {found}; this prefrl reads up to "
            f"{SCHEMA_VERSION}" + (": a newer one wrote it" if is_newer else ", and no such one")
        )
    if not is_upgraded:
        raise StorageError(
            f"{database.name} is of schema version {found}, and this prefrl uses {SCHEMA_VERSION}; "
            "`prefrl label` upgrades it"
        )
