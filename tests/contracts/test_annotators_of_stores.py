"""Stores with several annotators: overlap, skips, answers taken back, repeats; and over kills."""

import math
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.session.question_files import FileQuestions
from prefrl.session.questions import MemoryQuestions
from tests.session.stores import Clock, ids, put, states

SKIP = math.nan
PEOPLE = ("ann", "bob", "cyd")
# So that the same questions meet several people.
FEW = 4


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Args:
        make: makes an empty one in a folder, by a clock, for so many of `PEOPLE`; half of its
            questions want two answers, the second one, the fourth, and so on.
        reopened: opens one again, as another process does after a kill.
    """

    make: Callable[[Path, Clock, int], Any]
    reopened: Callable[[Any], Any]


STORES = {
    "memory": Kind(
        lambda folder, clock, num: MemoryQuestions(clock=clock, overlap=0.5, num_annotators=num),
        lambda store: store,
    ),
    "file": Kind(
        lambda folder, clock, num: FileQuestions(
            clock=clock, overlap=0.5, num_annotators=num, folder=folder / "questions"
        ),
        lambda store: FileQuestions(
            clock=store.clock,
            overlap=store.overlap,
            num_annotators=store.num_annotators,
            folder=store.folder,
        ),
    ),
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=[*STORES, "sqlite", "postgres"])
def kind(request, memory_path):
    if request.param in STORES:
        yield STORES[request.param]
        return
    database, stores = memory_path / f"{uuid.uuid4()}.sqlite", []
    if request.param == "postgres":
        database = request.getfixturevalue("emptied_postgres")

    def opened(clock):
        stores.append(LabelStore(database, clock=clock))
        return stores[-1]

    def make(folder, clock, num):
        store = opened(clock)
        store.set_settings(StoreSettings(overlap=0.5, needs_clips=False))
        for name in PEOPLE[:num]:
            store.add_annotator(name)
            store.renew(name)  # They are there, so what they skip is kept for the others.
        return store

    yield Kind(make, lambda store: opened(store.clock))
    for store in stores:
        store.close()


@pytest.fixture
def questions(kind, tmp_path, clock):
    """A store of one annotator."""
    return kind.make(tmp_path, clock, 1)


@pytest.fixture
def shared(kind, tmp_path, clock):
    """A store of three annotators."""
    return kind.make(tmp_path, clock, 3)


def repeat(questions, number):
    """Puts a question again; returns the id that it has then."""
    return questions.put_repeat(number, session=3, policy_step=600).id


def leased(questions, holder, count=9, duration_s=60.0):
    return [question.id for question in questions.lease(holder, count, duration_s=duration_s)]


def said(questions, number):
    """Each annotator's answer to a question, by name."""
    return {one.annotator: one.p_left for one in questions.answers() if one.question == number}


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


class TestSeveralPeople:
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
    assert leased(opened, "bob") == [1, 4, 5, again]
    assert [question.id for question in put(opened, 1)] == [again + 1]


@dataclass
class Known:
    """All that is known of a question, by the rules in words."""

    wanted: int = 1
    repeat_of: int | None = None
    said: dict[str, float] = field(default_factory=dict)
    has_ended: bool = False
    is_withdrawn: bool = False
    holder: str = ""
    until_s: float = 0.0

    @property
    def num_told(self) -> int:
        return sum(not math.isnan(p_left) for p_left in self.said.values())

    def state(self, now_s: float) -> str:
        if not self.has_ended:
            return "leased" if self.holder and self.until_s > now_s else "open"
        if self.is_withdrawn:
            return "withdrawn"
        return "answered" if self.num_told else "skipped"


