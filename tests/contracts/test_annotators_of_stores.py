"""Stores with several annotators: overlap, skips, answers taken back, repeats; and over kills."""

import math

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer
from prefrl.session.question_store import Closed, LeasedByOther
from tests.contracts.annotated_stores import leased, repeat, said
from tests.session.stores import ids, put, states

SKIP = math.nan


@pytest.fixture
def questions(kind, tmp_path, clock):
    """A store of one annotator."""
    return kind.make(tmp_path, clock, 1)


@pytest.fixture
def shared(kind, tmp_path, clock):
    """A store of three annotators."""
    return kind.make(tmp_path, clock, 3)


def test_what_somebody_looks_at_can_be_spared(shared, clock):
    put(shared, 3)
    shared.answer([Answer(2, 1.0, "bob")])
    assert leased(shared, "ann", 1) == [0]
    assert shared.withdraw([0, 1, 2], also_leased=False) == [1]
    assert states(shared) == ["leased", "withdrawn", "answered"]
    clock.now_s += 60
    assert shared.withdraw([0], also_leased=False) == [0]


def test_what_is_not_there_is_refused_by_number_and_nothing_happens(questions):
    put(questions, 2)
    before = questions.revision()
    for call in (
        lambda: questions.withdraw([0, 7]),
        lambda: questions.undo("ann", 7),
        lambda: questions.question(7),
        lambda: repeat(questions, 7),
    ):
        with pytest.raises(DataError, match="there is no question 7; 2 were put, 0 to 1"):
            call()
    assert states(questions) == ["open", "open"]
    assert questions.revision() == before


