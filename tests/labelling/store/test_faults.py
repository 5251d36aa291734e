"""A database that is away, full, damaged or no database: a line each, and nothing lost."""

import contextlib
import os
import shutil
import socket
import string
import subprocess
import threading
from pathlib import Path

import pytest
from sqlalchemy import event

from prefrl.errors import (
    ArgumentError,
    ConfigError,
    DataError,
    PrefrlError,
    StorageError,
)
from prefrl.feedback.protocols import Answer
from prefrl.labelling.errors import Unavailable
from prefrl.labelling.store import LabelStore, postgresql
from prefrl.labelling.store import database as database_module
from prefrl.labelling.store.schema import predictions
from tests.session.made_up import segments
from tests.session.stores import put


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "sqlalche.me" not in text
    return text


# ---- what is no database --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database", "kind", "said"),
    [
        ("mysql://root:hunter2@host/x", ConfigError, "the database is of kind mysql; expected"),
        ("no url", ConfigError, "the database's URL cannot be read; expected sqlite:///FILE"),
        ("sqlite://", ConfigError, "the SQLite database has no file"),
        ("sqlite:///:memory:", ConfigError, "the SQLite database has no file"),
        (3, ArgumentError, "database is an int; expected sqlite:///FILE or postgresql"),
    ],
)
def test_what_is_no_database_is_refused(database, kind, said):
    with pytest.raises(kind, match=said) as error:
        LabelStore(database)
    assert "hunter2" not in one_line(error)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"nowhere/labels\.sqlite is not available: unable"):
        LabelStore(tmp_path / "nowhere" / "labels.sqlite")


def test_a_server_that_is_not_there_is_named_without_its_password():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        with pytest.raises(Unavailable, match="Connection refused") as error:
            LabelStore(f"postgresql://ann:hunter2@127.0.0.1:{port}/labels")
    assert "hunter2" not in one_line(error)
    assert f"postgresql://ann@127.0.0.1:{port}/labels" in one_line(error)


@pytest.mark.parametrize("mark", [*string.punctuation, " ", "é", "%40", "\0"])
@pytest.mark.parametrize(
    "where", ["ann:{}@127.0.0.1:1/labels", "ann@127.0.0.1:1/labels?connect_timeout=1&password={}"]
)
def test_no_part_of_a_password_is_shown_whatever_is_in_it(where, mark):
    url = f"postgresql://{where.format(f'hunter2{mark}swordfish')}"
    with pytest.raises(PrefrlError) as error:
        LabelStore(url)
    for part in ("hunter2", "swordfish"):
        assert part not in one_line(error)


# ---- away, and back -------------------------------------------------------------------------


def test_a_server_that_goes_away_and_comes_back_has_every_answer(opened, durable_postgres):
    store = opened(durable_postgres.new_database())
    put(store, 2)
    store.answer([Answer(0, 1.0, "ann")])
    durable_postgres.stop()
    for call in (store.entries, store.revision, lambda: store.answer([Answer(1, 0.0)])):
        with pytest.raises(Unavailable) as error:
            call()
        one_line(error)
    durable_postgres.start()
    assert [one.state for one in store.standings().values()] == ["answered", "open"]
    assert len(store.answer([Answer(1, 0.0)])) == 1


@pytest.fixture
def impatient(monkeypatch):
    """Waits for a silent server for a second only."""
    for name in ("_PING_S", "_CONNECT_TIMEOUT_S"):
        monkeypatch.setattr(postgresql, name, 1)
    monkeypatch.setattr(postgresql.TimedConnection, "silence_s", 1)
    monkeypatch.setattr(postgresql, "_SILENCE_S", 1)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_is_away_and_has_every_answer_when_it_goes_on(opened, durable_postgres):
    store, new = opened(durable_postgres.new_database()), opened(durable_postgres.new_database())
    put(store, 2)
    store.answer([Answer(0, 1.0, "ann")])
    new.close()  # has no connection that it could ask by
    durable_postgres.freeze()
    for call, said in (
        (store.entries, "the server has said nothing for 1 s"),
        (lambda: store.answer([Answer(1, 0.0)]), "timeout expired"),
        (new.entries, "timeout expired"),
    ):
        with pytest.raises(Unavailable, match=said) as error:
            call()
        one_line(error)
    durable_postgres.thaw()
    assert [one.state for one in store.standings().values()] == ["answered", "open"]
    assert len(store.answer([Answer(1, 0.0)])) == 1
    assert new.entries() == []


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_in_the_middle_of_a_change_has_made_it_or_not(opened, durable_postgres):
    store = opened(durable_postgres.new_database())
    put(store, 2)
    for at in ("statement", "commit"):
        with contextlib.ExitStack() as stack:
            stack.enter_context(pytest.raises(Unavailable, match="said nothing for 1 s"))
            connection = stack.enter_context(store._database.writing())
            if at == "statement":
                durable_postgres.freeze()
            connection.exec_driver_sql("UPDATE questions SET policy_step = 7")
            durable_postgres.freeze()
        durable_postgres.thaw()
        steps = [store.question(number).policy_step for number in range(2)]
        assert steps in ([500, 500], [7, 7]), "both, or neither"
        store._known.clear()
    assert len(store.answer([Answer(0, 1.0)])) == 1


def test_a_database_that_is_busy_is_waited_for_and_then_told(database, opened, monkeypatch):
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_S", 1)
    store, other = opened(database), opened(database)
    put(store, 1)
    with other._database.writing():
        # One that only reads need not wait.
        assert len(store.entries()) == 1
        with pytest.raises(Unavailable, match="is not available") as error:
            store.answer([Answer(0, 1.0)])
        one_line(error)
    assert len(store.answer([Answer(0, 1.0)])) == 1