class Life(RuleBasedStateMachine):
    """A store does what a dict of `Known` does, over kills, with three people."""

    kind = STORES["memory"]

    @initialize()
    def begin(self):
        self.clock = Clock()
        self.root = Path(tempfile.mkdtemp())
        self.store = self.kind.make(self.root, self.clock, len(PEOPLE))
        self.model: dict[int, Known] = {}

    def teardown(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def state(self, number):
        return self.model[number].state(self.clock.now_s)

    @property
    def first_ones(self):
        return [number for number, known in self.model.items() if known.repeat_of is None]

    def may_answer(self, who, number):
        known = self.model[number]
        if who in known.said:
            return False
        first = known.repeat_of
        return first is None or not math.isnan(self.model[first].said.get(who, SKIP))

    @precondition(lambda self: len(self.model) < FEW)
    @rule(num=st.integers(0, 3))
    def put(self, num):
        made = put(self.store, num, session=len(self.model))
        first, before = len(self.model), len(self.first_ones)
        assert [question.id for question in made] == list(range(first, first + num))
        self.model |= {first + i: Known(1 + (before + i) % 2) for i in range(num)}

    @precondition(lambda self: 0 < len(self.model) < FEW)
    @rule(data=st.data())
    def put_again(self, data):
        number = data.draw(st.sampled_from(self.first_ones))
        if self.state(number) == "answered":
            assert repeat(self.store, number) == len(self.model)
            self.model[len(self.model)] = Known(repeat_of=number)

    @rule(who=st.sampled_from(PEOPLE), num=st.integers(0, 3), lasts_s=st.sampled_from([0.0, 10.0]))
    def lease(self, who, num, lasts_s):
        free = [n for n in self.model if self.state(n) == "open" and self.may_answer(who, n)]
        assert leased(self.store, who, num, lasts_s) == free[:num]
        for number in free[:num]:
            self.model[number].holder = who
            self.model[number].until_s = self.clock.now_s + lasts_s

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(),
        given=st.lists(
            st.tuples(st.sampled_from(PEOPLE), st.sampled_from([0.0, 0.5, SKIP, SKIP])),
            min_size=1,
            max_size=3,
        ),
    )
    def answer(self, data, given):
        pending = [number for number, known in self.model.items() if not known.has_ended]
        number = data.draw(st.sampled_from(pending or sorted(self.model)))
        news = self.store.answer([Answer(number, p_left, who) for who, p_left in given])
        taken = [(who, p_left) for who, p_left in given if self.take(number, who, p_left)]
        assert str([(one.annotator, one.p_left) for one in news]) == str(taken)

    def take(self, number, who, p_left):
        """Answers a question of the model; returns whether that was news."""
        known = self.model[number]
        if known.has_ended or not self.may_answer(who, number):
            return False
        known.said[who] = p_left
        num_skips = len(known.said) - known.num_told
        known.has_ended = (
            known.num_told >= known.wanted
            or num_skips >= 2
            or (num_skips and len(known.said) == len(PEOPLE))
            or known.repeat_of is not None
        )
        if known.holder == who:
            known.until_s = 0.0
        return True

    @precondition(lambda self: self.model)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def undo(self, data, who):
        number = data.draw(st.sampled_from(sorted(self.model)))
        known = self.model[number]
        is_leased = self.state(number) == "leased" and known.holder != who
        is_there = who in known.said and not known.is_withdrawn
        assert self.store.undo(who, number) == is_there
        if is_there:
            del known.said[who]
            known.has_ended = False
            if not is_leased:
                known.holder, known.until_s = who, self.clock.now_s + 60

    @precondition(lambda self: len(self.model) == FEW)
    @rule(data=st.data(), also_leased=st.booleans())
    def withdraw(self, data, also_leased):
        some = data.draw(st.lists(st.sampled_from(sorted(self.model)), max_size=2, unique=True))
        states = ("open", "leased") if also_leased else ("open",)
        ended = [number for number in some if self.state(number) in states]
        without = [number for number in ended if not self.model[number].num_told]
        assert self.store.withdraw(some, also_leased=also_leased) == without
        for number in ended:
            self.model[number].has_ended = True
            self.model[number].is_withdrawn = number in without

    @rule()
    def wait(self):
        self.clock.now_s += 5

    @rule()
    def be_killed(self):
        self.store = self.kind.reopened(self.store)

    @invariant()
    def they_agree(self):
        standings = self.store.standings(with_repeats=True)
        states = {number: self.state(number) for number in self.model}
        assert {number: one.state for number, one in standings.items()} == states
        assert list(self.store.standings()) == self.first_ones
        told = {number: str(known.said) for number, known in self.model.items()}
        assert {number: str(said(self.store, number)) for number in self.model} == told
        assert ids(self.store.entries("open", "leased")) == [
            number for number in self.first_ones if states[number] in ("open", "leased")
        ]


@pytest.mark.parametrize("name", STORES)
def test_a_store_does_what_its_rules_say_whatever_comes_in_whichever_order(name):
    life: Any = type("Life", (Life,), {"kind": STORES[name]})
    machine = life.TestCase
    machine.settings = settings(
        max_examples=50,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine("runTest").debug()
