"""Every store of questions leads them through the same life: open, leased, answered, ended."""

import math

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer
from prefrl.labelling.store import LabelStore
from prefrl.session.question_files import FileQuestions
from prefrl.session.questions import MemoryQuestions
from tests.session.made_up import segments
from tests.session.stores import Clock, put, states


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "file", "sqlite"])
def questions(request, tmp_path, clock):
    if request.param == "memory":
        yield MemoryQuestions(clock=clock)
    elif request.param == "file":
        yield FileQuestions(clock=clock, folder=tmp_path / "questions")
    else:
        store = LabelStore(tmp_path / "labels.sqlite", clock=clock)
        yield store
        store.close()


def test_questions_are_open_and_numbered_in_the_order_in_which_they_are_put(questions):
    first, second = put(questions, 3), put(questions, 2, seed=5)
    assert [question.id for question in [*first, *second]] == [0, 1, 2, 3, 4]
    assert states(questions) == ["open"] * 5
    assert (first[0].session, first[0].policy_step) == (2, 500)
    assert second[1].left.episode.tolist() == [5_001]


def test_audit_questions_are_marked(questions):
    put(questions, 3, is_audit=np.array([False, True, False]))
    assert [e.question.is_audit for e in questions.entries()] == [False, True, False]


def test_an_answer_closes_a_question_and_a_skip_does_too(questions):
    put(questions, 3)
    news = questions.answer([Answer(2, 1.0, "ann"), Answer(0, math.nan)])
    assert [answer.question for answer in news] == [2, 0]
    assert states(questions) == ["skipped", "open", "answered"]
    (entry,) = questions.entries("answered")
    assert entry.standing.answer == Answer(2, 1.0, "ann")


def test_the_first_answer_stands_however_often_one_comes(questions):
    put(questions, 1)
    assert len(questions.answer([Answer(0, 1.0), Answer(0, 0.0)])) == 1
    assert questions.answer([Answer(0, 0.0)]) == []
    assert questions.answer([Answer(0, math.nan)]) == []
    (entry,) = questions.entries("answered")
    assert entry.standing.answer.p_left == 1.0


def test_a_withdrawn_question_takes_no_answer(questions):
    put(questions, 2)
    assert questions.withdraw([1, 1]) == [1]
    assert questions.withdraw([1]) == []
    assert questions.answer([Answer(1, 1.0)]) == []
    assert states(questions) == ["open", "withdrawn"]


def test_an_answered_question_is_not_withdrawn(questions):
    put(questions, 1)
    questions.answer([Answer(0, 0.5)])
    assert questions.withdraw([0]) == []
    assert states(questions) == ["answered"]


def test_a_lease_reserves_the_oldest_questions_for_its_time(questions, clock):
    put(questions, 3)
    assert [q.id for q in questions.lease("ann", 2, duration_s=60)] == [0, 1]
    assert [q.id for q in questions.lease("bob", 2, duration_s=60)] == [2]
    assert states(questions) == ["leased"] * 3
    assert [e.standing.holder for e in questions.entries()] == ["ann", "ann", "bob"]
    clock.now_s += 60
    assert states(questions) == ["open"] * 3
    assert [q.id for q in questions.lease("bob", 9, duration_s=60)] == [0, 1, 2]


def test_an_answer_counts_after_its_lease_and_in_another_ones(questions, clock):
    put(questions, 2)
    questions.lease("ann", 1, duration_s=1)
    clock.now_s += 5
    questions.lease("bob", 1, duration_s=100)
    assert len(questions.answer([Answer(0, 0.0, "ann")])) == 1
    assert states(questions) == ["answered", "open"]


def test_what_is_not_there_is_refused_by_number_and_nothing_happens(questions):
    put(questions, 2)
    with pytest.raises(DataError, match="there is no question 7; 2 were put, 0 to 1"):
        questions.answer([Answer(0, 1.0), Answer(7, 1.0)])
    with pytest.raises(DataError, match="there is no question 7"):
        questions.withdraw([0, 7])
    assert states(questions) == ["open", "open"]
    with pytest.raises(DataError, match="'opened' is no state of a question; open, leased"):
        questions.entries("opened")


def test_sides_that_do_not_fit_each_other_are_refused(questions):
    with pytest.raises(DataError, match=r"2 left and 3 right segments, .* make no questions"):
        questions.put(segments(2), segments(3), session=0, policy_step=0)
    assert questions.entries() == []
