"""People are asked a few questions at a time, some twice, and are told what is waited for."""

import contextlib
from typing import Any

import numpy as np
import pytest

from prefrl.config.pace import PaceConfig
from prefrl.feedback.protocols import Answer
from prefrl.session.questions import MemoryQuestions
from tests.session.people import asker_of
from tests.session.small_loop import BUDGET, SmallRun, killed_at
from tests.session.test_pacing import AtOnce, Delayed, assert_in_order, pairs_of, ready, started

AHEAD = 4


class Counted(Delayed):
    """Takes note of how many questions wait at once."""

    most_waiting = 0

    def ask(self, questions):
        super().ask(questions)
        new = [number for number, (*_, one) in self.waiting.items() if one.repeat_of is None]
        self.most_waiting = max(self.most_waiting, len(new))


@pytest.mark.parametrize("pace", ["sync", "answers", "steps"])
def test_no_more_are_open_than_were_asked_for_and_the_schedule_is_kept(tmp_path, pace):
    teacher = Counted(steps=500, looks=3)
    settings = PaceConfig(pace, open_ahead=AHEAD, min_first_answers=6)
    run = started(tmp_path, teacher, pace=settings).run()
    assert teacher.most_waiting == AHEAD
    assert_in_order(run)
    put = np.array([question.session for question in teacher.asked])
    if pace == "sync":
        assert run.dataset.num_answers == BUDGET
        assert [int((put == session).sum()) for session in (1, 2, 4)] == [12, 10, 8]
        assert run.said[0] == "waiting for 12 answers at step 2,000: 0 of 30 are there"
    for session, most in ((1, 12), (2, 22), (4, 30)):
        assert (put <= session).sum() <= most


def test_what_two_people_skip_is_one_question_and_the_patience_is_one_of_questions(monkeypatch):
    monkeypatch.setattr("prefrl.session.asker.MAX_QUERIES_PER_ANSWER", 2)
    store = MemoryQuestions(num_annotators=3)
    asker = asker_of(store)
    asker.ask(2, session=1)
    for first in (0, 2):
        for who in ("ann", "bob"):
            store.answer([Answer(number, np.nan, who) for number in (first, first + 1)])
        asker.collect(1)
        asker.ask_missing(2, session=1)
    assert len(store.entries("skipped")) == len(store.entries()) == 4
    assert len(asker.dataset) == 8
    assert (asker.dataset.num_asked, asker.dataset.num_skips) == (4, 4)


def test_a_skip_of_a_question_that_others_may_still_answer_is_counted_once(monkeypatch):
    monkeypatch.setattr("prefrl.session.asker.MAX_QUERIES_PER_ANSWER", 2)
    store = MemoryQuestions(num_annotators=3)
    asker = asker_of(store)
    asker.ask(2, session=1)
    store.answer([Answer(0, np.nan, "ann"), Answer(1, np.nan, "ann")])
    asker.collect(1)
    store.answer([Answer(0, np.nan, "bob"), Answer(1, np.nan, "bob")])
    asker.collect(1)
    asker.ask_missing(2, session=1)
    store.answer([Answer(2, np.nan, "ann"), Answer(3, 1.0, "ann")])
    asker.collect(1)
    asker.ask_missing(2, session=1)
    assert sorted(store.standings("open")) == [2]


def test_the_later_ones_are_chosen_when_the_first_ones_are_answered(tmp_path):
    settings = PaceConfig("answers", open_ahead=AHEAD)
    teacher = Counted(steps=500)
    started(tmp_path, teacher, pace=settings).run()
    steps = [question.policy_step for question in teacher.asked if question.session == 1]
    assert steps[:AHEAD] == [2_000] * AHEAD
    assert steps[-1] > 2_000