class TestUndo:
    def test_an_answer_that_is_taken_back_leaves_the_question_to_who_gave_it(self, shared, clock):
        put(shared, 1)
        shared.answer([Answer(0, 1.0, "ann")])
        assert shared.undo("ann", 0)
        assert states(shared) == ["leased"]
        assert said(shared, 0) == {}
        assert leased(shared, "bob") == []
        clock.now_s += 60
        assert leased(shared, "bob") == [0]

    def test_it_can_be_answered_anew_by_the_same_person(self, questions):
        put(questions, 1)
        questions.answer([Answer(0, 1.0, "ann")])
        questions.undo("ann", 0)
        assert len(questions.answer([Answer(0, 0.0, "ann")])) == 1
        assert states(questions) == ["answered"]
        assert said(questions, 0) == {"ann": 0.0}

    def test_a_skip_is_taken_back_too(self, questions):
        put(questions, 1)
        questions.answer([Answer(0, SKIP, "ann")])
        assert states(questions) == ["skipped"]
        assert questions.undo("ann", 0)
        assert states(questions) == ["leased"]

    def test_where_there_is_no_answer_of_theirs_nothing_happens(self, shared):
        put(shared, 2)
        shared.answer([Answer(0, 1.0, "ann")])
        before = shared.revision()
        assert not shared.undo("bob", 0)
        assert not shared.undo("ann", 1)
        assert states(shared) == ["answered", "open"]
        assert shared.revision() == before

    def test_who_looks_at_it_meanwhile_goes_on(self, shared):
        put(shared, 2)
        shared.answer([Answer(1, 1.0, "ann")])
        assert leased(shared, "bob") == [0, 1]
        assert shared.undo("ann", 1)
        standing = shared.standings()[1]
        assert (standing.state, standing.holder) == ("leased", "bob")

    def test_a_skip_stays_where_others_have_answered_since(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann"), Answer(0, 1.0, "bob")])
        with pytest.raises(Closed, match="question 0 has been answered by others"):
            shared.undo("ann", 0)
        assert states(shared) == ["answered"]
        assert str(said(shared, 0)) == str({"ann": SKIP, "bob": 1.0})

    def test_a_skip_stays_where_somebody_else_looks_at_it_by_now(self, shared, clock):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann")])
        assert leased(shared, "bob") == [0]
        with pytest.raises(LeasedByOther, match="somebody else is looking at question 0"):
            shared.undo("ann", 0)
        clock.now_s += 60
        assert shared.undo("ann", 0)
        assert leased(shared, "bob") == []

    def test_nothing_is_taken_back_of_what_was_withdrawn(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann")])
        shared.withdraw([0])
        with pytest.raises(Closed, match="question 0 was withdrawn"):
            shared.undo("ann", 0)
        assert states(shared) == ["withdrawn"]

    def test_two_skips_close_it_for_all_though_an_answer_is_taken_back(self, shared):
        put(shared, 2)
        shared.answer([Answer(1, 1.0, "ann"), Answer(1, SKIP, "bob"), Answer(1, SKIP, "cyd")])
        assert states(shared) == ["open", "answered"]
        assert shared.undo("ann", 1)
        assert states(shared) == ["open", "skipped"]


class TestSeveralPeople:
    def test_two_look_at_once_only_at_a_question_that_wants_two_answers(self, shared, clock):
        put(shared, 2)
        assert leased(shared, "ann") == [0, 1]
        assert leased(shared, "ann") == []
        assert leased(shared, "bob") == [1]
        assert leased(shared, "cyd") == []
        shared.answer([Answer(1, 0.0, "ann")])
        assert leased(shared, "cyd") == [], "one answer is there, and bob looks for the other"
        clock.now_s += 60
        assert leased(shared, "cyd") == [0, 1]

    def test_what_was_withdrawn_half_answered_wants_no_more_than_that(self, shared):
        put(shared, 2)
        shared.answer([Answer(1, 1.0, "ann")])
        shared.withdraw([1])
        assert shared.undo("ann", 1)
        shared.answer([Answer(1, 0.0, "ann")])
        assert states(shared) == ["open", "answered"]

    def test_a_skip_closes_a_question_for_that_person_and_a_second_one_for_all(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann")])
        assert states(shared) == ["open"]
        assert leased(shared, "ann") == []
        assert shared.answer([Answer(0, 1.0, "ann")]) == []
        assert leased(shared, "bob") == [0]
        shared.answer([Answer(0, SKIP, "bob")])
        assert states(shared) == ["skipped"]
        assert leased(shared, "cyd") == []

    def test_what_one_has_skipped_another_may_answer(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann"), Answer(0, 0.5, "bob")])
        (standing,) = shared.standings().values()
        assert standing.state == "answered"
        assert standing.answer == Answer(0, 0.5, "bob")
        assert str(said(shared, 0)) == str({"ann": SKIP, "bob": 0.5})

    def test_a_question_that_wants_two_answers_is_open_until_it_has_them(self, shared):
        put(shared, 3)
        assert leased(shared, "ann", 2) == [0, 1]
        shared.answer([Answer(1, 1.0, "ann")])
        assert states(shared) == ["leased", "open", "open"], "nobody looks at it any more"
        assert leased(shared, "ann") == [2]
        assert leased(shared, "bob") == [1]
        assert len(shared.answer([Answer(1, 0.0, "bob"), Answer(1, 0.0, "cyd")])) == 1
        assert states(shared) == ["leased", "answered", "leased"]
        assert said(shared, 1) == {"ann": 1.0, "bob": 0.0}
        assert shared.standings()[1].answer == Answer(1, 0.5)

    def test_what_is_withdrawn_half_answered_is_answered_with_that(self, shared):
        put(shared, 6)
        shared.answer([Answer(1, 1.0, "ann"), Answer(3, SKIP, "ann")])
        assert shared.withdraw([1, 3, 5]) == [3, 5]
        states = [shared.standings()[number].state for number in (1, 3, 5)]
        assert states == ["answered", "withdrawn", "withdrawn"]

    def test_one_of_several_answers_can_be_taken_back_by_itself(self, shared):
        put(shared, 2)
        shared.answer([Answer(1, 1.0, "ann"), Answer(1, 0.0, "bob")])
        assert shared.undo("ann", 1)
        assert states(shared) == ["open", "leased"]
        assert said(shared, 1) == {"bob": 0.0}


class TestRepeats:
    def test_a_repeat_is_the_same_question_with_its_sides_swapped(self, questions):
        put(questions, 2, is_audit=np.array([False, True]), objective=np.array([0, 1]))
        questions.answer([Answer(0, 1.0, "ann"), Answer(1, 1.0, "bob"), Answer(1, 1.0, "ann")])
        first = questions.question(1)
        again = questions.put_repeat(1, session=3, policy_step=600)
        assert (again.id, again.repeat_of, again.session, again.policy_step) == (2, 1, 3, 600)
        assert first.repeat_of is None
        assert again.objective == first.objective
        for side, other in (("left", "right"), ("right", "left")):
            mine, its = getattr(again, side), getattr(first, other)
            np.testing.assert_array_equal(mine.observations, its.observations)
            assert (mine.episode, mine.start) == (its.episode, its.start)

    def test_it_is_left_out_where_nothing_is_said_of_repeats(self, questions):
        put(questions, 1)
        questions.answer([Answer(0, 1.0, "ann")])
        again = repeat(questions, 0)
        assert list(questions.standings()) == ids(questions.entries()) == [0]
        assert list(questions.standings("open", with_repeats=True)) == [again]
        assert questions.question(again).repeat_of == 0
        questions.answer([Answer(again, 0.0, "ann")])
        assert [answer.question for answer in questions.answers()] == [0, again]

    def test_a_repeat_is_for_whoever_has_answered_the_first(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, 1.0, "ann")])
        again = repeat(shared, 0)
        assert leased(shared, "bob") == []
        assert shared.answer([Answer(again, 0.0, "bob")]) == []
        assert leased(shared, "ann") == [again]
        assert len(shared.answer([Answer(again, 0.0, "ann")])) == 1
        assert shared.standings(with_repeats=True)[again].state == "answered"

    def test_it_is_never_asked_after_a_skip(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, SKIP, "ann"), Answer(0, 1.0, "bob")])
        again = repeat(shared, 0)
        assert leased(shared, "ann") == []
        assert leased(shared, "bob") == [again]

    def test_nor_after_the_answer_was_taken_back(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, 1.0, "ann")])
        again = repeat(shared, 0)
        shared.undo("ann", 0)
        assert again not in leased(shared, "ann")
        assert shared.answer([Answer(again, 1.0, "ann")]) == []

    def test_one_skip_ends_it_for_there_is_nobody_else(self, shared):
        put(shared, 1)
        shared.answer([Answer(0, 1.0, "ann")])
        again = repeat(shared, 0)
        shared.answer([Answer(again, SKIP, "ann")])
        assert shared.standings(with_repeats=True)[again].state == "skipped"

    def test_only_what_was_answered_is_repeated_and_a_repeat_is_not(self, shared):
        put(shared, 1)
        with pytest.raises(DataError, match="question 0 is open; an answered one can be repeated"):
            repeat(shared, 0)
        shared.answer([Answer(0, 1.0, "ann")])
        again = repeat(shared, 0)
        with pytest.raises(DataError, match=f"question {again} is a repeat itself"):
            repeat(shared, again)