def test_threads_take_turns_and_lose_nothing(database, opened):
    store = opened(database)
    put(store, 40)
    news = []

    def answer(name):
        for number in range(40):
            news.extend(store.answer([Answer(number, 1.0, name)]))

    threads = [threading.Thread(target=answer, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.question for answer in news) == list(range(40))
    assert len(store.answers()) == 40


def in_fork(call):
    """Calls in a process that is forked, and returns what it said."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(into, str(call()).encode())
        except BaseException as error:  # noqa: BLE001 - nothing may leave this process
            os.write(into, str(error).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def test_a_process_that_was_forked_has_connections_of_its_own_or_is_told(database, opened):
    store = opened(database)
    put(store, 2)
    said = in_fork(lambda: len(store.answer([Answer(0, 1.0)])))
    if store._database.is_sqlite:
        assert "is in use by the process that this one was forked from" in said
    else:
        assert said == "1"
    assert len(store.answer([Answer(1, 1.0)])) == 1
    store.answer([Answer(0, 1.0)])
    assert [one.state for one in store.standings().values()] == ["answered", "answered"]


# ---- full -----------------------------------------------------------------------------------


def test_a_file_that_may_not_grow_takes_nothing_and_loses_nothing(tmp_path, opened):
    store = opened(tmp_path / "labels.sqlite")
    put(store, 3)
    store.answer([Answer(0, 1.0, "ann")])
    pages = []

    @event.listens_for(store._database.engine, "connect")
    def limit(connection, _record):
        (most,) = connection.execute("PRAGMA page_count").fetchone()
        pages.append(connection.execute(f"PRAGMA max_page_count = {most}").fetchone())

    store.close()
    with pytest.raises(Unavailable, match="database or disk is full") as error:
        store.put(segments(200, length=50), segments(200, length=50), session=0, policy_step=0)
    assert pages
    one_line(error)
    again = opened(tmp_path / "labels.sqlite")
    assert [one.state for one in again.standings().values()] == ["answered", "open", "open"]
    # What is small enough still goes in.
    assert len(store.answer([Answer(1, 0.0, "ann")])) == 1


def test_a_disk_that_is_full_takes_nothing_and_loses_nothing(tmp_path, opened):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        store = opened(disk / "labels.sqlite")
        put(store, 200)
        acknowledged = []

        def answer_all():
            for number in range(200):
                store.answer([Answer(number, 1.0, "ann")])
                acknowledged.append(number)
                with contextlib.suppress(OSError), (disk / f"{number}").open("wb") as beside:
                    beside.write(bytes(8_192))

        with pytest.raises(Unavailable) as error:
            answer_all()
        one_line(error)
        again = opened(disk / "labels.sqlite")
        said = [answer.question for answer in again.answers()]
        assert said == acknowledged
        for path in disk.glob("[0-9]*"):
            path.unlink()
        assert len(store.answer([Answer(len(said), 1.0, "ann")])) == 1
        for one in (store, again):
            one.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---- damaged --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"hello" + raw[5:],
        lambda raw: raw[:100] + b"\xff" * 4_000 + raw[4_100:],
        lambda raw: raw[: len(raw) // 2],
    ],
)
def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path, damage):
    path = tmp_path / "labels.sqlite"
    store = LabelStore(path)
    put(store, 20)
    store.close()
    raw = damage(path.read_bytes())
    path.write_bytes(raw)

    def read():
        with contextlib.closing(LabelStore(path)) as broken:
            broken.entries()

    with pytest.raises(StorageError, match=f"{path} is damaged") as error:
        read()
    one_line(error)
    assert path.read_bytes() == raw


def test_damaged_segments_are_told_by_their_question(store):
    put(store, 2)
    with store._database.writing() as connection:
        changed = 'UPDATE segments SET "right" = "left" || "right" WHERE question = 1'
        if store._database.is_sqlite:
            changed = changed.replace('"left" || "right"', 'substr("right", 1, 40)')
        connection.exec_driver_sql(changed)
    store._known.clear()
    assert store.question(0).id == 0
    with pytest.raises(StorageError, match="the right segment of question 1 is damaged"):
        store.entries()
    # Who answers needs no segments.
    assert store.next_question("ann", after=0).question == 1
    store.give("ann", 1, "left")


def test_a_table_that_is_missing_is_told(store):
    with store._database.migrating() as connection:
        connection.exec_driver_sql("DROP TABLE predictions")
    with pytest.raises(StorageError, match="predictions") as error:
        store.predictions()
    one_line(error)
    with store._database.migrating() as connection:
        predictions.create(connection)


def test_a_text_that_postgresql_cannot_keep_is_refused(emptied_postgres, opened):
    store = opened(emptied_postgres)
    put(store, 1)
    with pytest.raises(DataError, match="cannot keep that") as error:
        store.answer([Answer(0, 1.0, "a\0b")])
    one_line(error)
    assert store.answers() == []


def test_a_file_that_may_not_be_written_is_told(tmp_path, opened):
    store = opened(tmp_path / "labels.sqlite")
    put(store, 1)
    store.close()
    if os.geteuid() == 0:
        pytest.skip("root may write every file")
    shutil.copy(tmp_path / "labels.sqlite", tmp_path / "copy.sqlite")
    Path(tmp_path / "copy.sqlite").chmod(0o400)
    with pytest.raises(Unavailable, match="readonly database"):
        opened(tmp_path / "copy.sqlite").answer([Answer(0, 1.0)])
