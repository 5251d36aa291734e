"""Handing out and taking in: who is asked what, and what becomes of the answer."""

import math
from dataclasses import replace

import pytest

from prefrl.errors import ArgumentError, DataError
from prefrl.feedback.protocols import Answer
from prefrl.labelling.errors import Closed, LeasedByOther, UnknownAnnotator, UnknownQuestion
from prefrl.labelling.rows import OwnAnswer
from tests.session.stores import put


def asked(store, annotator, **options):
    leased = store.next_question(annotator, **options)
    return None if leased is None else leased.question


def with_settings(store, **changed):
    store.set_settings(replace(store.settings(), **changed))


def states(store):
    return [one.state for one in store.standings().values()]


def said(store):
    return [(one.question, one.annotator, one.said) for one in store.answers()]


def test_the_oldest_question_is_handed_out_until_it_is_answered(store, clock):
    put(store, 2)
    leased = store.next_question("ann")
    assert (leased.question, leased.deadline_s, leased.leased_until_s) == (0, 60.0, 1_060.0)
    assert asked(store, "ann") == 0
    clock.now_s += 5
    store.give("ann", 0, "left", response_time_s=1.25)
    assert asked(store, "ann") == 1
    (one,) = store.answers()
    assert (one.question, one.annotator, one.said, one.p_left) == (0, "ann", "left", 1.0)
    assert (one.response_time_s, one.answered_s, one.policy_step) == (1.25, 1_005.0, 500)
    assert store.standings("answered")[0].answer == Answer(0, 1.0, "ann", 1_005.0, "human")


def test_two_people_never_see_a_question_at_once(store, clock):
    put(store, 2)
    assert [asked(store, name) for name in ("ann", "bob", "ann", "bob")] == [0, 1, 0, 1]
    assert states(store) == ["leased", "leased"]
    clock.now_s += 60
    assert states(store) == ["open", "open"]
    assert [asked(store, "bob"), asked(store, "ann")] == [0, 1]


def test_one_more_question_is_leased_to_be_loaded_ahead_and_no_third(store):
    put(store, 4)
    assert asked(store, "ann") == 0
    assert asked(store, "ann", after=0) == 1
    assert asked(store, "ann", after=0) == 1
    assert asked(store, "ann", after=1) == 0
    assert asked(store, "bob") == 2
    store.give("ann", 0, "right")
    assert asked(store, "ann", after=1) == 3


def test_a_lease_is_prolonged_while_the_page_is_open(store, clock):
    put(store, 2)
    store.next_question("ann")
    clock.now_s += 50
    assert store.renew("ann") == 1
    clock.now_s += 50
    assert asked(store, "bob") == 1
    assert asked(store, "ann") == 0
    assert store.renew("bob") == 1
    clock.now_s += 60
    assert store.renew("bob") == 0


def test_an_answer_given_again_changes_nothing_and_another_one_takes_its_place(store, clock):
    put(store, 1)
    asked(store, "ann")
    store.give("ann", 0, "left", response_time_s=2.0)
    before, revision = store.answers(), store.revision()
    clock.now_s += 3
    store.give("ann", 0, "left", response_time_s=9.0)
    assert (store.answers(), store.revision()) == (before, revision)
    store.give("ann", 0, "tie", response_time_s=4.0)
    (one,) = store.answers()
    assert (one.said, one.p_left, one.response_time_s, one.answered_s) == ("tie", 0.5, 4.0, 1_003)
    assert store.revision() > revision


def test_an_answer_counts_without_a_lease_unless_somebody_else_has_it(store, clock):
    put(store, 2)
    asked(store, "ann")
    clock.now_s += 60
    store.give("ann", 0, "right")
    asked(store, "bob")
    with pytest.raises(LeasedByOther, match="somebody else is looking at question 1"):
        store.give("ann", 1, "right")
    store.give("bob", 1, "left")
    with pytest.raises(Closed, match="question 1 has been answered by others"):
        store.give("ann", 1, "right")
    assert said(store) == [(0, "ann", "right"), (1, "bob", "left")]


def test_what_is_not_there_is_refused(store):
    put(store, 1)
    for number in (7, -1, 2**70, "0"):
        with pytest.raises(UnknownQuestion, match=f"no question {number}; 1 were put, 0 to 0"):
            store.give("ann", number, "left")
        with pytest.raises(UnknownQuestion):
            store.undo("ann", number)
    with pytest.raises(UnknownAnnotator, match="there is no annotator 'eve'"):
        store.give("eve", 0, "left")
    with pytest.raises(UnknownAnnotator):
        store.next_question("eve")
    with pytest.raises(DataError, match="an answer is 'up'; expected left, right, tie, skip"):
        store.give("ann", 0, "up")
    with pytest.raises(DataError, match="response_time_s is -1; expected 0 or more seconds"):
        store.give("ann", 0, "left", response_time_s=-1)
    with pytest.raises(ArgumentError, match="response_time_s is a str"):
        store.give("ann", 0, "left", response_time_s="1")
    assert said(store) == []


