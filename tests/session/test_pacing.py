"""Paces with a teacher that answers after so many steps, so that each step can be foretold."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from prefrl.config import RunConfig
from prefrl.config.pace import PaceConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Answer
from prefrl.plan import Phase
from tests.session.small_loop import (
    BUDGET,
    PLAN,
    STEPS,
    CountingAgent,
    Killed,
    SmallRun,
    killed_at,
)


class AtOnce:
    def answer(self, left, right, *, rng):
        return (left.true_returns > right.true_returns).astype(np.float64)


class Delayed:
    """Answers a question some steps after it was asked, or when it was looked for often enough."""

    agent: Any

    def __init__(self, steps=1_500, looks=10**9, never=(), skips=()):
        self.steps, self.looks = steps, looks
        self.never, self.skips = set(never), set(skips)
        self.asked = []
        self.waiting = {}
        self.num_looks = 0

    def ask(self, questions):
        for question in questions:
            self.asked.append(question)
            if question.id not in self.never:
                self.waiting[question.id] = (self.agent.num_steps, self.num_looks, question)

    def collect(self):
        self.num_looks += 1
        found = []
        for number, (step, look, question) in list(self.waiting.items()):
            if self.agent.num_steps - step >= self.steps or self.num_looks - look > self.looks:
                del self.waiting[number]
                won = float(question.left.true_returns[0] > question.right.true_returns[0])
                found.append(Answer(number, math.nan if number in self.skips else won, "ann"))
        return found[::-1]


def started(folder, teacher, **options):
    """A run whose waiting takes no time."""
    folder.mkdir(exist_ok=True)
    return ready(SmallRun(folder, teacher, **options), teacher)


def ready(run, teacher):
    teacher.agent = run.agent
    now_s = itertools.count()
    for part in (run.loop.pacer, run.loop.pacer.asker):
        part.clock = lambda: float(next(now_s))
    run.loop.pacer.sleep = lambda _: None
    return run


def pairs_of(dataset):
    sides = [
        [(int(e), int(s)) for b in side for e, s in zip(b.episode, b.start, strict=True)]
        for side in (dataset.left, dataset.right)
    ]
    return [frozenset(pair) for pair in zip(*sides, strict=True)]


def assert_in_order(run):
    """Checks what holds of a finished run at every pace."""
    assert run.agent.num_steps == STEPS
    assert sum(steps for _, steps, _ in run.agent.diary) <= STEPS
    assert run.questions.entries("open", "leased") == []
    dataset = PreferenceDataset.load(run.folder / "comparisons.npz")
    assert dataset.num_answers <= BUDGET
    answered = [e.question.id for e in run.questions.entries("answered", "skipped")]
    assert sorted(dataset.question) == answered
    put = [
        frozenset(
            (int(side.episode[0]), int(side.start[0]))
            for side in (e.question.left, e.question.right)
        )
        for e in run.questions.entries()
    ]
    assert len(set(put)) == len(put), "no pair is put twice"
    assert run.learner.fits[-1][1] == dataset.num_answers, "the last fit knows every answer"


WAITED = [
    ("explore", 2_000, 0),
    ("train", 4_000, 12),
    ("train", 4_000, 22),
    ("train", 4_000, 22),
    ("train", 2_000, 30),
    ("train", 4_000, 30),
]


@pytest.mark.parametrize("pace", ["sync", "answers", "steps"])
def test_a_teacher_that_answers_at_once_sets_no_pace(tmp_path, pace):
    run = SmallRun(tmp_path, AtOnce(), PaceConfig(pace, min_first_answers=25)).run()
    assert run.agent.diary == WAITED
    assert run.said == []
    assert not (tmp_path / "questions").exists()


class TestSync:
    def test_each_session_waits_for_its_answers_and_says_for_what(self, tmp_path):
        run = started(tmp_path, Delayed(looks=3)).run()
        assert run.agent.diary == WAITED
        assert run.said == [
            "waiting for 12 answers at step 2,000: 0 of 30 are there",
            "waiting for 10 answers at step 6,000: 12 of 30 are there",
            "waiting for 8 answers at step 14,000: 22 of 30 are there",
        ]
        assert_in_order(run)

    def test_what_is_skipped_is_asked_for_again_about_other_segments(self, tmp_path):
        run = started(tmp_path, Delayed(looks=3, skips=range(0, 99, 3))).run()
        assert run.agent.diary == WAITED
        dataset = run.dataset
        assert dataset.num_answers == BUDGET
        assert dataset.num_skips == (dataset.question % 3 == 0).sum() > 0
        assert_in_order(run)

    def test_it_stops_waiting_in_time_and_asks_others_in_the_place_of_what_stayed_open(
        self, tmp_path
    ):
        teacher = Delayed(looks=3, never=(1, 4, 13))
        run = started(tmp_path, teacher, pace=PaceConfig("sync", answer_timeout=30.0)).run()
        assert [answers for _, _, answers in run.agent.diary] == [0, 10, 21, 21, 30, 30]
        assert run.said[:2] == [
            "waiting for 12 answers at step 2,000: 0 of 30 are there; for 30 s at most",
            "went on after 30 s without the answers to 2 questions",
        ]
        withdrawn = [entry.question.id for entry in run.questions.entries("withdrawn")]
        assert withdrawn == [1, 4, 13]
        assert_in_order(run)

    def test_an_answer_that_comes_between_sessions_counts(self, tmp_path):
        class Tired(Delayed):
            """Answers the first ten questions soon, and the others when the agent has worked."""

            def ask(self, questions):
                super().ask(questions)
                for number in set(self.waiting) - set(range(10)):
                    step, _, question = self.waiting[number]
                    self.waiting[number] = (step, 10**9, question)

        pace = PaceConfig("sync", answer_timeout=30.0)
        run = started(tmp_path, Tired(steps=500, looks=3), pace=pace).run()
        assert [answers for _, _, answers in run.agent.diary] == [0, 10, 12, 12, 22, 22]
        assert run.questions.entries("withdrawn") == []
        assert_in_order(run)

    def test_without_any_answer_the_questions_stay_open_and_the_run_can_go_on(self, tmp_path):
        silent = Delayed(steps=10**9)
        with pytest.raises(DataError, match=r"no query so far .*12 open.* stay open"):
            started(tmp_path, silent, pace=PaceConfig("sync", answer_timeout=5.0)).run()
        awake = Delayed(looks=1)
        run = ready(
            started(tmp_path, silent, pace=PaceConfig("sync", answer_timeout=5.0)).again(awake),
            awake,
        ).run()
        assert [question.id for question in awake.asked][:12] == list(range(12)), "asked again"
        assert len(run.questions.entries("answered")) == BUDGET
        assert_in_order(run)


class TestAnswers:
    def test_it_explores_until_the_first_answers_are_there_and_trains_on_the_old_reward_after(
        self, tmp_path
    ):
        run = started(tmp_path, Delayed(steps=1_500), pace=PaceConfig("answers")).run()
        assert run.agent.diary == [
            ("explore", 2_000, 0),
            *[("explore", 1_000, 0), ("explore", 1_000, 0), ("train", 2_000, 12)],
            *[("train", 1_000, 12), ("train", 1_000, 12), ("train", 2_000, 22)],
            ("train", 4_000, 22),
            *[("train", 1_000, 22), ("train", 1_000, 22)],
            ("train", 4_000, 30),
        ]
        assert run.said == []
        assert_in_order(run)

    def test_it_waits_where_it_is_so_many_steps_ahead(self, tmp_path):
        pace = PaceConfig("answers", max_steps_ahead=1_230)
        run = started(tmp_path, Delayed(steps=10**9, looks=5), pace=pace).run()
        first = run.agent.diary[1:4]
        assert first == [("explore", 1_000, 0), ("explore", 230, 0), ("train", 2_770, 12)]
        assert run.said[0] == "waiting for 12 answers at step 3,230: 0 of 30 are there"
        assert run.dataset.num_answers == BUDGET
        assert_in_order(run)

    def test_a_learner_of_whole_rollouts_is_not_cut_short(self, tmp_path):
        class Rolling(CountingAgent):
            rollout_steps = 2_000

        run = started(
            tmp_path, Delayed(steps=500), pace=PaceConfig("answers"), agent_class=Rolling
        ).run()
        assert run.agent.diary[1:3] == [("explore", 2_000, 0), ("train", 2_000, 12)]

    def test_no_step_ahead_is_sync(self, tmp_path):
        pace = PaceConfig("answers", max_steps_ahead=0)
        run = started(tmp_path, Delayed(looks=3), pace=pace).run()
        assert run.agent.diary == WAITED

    def test_by_default_it_is_a_phase_ahead_at_most(self, tmp_path):
        run = started(tmp_path, Delayed(10**9, looks=9), pace=PaceConfig("answers")).run()
        assert [row[0] for row in run.agent.diary[1:5]] == ["explore"] * 4
        assert run.said[0] == "waiting for 12 answers at step 6,000: 0 of 30 are there"
        assert_in_order(run)

    def test_by_default_half_of_the_steps_are_left_for_the_last_answers(self, tmp_path):
        plan = (*PLAN[:4], Phase(14_000, 6_000, num_queries=8))
        run = started(tmp_path, Delayed(10**9, looks=9), pace=PaceConfig("answers"), plan=plan)
        run.run()
        assert run.said[-1] == "waiting for 8 answers at step 17,000: 22 of 30 are there"
        assert sum(steps for _, steps, answers in run.agent.diary if answers == BUDGET) == 3_000
        assert_in_order(run)

    def test_it_may_be_ahead_over_a_checkpoint_and_a_kill(self, tmp_path):
        pace = PaceConfig("answers", max_steps_ahead=7_000)
        whole = started(tmp_path / "whole", Delayed(steps=6_000, looks=99), pace=pace).run()
        killed = started(
            tmp_path / "killed",
            Delayed(steps=6_000, looks=99),
            pace=pace,
            agent_class=killed_at(11_500),  # the session of step 6,000 is open still
        ).run_until_killed()
        assert len(killed.questions.entries("open")) == 10
        teacher = Delayed(steps=1_000, looks=99)
        run = ready(killed.again(teacher), teacher)
        assert run.loop.pacer.waiting_for == 2
        assert run.loop.pacer.steps_ahead == 4_000
        run.run()
        assert run.learner.fits[:2] == [(1, 12), (2, 22)] == whole.learner.fits[:2]
        for each in (whole, run):
            assert_in_order(each)
            assert each.dataset.num_answers == BUDGET


class TestSteps:
    def test_it_never_waits_and_fits_what_has_arrived(self, tmp_path):
        pace = PaceConfig("steps", min_first_answers=10)
        run = started(tmp_path, Delayed(steps=1_500), pace=pace).run()
        assert run.said == []
        assert run.agent.diary == [
            ("explore", 2_000, 0),
            *[("explore", 1_000, 0), ("explore", 1_000, 0), ("train", 2_000, 12)],
            ("train", 4_000, 12),  # what was asked at 6,000 is fitted when the next phase begins
            ("train", 4_000, 22),
            ("train", 2_000, 22),
            ("train", 4_000, 30),
        ]
        assert run.learner.fits == [(1, 12), (3, 22), (5, 30)]
        assert_in_order(run)

    def test_the_first_fit_waits_for_enough_answers_and_explores_until_then(self, tmp_path):
        pace = PaceConfig("steps", min_first_answers=20)
        run = started(tmp_path, Delayed(steps=1_500), pace=pace).run()
        assert run.learner.fits[0] == (2, 22)
        assert {row[0] for row in run.agent.diary if row[2] == 0} == {"explore"}
        assert_in_order(run)

    def test_more_than_the_budget_is_not_waited_for(self, tmp_path):
        pace = PaceConfig("steps", min_first_answers=1_000)
        run = started(tmp_path, Delayed(steps=1_500), pace=pace).run()
        assert run.learner.fits == [(5, 30)] or run.learner.fits == [(4, 30)]

    def test_what_is_open_at_the_end_is_withdrawn(self, tmp_path):
        pace = PaceConfig("steps", min_first_answers=10)
        run = started(tmp_path, Delayed(steps=5_000), pace=pace).run()
        states = [entry.standing.state for entry in run.questions.entries()]
        assert states == ["answered"] * 30 or "withdrawn" in states
        late = started(tmp_path / "late", Delayed(steps=7_000), pace=pace).run()
        assert [e.standing.state for e in late.questions.entries()].count("withdrawn") == 8
        for each in (run, late):
            assert_in_order(each)

    def test_a_run_that_ends_before_its_first_fit_says_so_and_can_go_on(self, tmp_path):
        pace = PaceConfig("steps", min_first_answers=10)
        run = started(tmp_path, Delayed(steps=10**9), pace=pace)
        with pytest.raises(
            DataError,
            match=r"all 20,000 steps are taken, and 0 answers .* of the 10 .*30 questions",
        ):
            run.run()
        teacher = Delayed(steps=0)
        again = ready(run.again(teacher), teacher).run()
        assert again.learner.fits == [(5, 30)]
        assert len(again.questions.entries("answered")) == BUDGET


@pytest.mark.parametrize("step", [2_500, 5_500, 6_500, 13_000, 14_500])
@pytest.mark.parametrize("pace", ["sync", "answers", "steps"])
def test_open_questions_survive_a_kill_and_none_is_put_twice(tmp_path, pace, step):
    settings = PaceConfig(pace, min_first_answers=5)
    killed = started(
        tmp_path,
        Delayed(steps=1_500, looks=40, skips=(2, 17)),
        pace=settings,
        agent_class=killed_at(step),
    ).run_until_killed()
    was_open = [entry.question.id for entry in killed.questions.entries("open")]
    teacher = Delayed(steps=1_500, looks=40, skips=(2, 17))
    run = ready(killed.again(teacher), teacher).run()
    assert [question.id for question in teacher.asked][: len(was_open)] == was_open
    assert len({question.id for question in teacher.asked}) == len(teacher.asked)
    assert_in_order(run)
    assert run.dataset.num_answers == BUDGET


@pytest.mark.parametrize("at_save", [1, 3])
def test_answers_that_a_kill_kept_from_their_file_are_found_again(tmp_path, monkeypatch, at_save):
    saves = []
    real = PreferenceDataset.save

    def save(dataset, path):
        saves.append(path)
        if len(saves) == at_save:
            raise Killed
        real(dataset, path)

    monkeypatch.setattr(PreferenceDataset, "save", save)
    killed = started(tmp_path, Delayed(looks=3)).run_until_killed()
    monkeypatch.undo()
    teacher = Delayed(looks=3)
    run = ready(killed.again(teacher), teacher).run()
    assert run.agent.diary[-5:] == WAITED[-5:] if at_save == 1 else WAITED[-2:]
    assert run.dataset.num_answers == BUDGET
    assert_in_order(run)


def test_an_answer_that_is_given_twice_counts_once(tmp_path):
    class Insistent(Delayed):
        said: tuple[Answer, ...] = ()

        def collect(self):
            self.said = (*self.said, *super().collect())
            return self.said

    run = started(tmp_path, Insistent(looks=3)).run()
    assert run.agent.diary == WAITED
    assert_in_order(run)


@pytest.mark.parametrize("num_removed", [1, 2, 3, 4])
@pytest.mark.parametrize("pace", ["answers", "steps"])
def test_a_run_that_goes_on_from_an_older_checkpoint_asks_for_nothing_twice(
    tmp_path, pace, num_removed
):
    late = {"steps": 10**9, "looks": 4}
    run = started(tmp_path, Delayed(**late), pace=PaceConfig(pace, min_first_answers=5))
    run.checkpoints.num_kept = 99
    run.run()
    assert run.dataset.num_answers == BUDGET
    for path in sorted((tmp_path / "checkpoints").iterdir())[-num_removed:]:
        path.unlink()
    teacher = Delayed(**late)
    again = ready(run.again(teacher), teacher).run()
    assert teacher.asked == []
    assert again.dataset.num_answers == again.loop.pacer.num_fitted == BUDGET


def test_answers_may_come_one_by_one(tmp_path):
    class Generous(Delayed):
        def collect(self):
            yield from super().collect()

    assert started(tmp_path, Generous(looks=3)).run().dataset.num_answers == BUDGET


@pytest.mark.parametrize("returned", [None, ["left"], [(0, 1.0)], {0: Answer(0, 1.0)}])
def test_what_is_no_answer_is_refused(tmp_path, returned):
    class Odd(Delayed):
        def collect(self):
            return returned

    with pytest.raises(DataError, match=r"collect of Odd returned .*; expected a list of Answer"):
        started(tmp_path, Odd()).run()


def test_a_share_of_the_queries_is_drawn_at_random_and_marked(tmp_path):
    run = started(tmp_path / "later", Delayed(looks=3), audit_share=0.3).run()
    audits = run.dataset.is_audit
    assert audits.sum() == 9
    for session, share in ((1, 3), (2, 3), (4, 3)):
        assert audits[run.dataset.session == session].sum() == share
    on_disk = PreferenceDataset.load(run.folder / "comparisons.npz")
    np.testing.assert_array_equal(on_disk.is_audit, audits)


def test_audit_queries_of_a_teacher_that_answers_at_once(tmp_path):
    for share in (0.0, 1.0):
        folder = tmp_path / str(share)
        folder.mkdir()
        run = SmallRun(folder, AtOnce(), audit_share=share).run()
        assert run.dataset.is_audit.mean() == share


def test_a_run_names_its_pace_as_the_settings_do():
    config = RunConfig(pace="answers", answer_timeout=60.0, max_steps_ahead=5, min_first_answers=3)
    assert config.pacing == PaceConfig("answers", 60.0, 5, 3)
    assert RunConfig().pacing == PaceConfig()


def test_an_agent_with_the_old_name_of_a_phase_is_told_the_new_one(tmp_path):
    run = SmallRun(tmp_path, AtOnce(), plan=(Phase(0, 2_000, is_exploration=True), *PLAN[1:]))

    class OldAgent:
        def __init__(self, agent):
            self._agent = agent

        def begin_leg(self, seed):
            self._agent.begin_phase(seed)

        def __getattr__(self, name):
            if name == "begin_phase":
                raise AttributeError(name)
            return getattr(self._agent, name)

    run.loop.agent = OldAgent(run.agent)
    with pytest.warns(DeprecationWarning, match="begin_leg is now begin_phase"):
        run.loop.run()
    assert run.agent.num_steps == STEPS
