"""A teacher or strategy that does wrong is named in one line, and what was kept stays as it was."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl import Parts
from prefrl.errors import ArgumentError, ContractError, DataError, PrefrlError
from prefrl.feedback.protocols import Answer
from prefrl.queries import make_strategy
from prefrl.seeding import Streams
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource
from prefrl.testing import made_up
from prefrl.testing.made_up import LinearPredictor

NUM = 6


def asker(teacher: Any, strategy: Any = None) -> Asker:
    segments = made_up.segments(30, rng=np.random.default_rng(0))
    chooser = Chooser(
        source=FixedSource(segments, size=30),
        strategy=strategy or make_strategy("disagreement"),
        predictor=LinearPredictor(),
        streams=Streams(0),
    )
    return Asker(chooser, teacher)


def saying(answers: Any) -> Any:
    class Teacher:
        def answer(self, left: Any, right: Any, *, rng: Any) -> Any:
            if isinstance(answers, Exception):
                raise answers
            # What was skipped is asked for again, about other segments.
            return answers if len(left) == NUM else np.zeros(len(left))

    return Teacher()


right_ones = st.lists(
    st.one_of(st.sampled_from([0.0, 0.5, 1.0, np.nan]), st.floats(0, 1)), min_size=NUM, max_size=NUM
)
anything = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.floats(),
    st.lists(st.one_of(st.floats(), st.text(), st.none(), st.lists(st.floats())), max_size=9),
    st.lists(st.floats(), min_size=NUM, max_size=NUM).map(np.array),
    st.dictionaries(st.text(), st.floats()),
    st.sampled_from([OSError("no disk"), KeyError("a"), ValueError(), ZeroDivisionError("0\n1")]),
    st.builds(lambda n: np.zeros((NUM, n)), st.integers(0, 3)),
    st.builds(object),
)


def is_right(answers: Any) -> bool:
    try:
        array = np.asarray(answers)
    except ValueError:
        return False
    if array.dtype.kind not in "fiub" or array.shape != (NUM,):
        return False
    return bool((np.isnan(array) | ((array >= 0) & (array <= 1))).all())


@given(answers=st.one_of(right_ones, anything))
def test_whatever_a_teacher_answers_is_kept_or_refused_in_one_line_with_its_name(answers):
    one = asker(saying(answers))
    if is_right(answers):
        one.ask(NUM, session=0)
        assert len(one.dataset) >= NUM
        return
    with pytest.raises(ContractError, match=r"answer of Teacher (returned|raised) ") as refused:
        one.ask(NUM, session=0)
    assert "\n" not in str(refused.value)
    assert len(one.dataset) == 0


@given(chosen=anything)
def test_whatever_a_strategy_chooses_is_put_or_refused_in_one_line(chosen):
    class Strategy:
        def select(self, pool: Any, num_queries: int, predictor: Any, *, rng: Any) -> Any:
            if isinstance(chosen, Exception):
                raise chosen
            return chosen

    with pytest.raises(PrefrlError, match="query strategy") as refused:
        asker(saying(np.zeros(NUM)), Strategy()).ask(NUM, session=0, is_fitted=True)
    assert isinstance(refused.value, (ContractError, DataError))
    assert "\n" not in str(refused.value)


class TakesItsTime:
    questions: Any = ()

    def ask(self, questions: Any) -> None:
        self.questions = list(questions)

    def collect(self) -> Any:
        return [Answer(question.id, 1.0) for question in self.questions]


@pytest.mark.parametrize("method", ["ask", "collect", "observe"])
def test_a_fault_of_the_system_in_a_teacher_is_told_as_the_teachers(method):
    teacher: Any = TakesItsTime()

    def fails(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    setattr(teacher, method, fails)
    said = f"{method} of TakesItsTime raised OSError: .*No space left on device"
    with pytest.raises(ContractError, match=said):
        asker(teacher).ask(NUM, session=0)


class Scribbler:
    """Writes into whatever it is shown."""

    def observe(self, pool: Any) -> dict[str, float]:
        pool.observations[:] = 7
        return {}

    def _scribble(self, *sides: Any) -> None:
        for side in sides:
            side.observations[:] = 7
            side.actions[:] = 7
            side.true_rewards[:] = 7

    def answer(self, left: Any, right: Any, *, rng: Any) -> Any:
        self._scribble(left, right)
        return np.zeros(len(left))


class SlowScribbler(Scribbler, TakesItsTime):
    answer: Any = None

    def ask(self, questions: Any) -> None:
        super().ask(questions)
        for question in questions:
            self._scribble(question.left, question.right)


@pytest.mark.parametrize("teacher", [Scribbler, SlowScribbler])
def test_a_teacher_that_writes_into_segments_changes_nothing_that_is_kept(teacher):
    one = asker(teacher())
    one.ask(NUM, session=0)
    one.collect(0)
    assert len(one.dataset) == NUM
    for batch in (*one.dataset.left, *one.dataset.right):
        assert not (batch.observations == 7).any()
        assert not (batch.true_rewards == 7).any()
    chooser: Any = one.chooser
    source = chooser.source
    assert not (source.segments.observations == 7).any()


def no_argument(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"teacher": 5}, "teacher is an int; expected an object with a method answer"),
        ({"teacher": Scribbler}, "teacher is the class Scribbler"),
        ({"teacher": "oracle"}, r"teacher is a str \('oracle'\)"),
        ({"teacher": type("Half", (), {"ask": no_argument})()}, "a method ask and no collect"),
        ({"teacher": type("Half", (), {"collect": no_argument})()}, "a method collect and no ask"),
        (
            {"teacher": type("Odd", (), {"ask": no_argument, "collect": no_argument})()},
            "ask of teacher Odd takes .*: .*; expected ask",
        ),
        ({"strategy": "entropy"}, "a strategy's name goes into RunConfig"),
        ({"strategy": 5}, "strategy is an int; expected an object with a method select"),
        ({"make_env": 5}, "make_env is an int"),
        ({"callbacks": 5}, "callbacks is an int; expected a BaseCallback, a list"),
    ],
)
def test_what_cannot_be_a_part_is_refused_when_it_is_handed_in(part, said):
    with pytest.raises(ArgumentError, match=said):
        Parts(**part)


def test_a_function_is_a_strategy():
    def first_ones(pool: Any, num_queries: int, predictor: Any, *, rng: Any) -> Any:
        return np.stack([np.arange(num_queries), np.arange(num_queries) + 1], axis=1)

    strategy: Any = Parts(strategy=first_ones).strategy  # type: ignore[arg-type]
    one = asker(saying(np.zeros(NUM)), strategy)
    one.ask(NUM, session=0, is_fitted=True)
    assert len(one.dataset) == NUM