def test_a_withdrawn_question_takes_no_answer(store):
    put(store, 2)
    asked(store, "ann")
    store.withdraw([0])
    with pytest.raises(Closed, match="question 0 was withdrawn"):
        store.give("ann", 0, "left")
    assert asked(store, "ann") == 1


# ---- skips ----------------------------------------------------------------------------------


def test_a_skip_closes_a_question_for_one_and_two_skips_for_all(store):
    store.add_annotator("cid")
    put(store, 2)
    assert [asked(store, name) for name in ("cid", "bob", "ann")] == [0, 1, None]
    store.give("cid", 0, "skip")
    assert asked(store, "ann") == 0
    assert asked(store, "cid") is None
    store.give("ann", 0, "skip")
    assert states(store) == ["skipped", "leased"]
    assert math.isnan(store.standings("skipped")[0].answer.p_left)


def test_whoever_is_alone_skips_for_all(store, clock):
    put(store, 2)
    asked(store, "ann")
    store.give("ann", 0, "skip")
    assert states(store) == ["skipped", "open"]
    store.next_question("bob")
    asked(store, "ann")
    store.give("bob", 1, "skip")
    assert states(store) == ["skipped", "open"]
    # Ann goes away: nobody is left who could answer, which is noticed when somebody asks.
    clock.now_s += 601
    assert asked(store, "bob") is None
    assert states(store) == ["skipped", "skipped"]


def test_a_skip_is_taken_back_unless_somebody_came_after_it(store):
    put(store, 3)
    store.next_question("bob")
    store.give("bob", 0, "left")
    asked(store, "ann")
    store.give("ann", 1, "skip")
    store.undo("ann", 1)
    assert asked(store, "ann") == 1
    store.give("ann", 1, "skip")
    assert asked(store, "bob") == 1
    with pytest.raises(LeasedByOther):
        store.undo("ann", 1)
    store.give("bob", 1, "tie")
    with pytest.raises(Closed):
        store.undo("ann", 1)
    with pytest.raises(Closed):
        store.give("ann", 1, "left")
    assert said(store) == [(0, "bob", "left"), (1, "ann", "skip"), (1, "bob", "tie")]


# ---- undo -----------------------------------------------------------------------------------


def test_an_answer_is_taken_back_and_the_question_is_theirs_again(store):
    put(store, 2)
    asked(store, "ann")
    store.give("ann", 0, "left")
    assert asked(store, "ann") == 1
    assert store.undo("ann", 0)
    revision = store.revision()
    assert not store.undo("ann", 0)
    assert store.revision() == revision
    assert said(store) == []
    assert states(store) == ["leased", "leased"]
    assert asked(store, "bob") is None
    assert asked(store, "ann", after=1) == 0


def test_a_skip_that_becomes_an_answer_and_an_answer_that_becomes_a_skip(store):
    put(store, 1)
    store.next_question("bob")
    asked(store, "ann")
    store.give("bob", 0, "left")
    store.give("bob", 0, "skip")
    assert states(store) == ["open"]
    store.give("bob", 0, "right")
    assert states(store) == ["answered"]
    assert store.counts().spent == 1


# ---- overlap --------------------------------------------------------------------------------


def test_a_share_of_the_questions_wants_two_answers(store):
    with_settings(store, overlap=0.5)
    put(store, 2)
    put(store, 2)
    assert [asked(store, "ann"), asked(store, "bob")] == [0, 1]
    assert asked(store, "ann", after=0) == 1
    store.give("bob", 1, "left")
    assert states(store)[1] == "leased"
    store.give("ann", 1, "right")
    standing = store.standings("answered")[1]
    assert (standing.answer.p_left, standing.answer.annotator) == (0.5, "")
    counts = store.counts()
    assert (counts.spent, counts.answers, counts.answered) == (1, 2, 1)


def test_every_tenth_question_is_doubled_however_many_are_put_at_a_time(store):
    with_settings(store, overlap=0.1)
    for num in (1, 3, 7, 9):
        put(store, num)
    doubled = []
    for number in range(20):
        for name in ("ann", "bob"):
            try:
                store.give(name, number, "left")
            except Closed:
                continue
            doubled += [number] if name == "bob" else []
    assert doubled == [9, 19]


def test_no_third_person_is_asked(store):
    store.add_annotator("cid")
    with_settings(store, overlap=1.0)
    put(store, 1)
    assert [asked(store, name) for name in ("ann", "bob", "cid")] == [0, 0, None]
    store.give("ann", 0, "left")
    with pytest.raises(LeasedByOther):
        store.give("cid", 0, "left")


def test_one_that_has_some_of_its_answers_is_answered_with_these_when_it_is_withdrawn(store):
    with_settings(store, overlap=1.0)
    put(store, 2)
    asked(store, "ann")
    store.give("ann", 0, "left")
    assert store.withdraw([0, 1]) == [1]
    assert states(store) == ["answered", "withdrawn"]


