"""A new file of SQLite's, at which somebody else is at work while it becomes one with a WAL."""

import contextlib
import os
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest

from prefrl.errors import ConfigError, StorageError
from prefrl.labelling.errors import Unavailable
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store import database as database_module
from prefrl.labelling.store.database import Database
from tests.waiting import wait_until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.sqlite"


@pytest.fixture
def at_work(path):
    """A connection that writes into the new file, without a WAL, and has not come to its end."""
    with contextlib.closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def sleeping(monkeypatch, sleep):
    """Makes the module sleep in that way."""
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(database_module, "time", clock)


def journal_mode(database):
    with database.reading() as connection:
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()


def test_who_is_at_work_at_a_new_file_is_waited_for(path, at_work, monkeypatch):
    slept_s = []

    def sleep(duration_s):
        slept_s.append(duration_s)
        if len(slept_s) == 3:
            at_work.execute("ROLLBACK")

    sleeping(monkeypatch, sleep)
    with contextlib.closing(Database(path)) as database:
        assert journal_mode(database) == "wal"
    assert len(slept_s) == 3


def test_who_is_at_work_for_too_long_is_told_of_in_a_line(path, at_work, monkeypatch):
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_S", 0.05)
    with contextlib.closing(Database(path)) as database:
        with pytest.raises(Unavailable, match=f"the database {path} is not available: .*locked"):
            journal_mode(database)
        at_work.execute("ROLLBACK")
        assert journal_mode(database) == "wal"


def test_all_who_open_a_new_file_at_once_wait_for_each_other(path, at_work, monkeypatch):
    waited, failed = set(), []

    def sleep(duration_s):
        waited.add(threading.get_ident())
        time.sleep(duration_s)

    def open_it():
        try:
            LabelStore(path).close()
        except Unavailable as error:
            failed.append(error)

    sleeping(monkeypatch, sleep)
    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(waited) == 6 or failed)
    at_work.execute("ROLLBACK")
    for thread in threads:
        thread.join()
    assert failed == []
    store = LabelStore(path)
    assert store.entries() == []
    store.close()


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_a_file_that_is_made_is_for_whoever_made_it_alone(path):
    with contextlib.closing(LabelStore(path)) as store:
        store.add_annotator("ann")
        names = ("labels.sqlite", "labels.sqlite-wal", "labels.sqlite-shm")
        assert modes(path.parent) == dict.fromkeys(names, 0o600)
        store.backup(path.with_name("copy.sqlite"))
    assert modes(path.parent) == {"labels.sqlite": 0o600, "copy.sqlite": 0o600}


@pytest.mark.usefixtures("usual_umask")
def test_a_file_that_others_were_let_into_stays_theirs_too(path):
    LabelStore(path).close()
    path.chmod(0o660)
    with contextlib.closing(LabelStore(path)) as store:
        store.add_annotator("ann")
        assert set(modes(path.parent).values()) == {0o660}


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///labels.sqlite?timeout=never",
        "sqlite:///labels.sqlite?uri=true",
        "sqlite:///labels\0.sqlite",
        "postgresql://ann:secr%00et@127.0.0.1/labels",
        "postgresql://ann:secret@127.0.0.1/labels?host=\0",
    ],
)
def test_a_url_that_no_driver_reads_as_it_stands_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match="expected sqlite:///FILE") as refused:
        Database(url)
    assert "secr" not in str(refused.value)


@pytest.mark.parametrize("table", ["answers", "settings"])
def test_a_database_without_one_of_its_tables_is_damaged_and_not_waited_for(path, table):
    LabelStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"DROP TABLE {table}")
    with contextlib.closing(LabelStore(path)) as store:
        with pytest.raises(StorageError, match=f"is damaged: no such table: {table}") as refused:
            store.answers() if table == "answers" else store.settings()
        assert not isinstance(refused.value, Unavailable)
