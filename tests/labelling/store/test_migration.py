"""Older databases become the present one with all that is in them; newer ones are refused."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Text, text

from prefrl.errors import StorageError
from prefrl.labelling.errors import NoStore
from prefrl.labelling.store import LabelStore, migration, schema
from prefrl.labelling.store.database import Database
from tests.session.stores import put

GOLDEN = Path(__file__).parents[2] / "golden/labels"
SCRIPTS = ScriptDirectory(
    str(migration.VERSIONS.parent), version_locations=[str(migration.VERSIONS)]
)
VERSIONS = [script.revision for script in SCRIPTS.walk_revisions()]


def differences(database):
    with database.reading() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, schema.metadata)


def set_version(database, version):
    with database.migrating() as connection:
        statement = text(f"UPDATE {schema.VERSION_TABLE} SET version_num = :version")
        connection.execute(statement, {"version": version})


@pytest.fixture
def bare(database):
    opened = Database(database)
    yield opened
    opened.close()


def test_the_newest_script_is_the_version_that_the_code_is_of():
    assert SCRIPTS.get_current_head() == schema.SCHEMA_VERSION == VERSIONS[0]
    assert sorted(VERSIONS, reverse=True) == VERSIONS


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_each_earlier_version_is_upgraded_to_the_tables_of_the_code(bare, version):
    if version is not None:
        with bare.migrating() as connection:
            migration.upgrade(connection, None, to=version)
    migration.bring_up_to_date(bare)
    migration.bring_up_to_date(bare)
    assert differences(bare) == []


def test_the_comparison_sees_what_is_missing(bare):
    migration.bring_up_to_date(bare)
    with bare.migrating() as connection:
        connection.execute(text("ALTER TABLE answers DROP COLUMN response_time_s"))
    assert differences(bare) != []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_each_version_opens_with_all_its_answers(version, tmp_path, opened):
    path = shutil.copy(GOLDEN / f"{version}.sqlite", tmp_path / "labels.sqlite")
    store = opened(Path(path))
    said = [(one.question, one.annotator, one.said, one.is_repeat_of) for one in store.answers()]
    assert said == [
        (0, "ann", "left", None),
        (1, "ann", "tie", None),
        (1, "bob", "right", None),
        (2, "bob", "skip", None),
        (4, "ann", "right", 0),
    ]
    states = [one.state for one in store.standings(with_repeats=True).values()]
    assert states == ["answered", "answered", "open", "withdrawn", "answered"]
    assert store.question(1).left.observations.shape == (1, 3, 2)
    store.give("ann", 2, "left")


def test_a_newer_database_is_refused_and_left_alone(database, opened):
    store = opened(database)
    put(store, 1)
    set_version(store._database, "9999")
    for is_upgraded in (True, False):
        with pytest.raises(
            StorageError,
            match=r"is of schema version 9999; this prefrl reads up to 0003: a newer one wrote it",
        ):
            opened(database, is_upgraded=is_upgraded)
    set_version(store._database, schema.SCHEMA_VERSION)
    assert len(opened(database).entries()) == 1


@pytest.mark.parametrize("version", ["0000", "abc", "00002", ""])
def test_a_version_that_never_was_is_refused(database, opened, version):
    store = opened(database)
    set_version(store._database, version)
    with pytest.raises(
        StorageError, match=f"is of schema version {version}; this prefrl reads up to 0003, and no"
    ):
        opened(database)


def test_an_older_database_is_refused_where_nobody_is_to_upgrade_it(database, opened, monkeypatch):
    opened(database)
    monkeypatch.setattr(migration, "SCHEMA_VERSION", "0004")
    with pytest.raises(
        StorageError, match=r"is of schema version 0003, .* uses 0004; `prefrl label`"
    ):
        opened(database, is_upgraded=False)


def test_a_renderer_that_comes_first_finds_no_questions_yet(database, opened):
    said = "is empty" if "://" in str(database) else "there is no file"
    with pytest.raises(NoStore, match=said):
        opened(database, is_made=False)
    put(opened(database), 1)
    assert len(opened(database, is_made=False).entries()) == 1


def test_an_upgrade_that_is_cut_off_leaves_the_old_version(bare, opened, database, monkeypatch):
    migration.bring_up_to_date(bare)
    put(opened(database), 1)

    def cut_off():
        from alembic import op

        op.add_column("questions", Column("colour", Text))
        raise KeyboardInterrupt

    script = SCRIPTS.get_revision(schema.SCHEMA_VERSION)
    monkeypatch.setattr(script.module, "upgrade", cut_off)
    monkeypatch.setattr(ScriptDirectory, "iterate_revisions", lambda *_: iter([script]))
    with pytest.raises(KeyboardInterrupt), bare.migrating() as connection:
        migration.upgrade(connection, "0001")
    monkeypatch.undo()
    assert differences(bare) == []
    assert len(opened(database).entries()) == 1


def test_several_processes_that_open_a_new_database_at_once_make_its_tables_once(database):
    given = f"Path({str(database)!r})" if isinstance(database, Path) else repr(database)
    code = (
        "from pathlib import Path; from prefrl.labelling.store import LabelStore; import sys\n"
        f"print('ready', flush=True); sys.stdin.read(); LabelStore({given}).close()"
    )
    piped: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [
        subprocess.Popen([sys.executable, "-c", code], text=True, **piped) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.close()
        process.stdin = None  # else `communicate` would close it once more
    said = [process.communicate()[1] for process in processes]
    assert said == [""] * 4
    store = LabelStore(database)
    assert store.entries() == []
    store.close()


def test_a_file_of_something_else_is_refused(tmp_path, opened):
    other = Database(tmp_path / "other.sqlite")
    with other.migrating() as connection:
        connection.execute(text("CREATE TABLE songs (title TEXT)"))
    other.close()
    with pytest.raises(StorageError, match="is no store of labels: it holds the table songs"):
        opened(tmp_path / "other.sqlite")
