"""Clips: rendered once, ahead of time, by one worker, within a bound."""

import hashlib
from dataclasses import replace

import pytest

from prefrl.errors import DataError
from prefrl.labelling.errors import UnknownQuestion
from prefrl.labelling.rows import StoredClip, StoreSettings
from tests.session.stores import put


def key(spec):
    return hashlib.sha256(spec).hexdigest()


def render(store, *, worker="one", size=10):
    """Does one job, and returns its spec."""
    job = store.next_clip_job(worker)
    if job is None:
        return None
    store.put_clip(job.key, bytes(size), {"fps": 30})
    return job.spec


@pytest.fixture
def store(store):
    store.set_settings(StoreSettings())
    return store


def test_a_question_is_handed_out_when_both_of_its_clips_are_there(store):
    put(store, 2)
    store.add_clips(0, b"a", b"b")
    store.add_clips(1, b"a", b"c")
    assert store.next_question("ann") is None
    assert {render(store), render(store)} == {b"a", b"b"}
    leased = store.next_question("ann")
    assert (leased.question, leased.left_clip, leased.right_clip) == (0, key(b"a"), key(b"b"))
    assert store.next_question("ann", after=0) is None
    assert render(store) == b"c"
    assert store.next_question("ann", after=0).question == 1
    assert render(store) is None


def test_a_repeat_shows_the_same_clips_the_other_way_round(store):
    put(store, 1)
    store.add_clips(0, b"a", b"b")
    while render(store):
        pass
    store.give("ann", 0, "left")
    store.put_repeat(0, session=0, policy_step=0)
    leased = store.next_question("ann")
    assert (leased.left_clip, leased.right_clip) == (key(b"b"), key(b"a"))


def test_one_worker_has_a_job_for_a_minute(store, clock):
    put(store, 1)
    store.add_clips(0, b"a", b"b")
    jobs = [store.next_clip_job(worker) for worker in ("one", "two", "three")]
    assert {job.spec for job in jobs[:2]} == {b"a", b"b"}
    assert jobs[2] is None
    clock.now_s += 60
    again = store.next_clip_job("three")
    assert again.attempts == 2
    # The first worker was only slow.
    store.put_clip(jobs[0].key, b"film", {"fps": 30, "counts": [3, 20]})
    assert store.clip(jobs[0].key) == StoredClip(
        jobs[0].key, b"film", {"fps": 30, "counts": [3, 20]}
    )


@pytest.mark.parametrize("needs_clips", [True, False])
def test_a_clip_that_cannot_be_rendered_is_given_up_and_told(store, needs_clips):
    store.set_settings(StoreSettings(needs_clips=needs_clips))
    put(store, 2)
    store.add_clips(0, b"a", b"a")
    store.add_clips(1, b"b", b"b")
    for attempt in (1, 2, 3):
        job = store.next_clip_job("one")
        assert (job.spec, job.attempts) == (b"a", attempt)
        assert store.clip_failures() == {}
        store.fail_clip(job.key, "the model has 9 joints")
    assert store.next_clip_job("one").spec == b"b"
    # Nobody would wait for it; where clips are not needed it can be answered.
    state = "withdrawn" if needs_clips else "open"
    assert [one.state for one in store.standings().values()] == [state, "open"]
    told = {0: "the model has 9 joints"}
    assert store.clip_failures() == ({} if needs_clips else told)
    assert store.clip_failures(also_withdrawn=True) == told


def test_a_clip_that_no_worker_survives_is_given_up_late(store, clock):
    put(store, 1)
    store.add_clips(0, b"a", b"a")
    for _ in range(10):
        assert store.next_clip_job("one").spec == b"a"
        clock.now_s += 60
    assert store.next_clip_job("one") is None
    assert store.clip_failures() == {0: "the renderer ended in the middle of it each time"}


def test_the_least_recently_used_go_and_are_rendered_again_when_wanted(store, clock):
    store.set_settings(StoreSettings(max_clip_bytes=30))
    keys = [store.add_clip(spec) for spec in (b"a", b"b", b"c", b"d")]
    for _ in keys[:3]:
        clock.now_s += 100
        render(store)
    clock.now_s += 100
    first = next(one for one in keys if store.clip(one) is not None)
    clock.now_s += 100
    render(store)
    assert store.clip_bytes() == 30
    gone = [one for one in keys if store.clip(one) is None]
    assert len(gone) == 1
    assert first not in gone
    assert key(render(store)) == gone[0]
    assert store.clip_bytes() == 30


def test_clips_of_pending_questions_stay_and_no_more_are_made_than_there_is_room_for(store, clock):
    store.set_settings(StoreSettings(max_clip_bytes=40))
    put(store, 3)
    for number in range(3):
        store.add_clips(number, b"%da" % number, b"%db" % number)
    made = [render(store) for _ in range(5)]
    assert {spec[:1] for spec in made[:4]} == {b"0", b"1"}
    assert made[4] is None
    store.give("ann", 0, "left")
    assert render(store)[:1] == b"2"
    assert render(store)[:1] == b"2"
    assert store.clip_bytes() == 40
    store.next_question("ann")
    assert store.next_question("ann", after=1).question == 2


def test_somebody_who_waits_comes_before_what_is_made_ahead(store):
    put(store, 1)
    store.add_clips(0, b"a", b"b")
    store.add_clip(b"policy")
    assert render(store) == b"policy"


def test_a_clip_that_nobody_knows_is_refused(store):
    with pytest.raises(DataError, match="there is no clip 'abc' to be rendered"):
        store.put_clip("abc", b"", {})
    with pytest.raises(DataError, match="there is no clip"):
        store.fail_clip("abc", "why")
    assert store.clip("abc") is None
    assert store.next_clip_job("one") is None
    with pytest.raises(UnknownQuestion):
        store.add_clips(3, b"a", b"b")


def test_a_clip_put_twice_is_there_once(store):
    one = store.add_clip(b"a")
    for film in (b"first", b"second"):
        store.put_clip(one, film, {})
    assert store.clip(one).mp4 == b"second"
    assert store.clip_bytes() == 6
    assert replace(store.settings()) == StoreSettings()