def test_what_nobody_has_answered_for_two_sessions_is_withdrawn_unless_somebody_looks_at_it(
    tmp_path,
):
    class Looked(Delayed):
        """Never answers; somebody looks at the first and at the second one."""

        def ask(self, questions):
            super().ask(questions)
            if questions[0].id == 0 and len(self.asked) == len(questions):
                run.questions.lease("bob", 1, duration_s=0.0)
                run.questions.lease("ann", 2, duration_s=600.0)

    settings = PaceConfig("steps", open_ahead=AHEAD, min_first_answers=30)
    teacher = Looked(steps=10**9)
    run = started(tmp_path, teacher, pace=settings)
    states: dict[int, Any] = {}
    begin = run.loop.pacer.begin

    def noted(phase, step):
        metrics = begin(phase, step)
        states[phase] = {n: one.state for n, one in run.questions.standings().items()}
        return metrics

    run.loop.pacer.begin = noted
    with pytest.raises(Exception, match="all 20,000 steps are taken"):
        run.loop.run()
    assert states[1] == dict.fromkeys(range(4), "open") | {0: "leased", 1: "leased"}
    assert set(states[2].values()) == {"open", "leased"}
    assert [states[4][number] for number in range(4)] == [
        *["leased"] * 2,
        *["withdrawn"] * 2,
    ], "of the first session, when the third one begins"
    assert len(states[4]) == 6, "others are asked in their place"


def test_what_is_waited_for_is_told_to_whoever_shows_it(tmp_path):
    run = started(tmp_path, Delayed(steps=10**9, looks=9), pace=PaceConfig("answers")).run()
    assert run.told[:2] == [
        "The agent waits for 12 answers.",
        "The agent learns from the answers; the next questions come right after.",
    ], "it waited at the step at which they come"
    assert "The next questions come at step 14,000." in run.told
    assert run.told[-2:] == ["All questions of this run are answered.", ""]
    assert all(one != other for one, other in zip(run.told, run.told[1:], strict=False))


def test_the_bar_says_that_the_agent_waits_and_for_how_many(tmp_path):
    doings = []

    def doing(*words, num_answers):
        doings.append((*words, num_answers))
        return contextlib.nullcontext()

    teacher = Delayed(looks=3)
    run = started(tmp_path, teacher, pace=PaceConfig("sync", open_ahead=AHEAD))
    run.loop.pacer.doing = doing
    run.run()
    assert doings[:2] == [("waiting", "for 12 answers", 0), ("waiting", "for 8 answers", 4)]


def test_nobody_who_stays_away_makes_a_run_end_early(tmp_path):
    teacher = Delayed(steps=10**9, looks=2_000)
    settings = PaceConfig("answers", open_ahead=AHEAD)
    run = started(tmp_path, teacher, pace=settings).run()
    assert run.dataset.num_answers == BUDGET
    assert_in_order(run)


class TestRepeats:
    def test_a_share_comes_back_later_with_sides_swapped_and_costs_nothing(self, tmp_path):
        teacher = Counted(steps=500, looks=3)
        run = started(
            tmp_path, teacher, pace=PaceConfig("sync"), queries={"repeat_share": 0.2}
        ).run()
        repeats = [question for question in teacher.asked if question.repeat_of is not None]
        # Of the 12 and 22 first answers, and of all 30.
        assert len(repeats) == 6
        by_id = {question.id: question for question in teacher.asked}
        for repeat in repeats:
            first = by_id[repeat.repeat_of]
            np.testing.assert_array_equal(repeat.left.observations, first.right.observations)
            np.testing.assert_array_equal(repeat.right.observations, first.left.observations)
            asked = [one.id for one in teacher.asked]
            assert asked.index(repeat.id) - asked.index(first.id) > 10
        assert len({repeat.repeat_of for repeat in repeats}) == 6
        assert run.dataset.num_answers == len(run.dataset) == BUDGET
        assert not {repeat.id for repeat in repeats} & set(run.dataset.question.tolist())
        stand = run.questions.standings(with_repeats=True)
        assert not {"open", "leased"} & {one.state for one in stand.values()}

    def test_they_are_the_same_after_a_kill_and_none_is_put_twice(self, tmp_path):
        options: dict[str, Any] = {"queries": {"repeat_share": 0.3}}
        killed = started(
            tmp_path, Delayed(steps=500, looks=3), agent_class=killed_at(13_000), **options
        ).run_until_killed()
        before = set(killed.questions.standings(with_repeats=True))
        teacher = Delayed(steps=500, looks=3)
        run = ready(killed.again(teacher), teacher).run()
        repeats = [
            run.questions.question(number).repeat_of
            for number in run.questions.standings(with_repeats=True)
        ]
        known = [number for number in repeats if number is not None]
        assert len(set(known)) == len(known) == 9
        assert before < set(run.questions.standings(with_repeats=True))
        assert run.dataset.num_answers == BUDGET

    def test_what_was_skipped_is_never_repeated(self):
        store = MemoryQuestions()
        asker = asker_of(store, repeat_share=1.0)
        asker.ask(40, session=0)
        store.answer([Answer(n, np.nan if n % 2 else 1.0, "ann") for n in range(40)])
        asker.collect(0)
        asker.ask_missing(40, session=0)
        stand = store.standings(with_repeats=True)
        repeated = [store.question(number).repeat_of for number in stand]
        assert {one for one in repeated if one is not None} == set(range(0, 20, 2))


