"""The store is the truth: a dataset says what it says, whatever happened, in whichever order."""

import contextlib
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Answer
from prefrl.session.question_files import FileQuestions
from prefrl.session.question_store import Closed, LeasedByOther
from prefrl.session.questions import MemoryQuestions
from tests.session.people import PEOPLE, SKIP, asker_of, rows_of
from tests.session.stores import Clock


def told(num, **options):
    """Somebody who asks, and has got `num` answers of ann's."""
    store = MemoryQuestions()
    asker = asker_of(store, **options)
    asker.ask(num, session=1)
    store.answer([Answer(number, 1.0, "ann") for number in range(num)])
    assert asker.collect(1) == num
    return asker, store


def test_an_answer_that_is_replaced_is_replaced_in_its_row():
    asker, store = told(20)
    before = asker.dataset.is_validation.copy()
    store.undo("ann", 7)
    store.answer([Answer(7, 0.0, "ann")])
    assert asker.collect(2) == 1
    assert asker.dataset.p_left.tolist() == [1.0] * 7 + [0.0] + [1.0] * 12
    assert asker.dataset.question.tolist() == list(range(20))
    np.testing.assert_array_equal(asker.dataset.is_validation, before)
    assert set(asker.dataset.session) == {1}


def test_what_kind_of_teacher_has_said_it_stands_in_its_row(tmp_path):
    store = MemoryQuestions()
    asker = asker_of(store, path=tmp_path / "comparisons.npz")
    asker.ask(3, session=1)
    store.answer([Answer(0, 1.0, "ann", source="human"), Answer(1, 0.0, source="simulated")])
    store.answer([Answer(2, 1.0, "ann")])
    asker.collect(1)
    store.undo("ann", 2)
    store.answer([Answer(2, 0.0, "ann", source="human")])
    asker.collect(1)
    saved = PreferenceDataset.load(tmp_path / "comparisons.npz")
    assert saved.source.tolist() == ["human", "simulated", "human"]


def test_an_answer_that_is_taken_back_leaves_no_row_and_its_question_counts_as_open():
    asker, store = told(20)
    before = asker.dataset.is_validation.copy()
    left = np.concatenate([batch.observations for batch in asker.dataset.left])
    store.undo("ann", 7)
    assert asker.num_open == 0
    assert asker.collect(2) == 1
    assert asker.dataset.question.tolist() == [*range(7), *range(8, 20)]
    np.testing.assert_array_equal(asker.dataset.is_validation, np.delete(before, 7))
    now = np.concatenate([batch.observations for batch in asker.dataset.left])
    np.testing.assert_array_equal(now, np.delete(left, 7, axis=0))
    assert (asker.num_open, asker.num_answered(2)) == (1, 19)
    asker.ask_missing(20, session=2)
    assert len(store.entries()) == 20, "nothing is asked in its place"


def test_the_last_answer_can_be_taken_back_and_the_file_says_so(tmp_path):
    path = tmp_path / "comparisons.npz"
    asker, store = told(1, path=path)
    store.undo("ann", 0)
    asker.collect(1)
    assert len(PreferenceDataset.load(path)) == 0
    store.answer([Answer(0, 0.5, "ann")])
    again = asker_of(store, path=path)
    again.collect(1)
    assert rows_of(PreferenceDataset.load(path)) == {(0, "ann"): "0.5"}


def test_who_has_another_name_by_now_has_the_same_row():
    asker, store = told(20)
    before = asker.dataset.is_validation.copy()
    renamed = [Answer(number, 1.0, "somebody") for number in range(20)]
    store.answers = lambda: renamed
    store._revision += 1
    assert asker.collect(2) == 20
    assert set(asker.dataset.annotator) == {"somebody"}
    np.testing.assert_array_equal(asker.dataset.is_validation, before)


