"""Three annotators in whichever order, and over kills: every kind of store keeps the rules."""

import math
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
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

from prefrl.feedback.protocols import Answer
from prefrl.session.question_store import Closed, LeasedByOther
from tests.contracts.annotated_stores import PEOPLE, Kind, leased, repeat, said
from tests.session.stores import Clock, ids, put

SKIP = math.nan
# So that the same questions meet several people.
FEW = 4


@dataclass
class Known:
    """All that is known of a question, by the rules in words."""

    wanted: int = 1
    repeat_of: int | None = None
    said: dict[str, float] = field(default_factory=dict)
    is_withdrawn: bool = False
    leases: dict[str, float] = field(default_factory=dict)

    @property
    def num_told(self) -> int:
        return sum(not math.isnan(p_left) for p_left in self.said.values())

    @property
    def has_ended(self) -> bool:
        num_skips = len(self.said) - self.num_told
        return (
            self.is_withdrawn
            or self.num_told >= self.wanted
            or num_skips >= 2
            or (num_skips > 0 and len(self.said) == len(PEOPLE))
            or (num_skips > 0 and self.repeat_of is not None)
        )

    def holders(self, now_s: float) -> set[str]:
        return {who for who, until_s in self.leases.items() if until_s > now_s}

    def has_room(self, who: str, now_s: float) -> bool:
        return self.num_told + len(self.holders(now_s) - {who}) < self.wanted

    def state(self, now_s: float) -> str:
        if not self.has_ended:
            return "leased" if self.holders(now_s) else "open"
        if self.is_withdrawn:
            return "withdrawn"
        return "answered" if self.num_told else "skipped"


class Life(RuleBasedStateMachine):
    """A store does what a dict of `Known` does, over kills, with three people."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    @initialize()
    def begin(self):
        self.clock = Clock()
        self.root = Path(tempfile.mkdtemp())
        self.store = self.kind.make(self.root, self.clock, len(PEOPLE))
        self.model: dict[int, Known] = {}

    def teardown(self):
        if hasattr(self.store, "close"):
            self.store.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def state(self, number):
        return self.model[number].state(self.clock.now_s)

    @property
    def first_ones(self):
        return [number for number, known in self.model.items() if known.repeat_of is None]

    def is_for(self, who, number):
        first = self.model[number].repeat_of
        return first is None or not math.isnan(self.model[first].said.get(who, SKIP))

    def may_answer(self, who, number):
        known = self.model[number]
        return not known.has_ended and who not in known.said and self.is_for(who, number)

    def may_lease(self, who, number):
        known, now_s = self.model[number], self.clock.now_s
        is_held = who in known.holders(now_s)
        return self.may_answer(who, number) and not is_held and known.has_room(who, now_s)

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
        free = [number for number in self.model if self.may_lease(who, number)][:num]
        assert leased(self.store, who, num, lasts_s) == free
        for number in free:
            self.model[number].leases[who] = self.clock.now_s + lasts_s

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
        if not self.may_answer(who, number):
            return False
        self.model[number].said[who] = p_left
        self.model[number].leases.pop(who, None)
        return True

    @precondition(lambda self: self.model)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def undo(self, data, who):
        told = [number for number, known in self.model.items() if who in known.said]
        number = data.draw(st.sampled_from(told or sorted(self.model)))
        known = self.model[number]
        if who not in known.said:
            assert not self.store.undo(who, number)
            return
        is_skip = math.isnan(known.said[who])
        if known.is_withdrawn or (
            is_skip and self.is_for(who, number) and known.num_told >= known.wanted
        ):
            with pytest.raises(Closed):
                self.store.undo(who, number)
            return
        if is_skip and not (self.is_for(who, number) and known.has_room(who, self.clock.now_s)):
            with pytest.raises(LeasedByOther):
                self.store.undo(who, number)
            return
        assert self.store.undo(who, number)
        del known.said[who]
        known.leases[who] = self.clock.now_s + 60
        for one in self.model.values():
            if one.repeat_of == number:
                one.leases.pop(who, None)

    @precondition(lambda self: len(self.model) == FEW)
    @rule(data=st.data(), also_leased=st.booleans())
    def withdraw(self, data, also_leased):
        some = data.draw(st.lists(st.sampled_from(sorted(self.model)), max_size=2, unique=True))
        states = ("open", "leased") if also_leased else ("open",)
        ended = [number for number in some if self.state(number) in states]
        without = [number for number in ended if not self.model[number].num_told]
        assert self.store.withdraw(some, also_leased=also_leased) == without
        for number in ended:
            known = self.model[number]
            known.is_withdrawn = number in without
            known.wanted = known.num_told or known.wanted
            known.leases.clear()

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
        for number, known in self.model.items():
            found = {who: str(p_left) for who, p_left in said(self.store, number).items()}
            assert found == {who: str(p_left) for who, p_left in known.said.items()}
        assert ids(self.store.entries("open", "leased")) == [
            number for number in self.first_ones if states[number] in ("open", "leased")
        ]


def test_a_store_does_what_its_rules_say_whatever_comes_in_whichever_order(kind, request):
    # Most of the time of a database goes into asking it.
    num = {"memory": 60, "file": 40, "sqlite": 15, "postgres": 8}
    make: Any = lambda: Life(kind)  # noqa: E731 - called as a class is
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=num[request.node.callspec.params["kind"]],
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