def test_the_revision_grows_with_every_change_and_stays_without_one(shared):
    seen = [shared.revision()]

    def assert_grown():
        assert shared.revision() > seen[-1]
        seen.append(shared.revision())

    put(shared, 3)
    assert_grown()
    shared.answer([Answer(0, 1.0, "ann")])
    assert_grown()
    shared.undo("ann", 0)
    assert_grown()
    shared.answer([Answer(0, 1.0, "ann")])
    assert_grown()
    shared.withdraw([1])
    assert_grown()
    shared.answer([Answer(0, 1.0, "ann")])
    shared.withdraw([0, 1])
    shared.standings()
    shared.answers()
    shared.question(0)
    assert shared.revision() == seen[-1]


def test_all_of_it_is_there_again_after_a_restart(kind, shared):
    put(shared, 6, is_audit=np.array([True, *[False] * 5]))
    shared.answer([Answer(0, 0.5, "bob", 12.5), Answer(1, SKIP, "ann"), Answer(1, 1.0, "cyd")])
    shared.withdraw([2])
    leased(shared, "ann", 1)
    again = repeat(shared, 0)
    opened = kind.reopened(shared)
    assert opened.standings(with_repeats=True) == shared.standings(with_repeats=True)
    assert str(opened.answers()) == str(shared.answers())
    assert str(opened.entries()) == str(shared.entries())
    assert str(opened.question(again)) == str(shared.question(again))
    assert leased(opened, "bob") == [1, 3, 4, 5, again]
    assert [question.id for question in put(opened, 1)] == [again + 1]