def test_answers_of_several_annotators_to_a_question_are_a_row_each_and_cost_one():
    store = MemoryQuestions(overlap=1.0, num_annotators=3)
    asker = asker_of(store)
    asker.ask(20, session=0)
    store.answer([Answer(number, 1.0, "ann") for number in range(20)])
    asker.collect(0)
    assert (asker.num_answered(0), asker.num_open) == (20, 0), "the second ones cost nothing"
    store.answer([Answer(number, 0.0, "bob") for number in range(10)])
    asker.collect(0)
    dataset = asker.dataset
    assert (len(dataset), dataset.num_answers, dataset.num_answered) == (30, 30, 20)
    assert asker.num_answered(0) == 20
    for number in range(10):
        assert len(set(dataset.is_validation[dataset.question == number])) == 1, "on one side"
    assert 0 < dataset.is_validation.sum() < 30


def test_who_answers_after_a_skip_is_on_the_side_of_the_others():
    store = MemoryQuestions(overlap=1.0, num_annotators=3)
    asker = asker_of(store)
    asker.ask(20, session=0)
    store.answer([Answer(number, SKIP, "ann") for number in range(20)])
    store.answer([Answer(number, 1.0, "bob") for number in range(20)])
    asker.collect(0)
    assert asker.dataset.is_validation.sum() == 6
    for number in range(20):
        store.undo("ann", number)
        store.answer([Answer(number, 0.0, "ann")])
    asker.collect(0)
    dataset = asker.dataset
    assert dataset.is_validation.sum() == 12
    held_out = set(dataset.question[dataset.is_validation])
    assert not held_out & set(dataset.question[~dataset.is_validation])


def test_rows_of_another_teacher_stay_as_they_are_and_count():
    asker, _ = told(20)
    store = MemoryQuestions(first_id=20)
    other = asker_of(store)
    other.dataset = asker.dataset
    other.ask(25, session=2)
    assert other.num_open == 5
    assert len(asker.dataset) == 20
    store.answer([Answer(number, 0.0, "bob") for number in range(20, 25)])
    other.collect(2)
    assert (len(asker.dataset), other.num_answered(2)) == (25, 25)


