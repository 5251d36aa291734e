"""Every store of questions leads them through the same life: open, leased, answered, ended."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.session.question_files import FileQuestions
from prefrl.session.questions import MemoryQuestions, QuestionStore
from tests.session.made_up import segments
from tests.session.stores import Clock, put, states


@pytest.fixture(params=["memory", "file", "sqlite", "postgres"])
def questions(request: Any, tmp_path: Path, clock: Clock) -> Iterator[QuestionStore]:
    if request.param == "memory":
        yield MemoryQuestions(clock=clock)
    elif request.param == "file":
        yield FileQuestions(clock=clock, folder=tmp_path / "questions")
    else:
        fixture = {"sqlite": "tmp_path", "postgres": "emptied_postgres"}[request.param]
        found = request.getfixturevalue(fixture)
        database = found / "labels.sqlite" if isinstance(found, Path) else found
        store = LabelStore(database, clock=clock)
        store.set_settings(StoreSettings(needs_clips=False))
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


def test_what_somebody_looks_at_can_be_spared(questions, clock):
    put(questions, 3)
    questions.answer([Answer(2, 1.0)])
    questions.lease("ann", 1, duration_s=60)
    assert questions.withdraw([0, 1, 2], also_leased=False) == [1]
    assert states(questions) == ["leased", "withdrawn", "answered"]
    clock.now_s += 60
    assert questions.withdraw([0], also_leased=False) == [0]


def test_whoever_asks_can_see_what_changed_without_reading_segments(questions):
    before = questions.revision()
    put(questions, 3)
    assert list(questions.standings()) == [0, 1, 2]
    after = questions.revision()
    assert after > before
    questions.answer([Answer(1, 0.5, "ann"), Answer(0, math.nan, "bob")])
    assert questions.revision() > after
    said = [(one.question, one.annotator, str(one.p_left)) for one in questions.answers()]
    assert said == [(0, "bob", "nan"), (1, "ann", "0.5")]
    assert [one.state for one in questions.standings().values()] == ["skipped", "answered", "open"]
    assert list(questions.standings("open", "leased")) == [2]
    after = questions.revision()
    questions.answer([Answer(1, 1.0, "ann")])
    questions.withdraw([1])
    assert questions.revision() == after


def test_a_question_is_found_by_its_id(questions):
    put(questions, 2)
    assert questions.question(1).left.episode.tolist() == [1]
    with pytest.raises(DataError, match="there is no question 2; 2 were put, 0 to 1"):
        questions.question(2)


def test_an_answered_question_is_put_once_more_with_its_sides_swapped(questions):
    put(questions, 2)
    questions.answer([Answer(1, 1.0, "ann")])
    first, again = questions.question(1), questions.put_repeat(1, session=3, policy_step=600)
    assert (again.id, again.repeat_of, again.session, again.policy_step) == (2, 1, 3, 600)
    np.testing.assert_array_equal(again.left.observations, first.right.observations)
    assert list(questions.standings()) == [0, 1]
    assert list(questions.standings("open", with_repeats=True)) == [0, 2]
    assert questions.question(2).repeat_of == 1
    questions.withdraw([2])
    assert questions.standings(with_repeats=True)[2].state == "withdrawn"
    with pytest.raises(DataError, match="question 0 is open; an answered one can be repeated"):
        questions.put_repeat(0, session=3, policy_step=600)
