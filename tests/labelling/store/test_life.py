"""Whatever people do, in whichever order, and wherever they are cut off: the rules hold."""

import math
import shutil
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, select

from prefrl.labelling.errors import Closed, LeasedByOther
from prefrl.labelling.rows import P_LEFT, StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.schema import leases, questions
from tests.postgres import emptied
from tests.session.stores import Clock, put

PEOPLE = ("ann", "bob", "cyd")
BUDGET = 1
LEASE_S = 60.0
VALUE: Any = P_LEFT


class Killed(BaseException):
    """The process ends here."""


class Life(RuleBasedStateMachine):
    """A store next to what was acknowledged, by question and annotator."""

    def __init__(self, database):
        super().__init__()
        self.database = database()
        self.clock = Clock()
        self.store = LabelStore(self.database, clock=self.clock)
        self.limits = StoreSettings()
        self.said: dict[tuple[int, str], str] = {}
        self.withdrawn: set[int] = set()
        self.first_of: dict[int, int | None] = {}
        self.revision = self.store.revision()

    def teardown(self):
        self.store.close()

    @initialize(overlap=st.sampled_from([0.0, 0.5, 1.0]), budget=st.sampled_from([None, BUDGET]))
    def begin(self, overlap, budget):
        rules = StoreSettings(budget=budget, overlap=overlap, lease_s=LEASE_S, needs_clips=False)
        self.store.set_settings(rules)
        self.limits = rules
        for name in PEOPLE:
            self.store.add_annotator(name)
        self.put(2)

    # ---- what is known beside the store -------------------------------------------------------

    def votes(self, number):
        return {who for (n, who), said in self.said.items() if n == number and said != "skip"}

    def skips(self, number):
        return {who for (n, who), said in self.said.items() if n == number and said == "skip"}

    def spent(self):
        return sum(bool(self.votes(n)) for n, first in self.first_of.items() if first is None)

    def held(self):
        """Lists the leases that have not ended, of questions that are pending."""
        with self.store._database.reading() as connection:
            statement = (
                select(leases.c.question, leases.c.annotator)
                .join(questions, questions.c.id == leases.c.question)
                .where(leases.c.until_s > self.clock.now_s, questions.c.state == "open")
            )
            return {(row.question, row.annotator) for row in connection.execute(statement)}

    def wanted(self):
        with self.store._database.reading() as connection:
            rows = connection.execute(select(questions.c.id, questions.c.wanted))
            return {row.id: row.wanted for row in rows}

    # ---- what people do -----------------------------------------------------------------------

    @rule(num=st.integers(1, 3))
    @precondition(lambda self: len(self.first_of) < 4)
    def put(self, num):
        made = [question.id for question in put(self.store, num)]
        first = max(self.first_of, default=-1) + 1
        assert made == list(range(first, first + num))
        self.first_of |= dict.fromkeys(made)

    @rule(data=st.data())
    @precondition(lambda self: self.said and len(self.first_of) < 6)
    def repeat(self, data):
        answered = [n for n, one in self.store.standings("answered").items()]
        if answered:
            number = data.draw(st.sampled_from(answered))
            made = self.store.put_repeat(number, session=3, policy_step=0)
            self.first_of[made.id] = number

    @rule(who=st.sampled_from(PEOPLE), is_ahead=st.booleans())
    def ask(self, who, is_ahead):
        before = {n for n, holder in self.held() if holder == who}
        after = min(before) if before and is_ahead else None
        leased = self.store.next_question(who, after=after)
        held = self.held()
        own = {n for n, holder in held if holder == who}
        assert len(own) <= max(2, len(before))
        if leased is None:
            assert own <= {after}
            return
        number = leased.question
        assert number != after
        assert number in own
        assert (number, who) not in self.said
        first = self.first_of[number]
        assert first is None or who in self.votes(first)
        if number not in before:
            others = {holder for n, holder in held if n == number} - {who}
            assert len(self.votes(number)) + len(others) < self.wanted()[number]

    @rule(data=st.data(), who=st.sampled_from(PEOPLE), said=st.sampled_from(tuple(P_LEFT)))
    @precondition(lambda self: self.first_of)
    def give(self, data, who, said):
        number = data.draw(st.sampled_from(sorted(self.first_of)))
        self.try_to_give(self.store, who, number, said)

    def try_to_give(self, store, who, number, said):
        others = {holder for n, holder in self.held() if n == number} - {who}
        is_again = self.said.get((number, who)) == said
        try:
            store.give(who, number, said)
        except LeasedByOther:
            first = self.first_of[number]
            assert others or (first is not None and who not in self.votes(first))
            assert not is_again
        except Closed:
            is_over = number in self.withdrawn or len(self.votes(number)) >= self.wanted()[number]
            is_spent = self.limits.budget is not None and self.spent() >= self.limits.budget
            assert is_over or is_spent
            assert not is_again
        else:
            self.said[number, who] = said

    @rule(data=st.data())
    @precondition(lambda self: any(who in PEOPLE for _, who in self.said))
    def undo(self, data):
        said = [key for key in self.said if key[1] in PEOPLE]  # not of those who are gone
        number, who = data.draw(st.sampled_from(sorted(said)))
        try:
            assert self.store.undo(who, number)
        except (LeasedByOther, Closed):
            assert self.said[number, who] == "skip"
        else:
            del self.said[number, who]
            assert (number, who) in self.held()
            assert not self.store.undo(who, number), "there is nothing more to take back"

    @rule(data=st.data(), also_leased=st.booleans())
    @precondition(lambda self: len(self.first_of) > 3)
    def withdraw(self, data, also_leased):
        number = data.draw(st.sampled_from(sorted(self.first_of)))
        is_held = any(n == number for n, _ in self.held())
        ended = self.store.withdraw([number], also_leased=also_leased)
        assert not (ended and self.votes(number))
        assert not (ended and is_held and not also_leased)
        self.withdrawn.update(ended)

    @rule(with_answers=st.booleans())
    @precondition(lambda self: any(who == "cyd" for _, who in self.said))
    def revoke(self, with_answers):
        self.store.revoke("cyd", with_answers=with_answers)
        own = {key: said for key, said in self.said.items() if key[1] == "cyd"}
        for key in own:
            del self.said[key]
        if not with_answers:
            names = {one.annotator for one in self.store.answers()} - set(PEOPLE)
            known = {who for _, who in self.said}
            (alias,) = names - known
            self.said |= {(n, alias): said for (n, _), said in own.items()}
        self.store.add_annotator("cyd")

    @rule(after_s=st.sampled_from([5.0, LEASE_S, 700.0]))
    def wait(self, after_s):
        self.clock.now_s += after_s

    # ---- where they are cut off ---------------------------------------------------------------

    @rule()
    def reopen(self):
        self.store.close()
        self.store = LabelStore(self.database, clock=self.clock)

    @rule(
        data=st.data(),
        who=st.sampled_from(PEOPLE),
        said=st.sampled_from(("left", "skip")),
        at=st.integers(0, 12),
    )
    @precondition(lambda self: self.first_of)
    def be_killed_while_giving(self, data, who, said, at):
        number = data.draw(st.sampled_from(sorted(self.first_of)))
        dying = LabelStore(self.database, clock=self.clock)
        count = iter(range(100))

        def die(*_):
            if next(count) == at:
                raise Killed

        event.listen(dying._database.engine, "before_cursor_execute", die)
        event.listen(dying._database.engine, "commit", die)
        try:
            self.try_to_give(dying, who, number, said)
        except Killed:
            pass  # Nothing of it is there: that is what the invariants look at.
        finally:
            event.remove(dying._database.engine, "before_cursor_execute", die)
            event.remove(dying._database.engine, "commit", die)
            dying.close()

    # ---- what always holds --------------------------------------------------------------------

    @invariant()
    def no_answer_is_lost_and_none_is_there_twice(self):
        found = [(one.question, one.annotator) for one in self.store.answers()]
        assert len(found) == len(set(found))
        assert {(o.question, o.annotator): o.said for o in self.store.answers()} == self.said

    @invariant()
    def questions_stand_as_their_answers_say(self):
        wanted = self.wanted()
        for number, one in self.store.standings(with_repeats=True).items():
            votes, skips = self.votes(number), self.skips(number)
            assert len(votes) <= max(wanted[number], 1)
            assert (one.state == "withdrawn") == (number in self.withdrawn)
            if one.state == "answered":
                assert votes
                assert len(votes) == wanted[number] or skips
                mean = sum(VALUE[self.said[number, who]] for who in votes) / len(votes)
                assert one.answer is not None
                assert one.answer.p_left == pytest.approx(mean)
            elif one.state == "skipped":
                assert one.answer is not None
                assert math.isnan(one.answer.p_left)
                assert skips
                assert not votes
            elif one.state != "withdrawn":
                assert len(votes) < wanted[number]
                assert len(skips) < 2

    @invariant()
    def nobody_looks_at_what_others_look_at(self):
        wanted, held = self.wanted(), self.held()
        for number in {n for n, _ in held}:
            holders = {who for n, who in held if n == number}
            assert not holders & (self.votes(number) | self.skips(number))
            assert len(holders) + len(self.votes(number)) <= wanted[number]

    @invariant()
    def the_budget_is_kept_and_counted(self):
        counts = self.store.counts()
        assert counts.spent == self.spent()
        assert self.limits.budget is None or counts.spent <= self.limits.budget

    @invariant()
    def the_revision_never_falls(self):
        now = self.store.revision()
        assert now >= self.revision
        self.revision = now


def run(database, num):
    make: Any = lambda: Life(database)  # noqa: E731
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=num,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_rules_hold_on_sqlite(memory_path):
    empty = memory_path / "empty.sqlite"
    LabelStore(empty).close()
    run(lambda: shutil.copy(empty, memory_path / f"{uuid.uuid4()}.sqlite").absolute(), 15)


def test_the_rules_hold_on_postgresql(used_postgres):
    # Most of the time goes into emptying and asking it: the rules are those of SQLite.
    run(lambda: emptied(used_postgres), 6)
