"""Settings and status are there for every process."""

import pytest

from prefrl.errors import DataError, StorageError
from prefrl.labelling.rows import StoreSettings
from tests.session.stores import put


def test_a_status_is_what_was_last_said(store):
    assert store.status("step") is None
    assert store.status("step", 0) == 0
    for value in (3, {"curve": [[1, 2.5], [2, None]], "waits": "for answers"}, None, False):
        store.set_status("step", value)
        assert store.status("step", "nothing") == value


def test_settings_are_kept(store):
    settings = StoreSettings(budget=700, overlap=0.1, lease_s=30, max_clip_bytes=10)
    store.set_settings(settings)
    assert store.settings() == settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"overlap": 1.5}, "overlap is 1.5; expected 0 to 1"),
        ({"budget": -1}, "budget is -1; expected 0 or more"),
        ({"lease_s": 0}, "lease_s is 0; expected a number of seconds above 0"),
        ({"max_clip_bytes": -5}, "max_clip_bytes is -5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        StoreSettings(**wrong)


def test_a_database_belongs_to_one_run_whatever_that_is_called(store):
    assert store.owner() is None
    store.claim("1", name="cheetah")
    store.claim("1", name="cheetah, moved")
    assert store.owner().run == "1"
    with pytest.raises(StorageError, match="the questions of another run, cheetah, moved; choose"):
        store.claim("2", name="cheetah, moved")


def test_a_run_that_put_no_question_lets_go_of_its_database(store):
    store.claim("1", name="cheetah")
    assert not store.release("2")
    assert store.owner().run == "1"
    assert store.release("1")
    store.claim("2", name="hopper")
    put(store, 1)
    store.release("2")
    assert store.owner().run == "2"
