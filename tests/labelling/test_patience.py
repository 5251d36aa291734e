"""A store that waits while its database is away, and then has done everything once."""

import contextlib
from pathlib import Path

import pytest

from prefrl.labelling.errors import Unavailable
from prefrl.labelling.patience import PatientStore
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store import database as database_module
from tests.session.stores import ids, put


@pytest.fixture
def opened():
    """Opens stores that call a function instead of sleeping, and what they have said."""
    stores = []

    def open_(database, while_it_waits):
        said: list[str] = []
        store = PatientStore(database, say=said.append, sleep=lambda _: while_it_waits())
        stores.append(store)
        return store, said

    yield open_
    for store in stores:
        store.close()


def check_said(said, why):
    away, back = said
    assert why in away
    assert away.endswith("; waiting until it is back")
    assert back.startswith("the database is back after ")


def test_it_waits_while_another_process_writes_for_too_long(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_S", 0.05)
    other, held = LabelStore(tmp_path / "labels.sqlite"), contextlib.ExitStack()
    store, said = opened(tmp_path / "labels.sqlite", held.close)
    held.enter_context(other._database.writing())
    assert [one.id for one in put(store, 2)] == [0, 1]
    check_said(said, "database is locked")
    assert ids(store.entries()) == [0, 1]
    other.close()


def test_it_waits_for_a_file_that_cannot_be_opened(tmp_path, opened):
    here, away = tmp_path / "disk", tmp_path / "away"
    here.mkdir()

    def bring_back():
        if away.exists():
            away.rename(here)

    store, said = opened(here / "labels.sqlite", bring_back)
    put(store, 2)
    store.close()
    here.rename(away)
    assert ids(store.entries("open")) == [0, 1]
    check_said(said, "unable to open database file")


def test_it_waits_for_a_server_that_was_stopped_whatever_is_called(durable_postgres, opened):
    store, said = opened(durable_postgres.new_database(), durable_postgres.start)
    put(store, 3)
    calls = [
        lambda: put(store, 1),
        store.revision,
        lambda: store.withdraw([1]),
        lambda: store.add_clips(0, b"left", b"right"),
        lambda: store.set_status("run", 1),
        lambda: store.set_settings(StoreSettings(budget=4)),
        store.standings,
    ]
    for number, call in enumerate(calls, start=1):
        durable_postgres.stop()
        call()
        assert len(said) == 2 * number
        check_said(said[-2:], "is not available")
    assert [one.state for one in store.standings().values()] == [
        *("open", "withdrawn", "open", "open")
    ]
    assert (store.status("run"), store.settings().budget) == (1, 4)


def test_what_was_done_before_the_connection_was_cut_is_not_done_again(
    tmp_path, opened, monkeypatch
):
    store, said = opened(tmp_path / "labels.sqlite", lambda: None)
    put(store, 2)
    store.set_settings(StoreSettings(needs_clips=False))
    store.add_annotator("ann")
    store.give("ann", 0, "left")
    writing, is_cut = store._database.writing, False

    @contextlib.contextmanager
    def cut_once(**options):
        nonlocal is_cut
        with writing(**options) as connection:
            yield connection
        if not is_cut:
            is_cut = True
            raise Unavailable("the server closed the connection")

    monkeypatch.setattr(store._database, "writing", cut_once)
    assert [one.id for one in put(store, 3)] == [2, 3, 4]
    assert len(said) == 2
    is_cut = False
    assert store.put_repeat(0, session=3, policy_step=600).id == 5
    assert len(said) == 4
    assert ids(store.entries()) == [0, 1, 2, 3, 4]
    assert list(store.standings(with_repeats=True)) == [0, 1, 2, 3, 4, 5]


def test_a_database_that_is_away_at_first_is_told_and_not_waited_for(tmp_path):
    with pytest.raises(Unavailable, match="unable to open database file"):
        PatientStore(Path(tmp_path) / "nowhere" / "labels.sqlite", say=print)
