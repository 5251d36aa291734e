"""Annotators and the owner: tokens open what they should, and what is revoked is gone."""

import sqlite3

import pytest

from prefrl.errors import DataError
from prefrl.labelling.errors import UnknownAnnotator
from prefrl.labelling.rows import Annotator
from tests.session.stores import put


def said(store):
    return [(one.question, one.annotator, one.said) for one in store.answers()]


def test_a_token_says_whose_it_is(store, clock):
    clock.now_s = 2_000
    token = store.add_annotator("  Zoë 2 ")
    assert store.annotator_of(token) == Annotator("Zoë 2", 2_000)
    assert [one.name for one in store.annotators()] == ["ann", "bob", "Zoë 2"]
    for wrong in (token[:-1], token + "a", "", "\ud800", "x" * 5_000):
        assert store.annotator_of(wrong) is None


def test_another_token_replaces_the_first(store):
    first, second = store.add_annotator("cid"), store.renew_token("cid")
    assert store.annotator_of(first) is None
    assert store.annotator_of(second).name == "cid"
    with pytest.raises(UnknownAnnotator, match="there is no annotator 'eve'"):
        store.renew_token("eve")


def test_the_owner_has_a_token_of_their_own(store):
    assert not store.is_owner("")
    first = store.set_owner_token()
    assert store.is_owner(first)
    assert not store.is_owner(store.add_annotator("cid"))
    assert store.annotator_of(first) is None
    second = store.set_owner_token()
    assert (store.is_owner(first), store.is_owner(second)) == (False, True)


def test_no_token_is_in_the_file(tmp_path, opened):
    store = opened(tmp_path / "labels.sqlite")
    tokens = [store.add_annotator("ann"), store.set_owner_token(), store.renew_token("ann")]
    store.close()
    raw = (tmp_path / "labels.sqlite").read_bytes()
    assert b"ann" in raw
    assert not [token for token in tokens if token.encode() in raw]


@pytest.mark.parametrize("name", ["", "   ", "a" * 81, "a\nb", "a\0", "\ud800"])
def test_what_is_no_name_is_refused(store, name):
    with pytest.raises(DataError, match=r"the annotator's name is .*; expected 1 to 80"):
        store.add_annotator(name)


def test_nobody_is_invited_under_a_name_that_has_answers_of_somebody_else(store):
    put(store, 1)
    store.give("ann", 0, "left")
    store.revoke("ann", with_answers=False)
    with pytest.raises(DataError, match="there are answers of 'removed 1' already"):
        store.add_annotator("removed 1")
    assert store.add_annotator("ann")


def test_a_name_is_given_once(store):
    with pytest.raises(DataError, match="there is an annotator 'ann' already"):
        store.add_annotator("ann")


def test_when_somebody_was_last_there_is_known(store, clock):
    assert store.annotators()[0].seen_s is None
    clock.now_s += 7
    store.next_question("ann")
    assert store.annotators()[0].seen_s == clock.now_s


def test_the_answers_of_somebody_removed_stay_without_the_name(store):
    put(store, 3)
    for name, number in (("ann", 0), ("bob", 1)):
        store.give(name, number, "left")
    store.next_question("ann")
    for name in ("ann", "bob"):
        store.revoke(name, with_answers=False)
    assert said(store) == [(0, "removed 1", "left"), (1, "removed 2", "left")]
    assert store.standings()[2].state == "open"
    assert store.annotators() == []
    with pytest.raises(UnknownAnnotator):
        store.give("ann", 2, "left")
    with pytest.raises(UnknownAnnotator):
        store.revoke("ann", with_answers=False)


def test_somebody_of_the_same_name_is_somebody_else(store):
    put(store, 2)
    store.give("ann", 0, "left")
    store.revoke("ann", with_answers=False)
    store.add_annotator("ann")
    store.undo("ann", 0)
    assert said(store) == [(0, "removed 1", "left")]


def test_the_answers_go_too_where_that_is_wanted_and_the_questions_are_open_again(store):
    put(store, 3)
    store.give("ann", 0, "left")
    store.give("bob", 1, "left")
    store.put_repeat(0, session=0, policy_step=0)
    store.give("ann", 3, "right")
    store.revoke("ann", with_answers=True)
    assert said(store) == [(1, "bob", "left")]
    states = store.standings(with_repeats=True).values()
    assert [one.state for one in states] == ["open", "answered", "open", "open"]
    assert store.counts().spent == 1


def test_nothing_of_the_name_is_left_in_the_tables(tmp_path, opened):
    store = opened(tmp_path / "labels.sqlite")
    store.add_annotator("Somebody Unusual")
    put(store, 2)
    store.give("Somebody Unusual", 0, "left")
    store.lease("Somebody Unusual", 1, duration_s=60)
    store.revoke("Somebody Unusual", with_answers=False)
    with sqlite3.connect(tmp_path / "labels.sqlite") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "removed 1" in dump
    assert "Somebody" not in dump