def test_a_look_at_a_store_in_which_nothing_changed_reads_nothing_but_its_revision():
    asker, store = told(20)

    def must_not_be_read(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was read")

    for name in ("standings", "answers", "entries", "question"):
        setattr(store, name, must_not_be_read)
    assert asker.collect(2) == 0
    assert (asker.num_open, asker.num_answered(2)) == (0, 20)


@pytest.mark.parametrize(
    "look", [lambda asker: asker.withdraw_older(1), lambda asker: asker.num_open]
)
def test_answers_that_were_given_before_any_other_look_at_the_store_are_in_the_dataset(look):
    asker, store = told(20)
    store.undo("ann", 7)
    store.answer([Answer(7, 0.0, "ann")])
    look(asker)
    assert asker.collect(2) == 1
    again = asker_of(store)
    look(again)
    assert again.collect(2) == 20
    assert again.dataset.p_left[again.dataset.question == 7] == 0.0


class Interleaved(RuleBasedStateMachine):
    """Everybody does as they like; after each look the dataset is what was said last."""

    is_on_disk = False

    @initialize()
    def begin(self):
        self.root = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.store = self.opened()
        self.session, self.total = 0, 0
        self.said: dict[tuple[int, str], float] = {}
        self.start()

    def opened(self) -> Any:
        options: dict[str, Any] = {"clock": self.clock, "overlap": 0.4, "num_annotators": 3}
        if self.is_on_disk:
            return FileQuestions(**options, folder=self.root / "questions")
        return MemoryQuestions(**options)

    def start(self):
        path = self.root / "comparisons.npz"
        self.asker = asker_of(
            self.store, path=path, open_ahead=5, repeat_share=0.3, audit_share=0.2
        )
        self.known: list[tuple[tuple[int, str], bool]] = []

    def teardown(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def numbers(self):
        return sorted(self.store.standings(with_repeats=True))

    def drawn(self, data):
        pending = sorted(self.store.standings("open", "leased", with_repeats=True))
        return data.draw(st.sampled_from(pending or self.numbers()))

    def note(self, news):
        self.said |= {(one.question, one.annotator): one.p_left for one in news}

    @rule(num=st.integers(1, 6))
    def ask(self, num):
        self.session, self.total = self.session + 1, self.total + num
        self.asker.ask(self.total, session=self.session, is_fitted=True)
        self.check()

    @precondition(lambda self: self.numbers())
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def lease(self, data, who):
        self.store.lease(who, data.draw(st.integers(0, 2)), duration_s=30)

    @precondition(lambda self: self.numbers())
    @rule(
        data=st.data(),
        given=st.lists(
            st.tuples(st.sampled_from(PEOPLE), st.sampled_from([0.0, 0.5, 1.0, SKIP])),
            min_size=1,
            max_size=3,
        ),
    )
    def answer(self, data, given):
        number = self.drawn(data)
        self.note(self.store.answer([Answer(number, p_left, who) for who, p_left in given]))

    @precondition(lambda self: self.numbers())
    @rule(data=st.data(), p_left=st.sampled_from([0.0, 1.0, SKIP]))
    def answer_by_mail(self, data, p_left):
        """Has the teacher itself bring an answer, which is recorded when it is looked for."""
        answer = Answer(self.drawn(data), p_left, "dan")
        teacher: Any = self.asker.teacher
        teacher.arrived.append(answer)
        before = len(self.store.answers())
        self.asker.collect(self.session)
        if len(self.store.answers()) > before:
            self.note([answer])
        self.check()

    @precondition(lambda self: self.said)
    @rule(data=st.data(), p_left=st.sampled_from([0.0, 1.0, SKIP, None]))
    def undo_or_replace(self, data, p_left):
        number, who = data.draw(st.sampled_from(sorted(self.said)))
        with contextlib.suppress(Closed, LeasedByOther):  # Then nothing has changed.
            assert self.store.undo(who, number)
            del self.said[number, who]
            if p_left is not None:
                self.note(self.store.answer([Answer(number, p_left, who)]))

    @precondition(lambda self: self.numbers())
    @rule(data=st.data())
    def withdraw(self, data):
        if data.draw(st.booleans()):
            self.asker.withdraw_older(self.session)
        else:
            self.store.withdraw([self.drawn(data)], also_leased=False)

    @rule()
    def wait(self):
        self.clock.now_s += 20

    @rule()
    def collect(self):
        self.asker.collect(self.session)
        self.check()

    @precondition(lambda self: self.is_on_disk)
    @rule(is_in_the_middle=st.booleans())
    def be_killed(self, is_in_the_middle):
        if is_in_the_middle:
            # The answers are in the store, and the dataset's file is never written.
            self.asker.path = None
            self.asker.collect(self.session)
        self.store = self.opened()
        self.start()
        self.asker.collect(self.session)
        self.check()

    def check(self):
        pending = set(self.store.standings("open", "leased"))
        told = {number for (number, _), p in self.said.items() if not math.isnan(p)}
        assert self.asker.num_open == len(pending - told)
        dataset = self.asker.dataset
        expected = {key: p for key, p in self.said.items() if key[0] in self.store.standings()}
        assert rows_of(dataset) == {key: str(p) for key, p in expected.items()}
        answered = {number for (number, _), p in expected.items() if not math.isnan(p)}
        assert dataset.num_answered == self.asker.num_answered(self.session) == len(answered)
        rows = list(zip(rows_of(dataset), dataset.is_validation.tolist(), strict=True))
        kept = [row for row in rows if row[0] in dict(self.known)]
        assert kept == [row for row in self.known if row[0] in dict(rows)], "order and split stay"
        self.known = rows
        for number in set(dataset.question.tolist()):
            is_told = ~np.isnan(dataset.p_left) & (dataset.question == number)
            assert len(set(dataset.is_validation[is_told])) <= 1

    @invariant()
    def nothing_is_lost_or_doubled(self):
        assert len(self.store.answers()) == len(self.said)


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_whatever_is_done_in_whichever_order_a_dataset_is_an_export_of_its_store(is_on_disk):
    life: Any = type("Life", (Interleaved,), {"is_on_disk": is_on_disk})
    machine = life.TestCase
    machine.settings = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    machine("runTest").debug()
