"""Questions about recorded steps, put ahead of whoever answers; here they are answered in turn."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl import load_comparisons
from prefrl.config import LabelConfig
from prefrl.errors import ConfigError
from prefrl.feedback.protocols import Answer

pytest.importorskip("sqlalchemy", reason="the extra human is missing")

from prefrl.labelling.run_status import RunStatus, read_run_status, write_run_status
from prefrl.labelling.store import LabelStore
from prefrl.runs.label.data_material import data_material
from prefrl.runs.label.work import LabelWork
from tests.runs.cheetah import X_VELOCITY
from tests.runs.label.labelling import recorded
from tests.session.stores import put

PAIRS = ("left_start", "right_start", "p_left", "segment_length")


class Answering:
    """Answers all that is open whenever processes would be looked after; then types Ctrl-C."""

    def __init__(self, store: LabelStore, num: int) -> None:
        self.store, self.num, self.most_open = store, num, 0

    def look_after(self) -> None:
        if self.store.counts().spent >= self.num:
            raise KeyboardInterrupt
        waiting = [one.question for one in self.store.entries("open")]
        waiting += [
            self.store.question(number)
            for number in self.store.standings("open", with_repeats=True)
            if self.store.question(number).repeat_of is not None
        ]
        self.most_open = max(self.most_open, self.store.counts().open)
        for one in waiting:
            gap = (one.left.observations - one.right.observations)[0, :, X_VELOCITY].sum()
            self.store.answer([Answer(one.id, float(gap > 0), "ann")])


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A file of 60 steps of HalfCheetah, without pairs."""
    dataset, path = recorded(), tmp_path / "steps.npz"
    dataset.save(path)
    with np.load(path) as whole:
        kept = {name: whole[name] for name in whole.files if name not in (*PAIRS, "split")}
    np.savez(path, **{name: array for name, array in kept.items() if array.shape != (8,)})
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with contextlib.closing(LabelStore(tmp_path / "labels.sqlite")) as store:
        yield store


def worked(path: Path, store: LabelStore, settings: LabelConfig, num: int) -> tuple[Any, ...]:
    """Labels until so many questions are answered; returns also who answered, and the words."""
    said: list[str] = []
    comparisons = path.with_name("comparisons.npz")
    material = data_material(path, settings)
    work = LabelWork(material, store, settings, comparisons, said.append, sleep=lambda _: None)
    answering: Any = Answering(store, num)
    with pytest.raises(KeyboardInterrupt):
        work.run(answering)
    return work, answering, said


def test_a_model_that_is_fitted_to_the_answers_chooses_the_next_questions(steps, store):
    settings = LabelConfig(budget=40, segment_length=5, open_ahead=8, repeat_share=0.1)
    work, answering, _ = worked(steps, store, settings, 40)
    assert work.finish() == 40
    assert answering.most_open == 8
    said = load_comparisons(steps.with_name("comparisons.npz"))
    assert len(said) == said.num_answered == 40
    assert 20 <= len(work.material.learner.asked_pairs().p_left) <= 40
    scores = [
        work.material.learner.score_segments(side).mean(axis=1)
        for side in (said.left[0], said.right[0])
    ]
    assert ((scores[0] > scores[1]) == (said.p_left == 1)).mean() > 0.8
    assert store.counts().repeats_answered >= 1
    assert store.settings().budget == 40


def test_pages_are_told_when_all_is_answered_and_that_it_has_not_ended(steps, store):
    write_run_status(store, RunStatus(env_id="x", step=7, has_ended=True, curve=((1.0, 2.0),)))
    settings = LabelConfig(budget=3, segment_length=5, repeat_share=0.0)
    work, _, said = worked(steps, store, settings, 3)
    assert not read_run_status(store).has_ended
    work._turn()
    status = read_run_status(store)
    assert status == RunStatus(
        env_id="HalfCheetah-v4",
        step=7,
        waits_for="All questions are answered.",
        curve=((1.0, 2.0),),
    )
    assert said == [
        "All questions are answered. Ctrl-C ends the service; until then answers may be changed."
    ]


def test_a_budget_counts_what_was_answered_here_in_all_sessions(steps, store):
    settings = LabelConfig(budget=3, segment_length=5, repeat_share=0.0)
    worked(steps, store, settings, 3)
    with pytest.raises(ConfigError, match="budget is 3, but 3 questions were answered here alre"):
        worked(steps, store, settings, 4)
    more = LabelConfig(budget=5, segment_length=5, repeat_share=0.0)
    work, _, _ = worked(steps, store, more, 5)
    assert work.finish() == 5
    assert len(store.standings()) == 5


def test_answers_that_a_run_asked_for_are_no_part_of_the_budget(steps, store):
    put(store, 4, session=6)
    store.answer([Answer(number, 1.0, "ann") for number in range(4)])
    settings = LabelConfig(budget=2, segment_length=5, repeat_share=0.0)
    material = dataclasses.replace(data_material(steps, settings), first_session=7)
    path = steps.with_name("comparisons.npz")
    work = LabelWork(material, store, settings, path, print, sleep=lambda _: None)
    assert store.settings().budget == 6
    assert work._total == 6