class Unsorted(Delayed):
    """Answers as `AtOnce` does, each after some looks of its own, in any order, skips too."""

    def collect(self):
        self.num_looks += 1
        ready = [n for n in self.waiting if (n * 7 + self.num_looks) % 5 == 0]
        found = []
        for number in ready:
            *_, question = self.waiting.pop(number)
            p_left = SkipsSome().answer(question.left, question.right, rng=None)[0]
            found.append(Answer(number, p_left, "ann"))
        return found[::-1]


class SkipsSome(AtOnce):
    def answer(self, left, right, *, rng):
        p_left = super().answer(left, right, rng=rng)
        p_left[left.start % 5 == 3] = np.nan
        return p_left


def test_taken_as_a_whole_a_run_ends_as_one_whose_teacher_answers_at_once(tmp_path):
    folders = [tmp_path / name for name in ("at_once", "late")]
    for folder in folders:
        folder.mkdir()
    at_once = SmallRun(folders[0], SkipsSome(), audit_share=0.2).run()
    pace = PaceConfig("sync", sync_feedback=True)
    queries = {"repeat_share": 0.2}
    late = started(folders[1], Unsorted(), pace=pace, audit_share=0.2, queries=queries).run()
    assert late.agent.diary == at_once.agent.diary
    assert pairs_of(late.dataset) == pairs_of(at_once.dataset)
    for name in ("p_left", "is_validation", "session", "is_audit"):
        np.testing.assert_array_equal(getattr(late.dataset, name), getattr(at_once.dataset, name))
    assert at_once.dataset.num_skips > 0


class TestChangedAnswers:
    def test_an_answer_that_is_replaced_after_the_last_fit_is_fitted_at_the_end(self, tmp_path):
        class Repents(Delayed):
            has_repented = False

            def collect(self):
                if self.agent.num_steps >= 20_000 and not self.has_repented:
                    self.has_repented = True
                    said = run.questions.answers()[0]
                    run.questions.undo("ann", said.question)
                    run.questions.answer([Answer(said.question, 1 - said.p_left, "ann")])
                return super().collect()

        run = started(tmp_path, Repents(looks=3))
        run.run()
        assert run.learner.fits == [(1, 12), (2, 22), (4, 30), (5, 30)]
        other = started(tmp_path / "other", Delayed(looks=3)).run()
        assert other.learner.fits == [(1, 12), (2, 22), (4, 30)]
        assert (run.dataset.p_left != other.dataset.p_left).sum() == 1

    def test_at_pace_steps_it_is_fitted_when_the_next_phase_begins(self, tmp_path):
        class Repents(Delayed):
            has_repented = False

            def collect(self):
                if self.agent.num_steps >= 9_000 and not self.has_repented:
                    self.has_repented = True
                    said = run.questions.answers()[0]
                    run.questions.undo("ann", said.question)
                    run.questions.answer([Answer(said.question, 1 - said.p_left, "ann")])
                return super().collect()

        pace = PaceConfig("steps", min_first_answers=10)
        run = started(tmp_path, Repents(steps=0), pace=pace)
        run.run()
        assert [answers for _, answers in run.learner.fits].count(22) == 2

    def test_fewer_answers_than_a_checkpoint_knows_of_are_no_error(self, tmp_path):
        killed = started(
            tmp_path, Delayed(looks=3), agent_class=killed_at(11_000)
        ).run_until_killed()
        number = killed.dataset.question.tolist()[0]
        killed.questions.undo("ann", number)
        teacher = Delayed(looks=3)
        run = ready(killed.again(teacher), teacher).run()
        assert teacher.asked[0].id == number
        assert run.dataset.num_answers == BUDGET
        assert_in_order(run)
