"""A teacher in its own time who breaks a clause of the contract is found out, in one line."""

from typing import Any

import numpy as np
import pytest

from prefrl.errors import ContractError
from prefrl.feedback.protocols import Answer
from prefrl.testing import async_teachers, check_teacher
from tests.testing.broken import broken


class Fair:
    """Answers half of what it was asked by the next time, the newest first, and the rest never."""

    def __init__(self) -> None:
        self.waiting: dict[int, float] = {}

    def ask(self, questions):
        for question in questions:
            gap = question.left.true_returns[0] - question.right.true_returns[0]
            self.waiting[question.id] = float(gap > 0)

    def collect(self):
        ready = sorted(self.waiting, reverse=True)[: len(self.waiting) // 2]
        return [Answer(number, self.waiting.pop(number), annotator="Ann") for number in ready]


class Clock:
    """Time that passes only where somebody waits."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


CLOCK = Clock()
BROKEN: dict[str, tuple[str, type[Any]]] = {}
breaks = broken(BROKEN)


@breaks("asked 0 questions, raised IndexError")
class SomethingMustBeAsked(Fair):
    def ask(self, questions):
        assert questions[0].session >= 0
        super().ask(questions)


@breaks("in `collect` after 0 questions, raised KeyError")
class SomethingMustHaveBeenAsked(Fair):
    def collect(self):
        self.waiting.pop(min(self.waiting, default=-1))
        return super().collect()


@breaks("asked 20 questions, raised ValueError: question 7 is known")
class RefusesWhatItKnows(Fair):
    known: Any = ()

    def ask(self, questions):
        for question in questions:
            if question.id in self.known:
                raise ValueError(f"question {question.id} is known")
        self.known = {*self.known, *(question.id for question in questions)}


@breaks("answered question 1026, which it was not asked")
class NumbersAnew(Fair):
    def collect(self):
        return [Answer(1000 + answer.question, answer.p_left) for answer in super().collect()]


@breaks("`collect` returned a list of tuple; expected a list of `Answer`")
class AnswersInPairs(Fair):
    def collect(self):
        return [(number, 1.0) for number in self.waiting]


@breaks("`collect` returned a NoneType; expected a list of `Answer`")
class NothingIsNone(Fair):
    def collect(self):
        return super().collect() or None


@breaks("`ask` took")
class WaitsForItsPeople(Fair):
    def ask(self, questions):
        CLOCK.now_s += 3.0
        super().ask(questions)


@breaks("`collect` took")
class WaitsForAnAnswer(Fair):
    def collect(self):
        CLOCK.now_s += 3.0
        return super().collect()


@breaks("in `ask`, writes to questions[0].left.observations, which is not its own")
class Writes(Fair):
    def ask(self, questions):
        for question in questions:
            question.left.observations[:] = 0


@breaks("in `ask`, draws from the global generator['numpy']")
class TossesACoin(Fair):
    def ask(self, questions):
        self.waiting = {q.id: float(np.random.randint(2)) for q in questions}  # noqa: NPY002


@breaks("`observe` returned a NoneType; expected a dict")
class ReportsNothing(Fair):
    def observe(self, pool):
        return None


@pytest.mark.parametrize(("said", "teacher"), BROKEN.values(), ids=BROKEN)
def test_a_broken_teacher_is_found_out(
    said: str, teacher: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_teachers, "time", CLOCK)
    with pytest.raises(ContractError) as caught:
        check_teacher(teacher)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fair_teacher_passes_and_one_who_never_answers_does_too() -> None:
    class Silent(Fair):
        def collect(self):
            return []

    check_teacher(Fair)
    check_teacher(Silent)