def test_a_second_skip_leaves_the_answer_that_is_there(store):
    with_settings(store, overlap=1.0)
    put(store, 1)
    assert [asked(store, name) for name in ("ann", "bob")] == [0, 0]
    store.give("ann", 0, "left")
    store.give("bob", 0, "skip")
    assert states(store) == ["answered"]
    assert store.standings()[0].answer.p_left == 1.0


# ---- repeats --------------------------------------------------------------------------------


def test_a_repeat_is_for_whoever_answered_and_counts_nowhere(store):
    put(store, 1)
    asked(store, "ann")
    store.give("ann", 0, "left")
    repeat = store.put_repeat(0, session=3, policy_step=900)
    assert repeat.id == 1
    assert repeat.left.episode.tolist() == store.question(0).right.episode.tolist()
    assert asked(store, "bob") is None
    with pytest.raises(LeasedByOther, match="question 1 is for somebody else"):
        store.give("bob", 1, "left")
    leased = store.next_question("ann")
    assert (leased.question, leased.repeat_of) == (1, 0)
    store.give("ann", 1, "right")
    assert [one.is_repeat_of for one in store.answers()] == [None, 0]
    assert (store.counts().spent, store.counts().repeats_answered) == (1, 1)
    assert list(store.standings()) == [0]
    assert list(store.standings(with_repeats=True)) == [0, 1]
    assert [entry.question.id for entry in store.entries()] == [0]
    assert store.lease("bob", 5, duration_s=9) == []


def test_what_cannot_be_repeated_is_refused(store):
    put(store, 2)
    with pytest.raises(DataError, match="question 0 is open; an answered one can be repeated"):
        store.put_repeat(0, session=0, policy_step=0)
    store.give("ann", 0, "tie")
    store.put_repeat(0, session=0, policy_step=0)
    with pytest.raises(DataError, match="question 2 is a repeat itself"):
        store.put_repeat(2, session=0, policy_step=0)
    with pytest.raises(UnknownQuestion):
        store.put_repeat(9, session=0, policy_step=0)


def test_a_repeat_that_is_skipped_is_over(store):
    put(store, 1)
    store.renew("bob")  # Somebody else is there, and will not be asked.
    store.give("ann", 0, "left")
    store.put_repeat(0, session=0, policy_step=0)
    store.give("ann", 1, "skip")
    assert store.standings(with_repeats=True)[1].state == "skipped"


# ---- budget and pause -----------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_no_work_is_wasted(store):
    with_settings(store, budget=2)
    put(store, 4)
    assert [asked(store, "ann"), asked(store, "bob")] == [0, 1]
    # Both are looked at: they will spend it.
    assert asked(store, "ann", after=0) is None
    store.give("ann", 0, "left")
    store.give("bob", 1, "skip")
    assert asked(store, "ann") == 1
    store.give("ann", 1, "left")
    assert asked(store, "ann") is None
    with pytest.raises(Closed, match="the budget of 2 answered questions is spent"):
        store.give("ann", 2, "left")
    store.give("ann", 1, "right")
    store.undo("ann", 1)
    store.give("ann", 1, "tie")
    assert store.counts().spent == 2


def test_second_answers_and_repeats_cost_nothing(store):
    with_settings(store, overlap=1.0, budget=1)
    put(store, 2)
    store.give("ann", 0, "left")
    assert asked(store, "bob") == 0
    store.give("bob", 0, "left")
    store.put_repeat(0, session=0, policy_step=0)
    store.give("ann", 2, "right")
    assert store.counts().spent == 1


def test_nothing_new_is_handed_out_while_it_is_paused(store):
    put(store, 2)
    asked(store, "ann")
    store.pause(True)
    assert store.is_paused()
    assert (asked(store, "ann"), asked(store, "bob")) == (0, None)
    store.give("ann", 0, "left")
    assert asked(store, "ann") is None
    store.pause(False)
    assert asked(store, "ann") == 1


def test_the_revision_grows_with_answers_and_states_and_not_with_leases(store):
    seen = [store.revision()]

    def has_grown():
        seen.append(store.revision())
        return seen[-1] > seen[-2]

    put(store, 3)
    assert has_grown()
    asked(store, "ann")
    assert not has_grown()
    for change in (
        lambda: store.give("ann", 0, "left"),
        lambda: store.undo("ann", 0),
        lambda: store.answer([Answer(0, 1.0)]),
        lambda: store.withdraw([1]),
        lambda: store.revoke("bob", with_answers=True),
    ):
        change()
        assert has_grown()
    store.withdraw([1])
    assert not has_grown()


def test_the_answers_of_one_annotator_are_read_alone(store):
    put(store, 3)
    store.give("ann", 0, "left")
    store.give("bob", 1, "skip")
    store.give("ann", 2, "tie")
    all_of_ann = [one for one in store.answers() if one.annotator == "ann"]
    assert sorted(store.answers_of("ann")) == sorted(
        OwnAnswer(one.said, one.answered_s, one.response_time_s) for one in all_of_ann
    )
    assert sorted(one.said for one in store.answers_of("ann")) == ["left", "tie"]
    assert store.answers_of("nobody") == []
