"""People teach a run through its page; here a script does, over HTTP, and sees what they see."""

import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.label_client import AwayError, LabelClient
from prefrl import Parts, TeacherConfig, resume, run
from prefrl.errors import ConfigError
from prefrl.feedback.dataset import PreferenceDataset
from tests import tiny_runs
from tests.runs.cheetah import BUDGET, X_VELOCITY, cheetah, faster
from tests.runs.labeller import Labeller

pytest.importorskip("fastapi", reason="the extra human is missing")
renderer = pytest.importorskip("prefrl.labelling.renderer", reason="the extra human is missing")

pytestmark = pytest.mark.usefixtures("without_curves")
PATIENCE_S = 120.0  # a slow machine that does much else


@pytest.fixture
def labeller(tmp_path: Path) -> Iterator[Labeller]:
    made = Labeller(tmp_path / "run", faster)
    made.start()
    yield made
    made.is_over.set()
    made.join()
    assert not made.fault


@pytest.mark.usefixtures("graphics")
def test_a_run_learns_from_what_is_said_over_http_and_ends_with_its_service(tmp_path, labeller):
    queries = replace(cheetah().queries, validation_fraction=0.34)
    result = run(cheetah(queries=queries), out=tmp_path / "run", show_progress=False)
    assert result.summary["num_answers"] == BUDGET
    assert result.summary["teacher"] == "human"
    (person,) = result.summary["labelling"]["annotators"]
    assert person["annotator"] == "annotator 1"
    said = PreferenceDataset.load(tmp_path / "run" / "comparisons.npz")
    assert dict(zip(said.question.tolist(), said.p_left.tolist(), strict=True)) == {
        number: float(answer == "left") for number, answer in labeller.said.items()
    }
    velocities = [
        np.concatenate([b.observations[:, :, X_VELOCITY].sum(1) for b in side])
        for side in (said.left, said.right)
    ]
    np.testing.assert_array_equal(said.p_left == 1, velocities[0] > velocities[1])
    assert set(said.annotator) == {"annotator 1"}
    assert set(said.source) == {"human"}
    assert labeller.seen["mode"] == 0o600
    assert labeller.seen["clip"].startswith("/api/v1/clips/")
    assert_the_owner_sees_predictions(labeller, tmp_path / "run")
    with pytest.raises(AwayError) as caught:  # nobody listens there any more
        LabelClient(tmp_path / "run").ask("GET", "progress")
    assert isinstance(caught.value.__cause__, OSError)


def assert_the_owner_sees_predictions(labeller: Labeller, folder: Path) -> None:
    """Those of the first model, of the questions of the second session."""
    from prefrl.labelling.run_status import read_run_status
    from prefrl.labelling.store import LabelStore

    store = LabelStore(folder / "labels.sqlite")
    found, given, status = store.predictions(), store.answers(), read_run_status(store)
    store.close()
    num_first = sum(one.session == given[0].session for one in given)
    assert 0 < num_first < BUDGET
    # Seen before the last answer was given.
    overview, rows = labeller.seen["overview"], labeller.seen["rows"]
    num_seen = overview["model_agreement"]["num"]
    assert num_seen == overview["annotators"][0]["model_agreement"]["num"]
    assert num_seen == BUDGET - num_first - 1
    predicted = [row for row in rows if row["p_left"] is not None]
    assert [row["id"] for row in predicted] == list(range(num_first, BUDGET))[::-1]
    assert [len(row["answers"]) for row in predicted] == [0] + [1] * num_seen
    for row in predicted:
        by_head = found[row["id"]].p_left_by_head
        assert row["p_left_by_head"] == list(by_head)
        assert row["p_left"] == pytest.approx(np.mean(by_head))
        assert len(by_head) == cheetah().reward_model.num_reward_heads
    versions = [one.model_version for one in given]
    assert versions == [None] * num_first + [1] * (BUDGET - num_first)
    assert status.accuracy in (0.0, 0.5, 1.0), "two answers are held out"


@pytest.mark.usefixtures("graphics")
def test_a_killed_service_is_started_anew_and_a_stopped_run_goes_on_and_no_answer_is_lost(
    tmp_path, labeller
):
    folder = tmp_path / "run"
    killed, interrupted = threading.Event(), threading.Event()

    def judge(sides: Any) -> str:
        if len(labeller.given) == 2 and not killed.is_set():
            killed.set()
            service = (folder / ".labelling.lock").read_text().split()[-1]
            os.kill(int(service), signal.SIGKILL)
        if len(labeller.given) == 4 and not interrupted.is_set():
            interrupted.set()
            _thread.interrupt_main()
        return faster(sides)

    labeller.judge = judge
    with pytest.raises(KeyboardInterrupt, match="go on from the last checkpoint"):
        run(cheetah(), out=folder, show_progress=False)
    given = dict(labeller.given)
    assert killed.is_set()
    assert len(given) >= 4
    result = resume(folder, show_progress=False)
    assert result.summary["num_answers"] == BUDGET
    said = PreferenceDataset.load(folder / "comparisons.npz")
    assert len(set(said.question.tolist())) == len(said) == BUDGET
    assert given.items() <= labeller.given.items()


@pytest.mark.usefixtures("graphics")
def test_a_run_waits_for_a_database_that_was_stopped_and_no_answer_is_lost(
    tmp_path, labeller, monkeypatch, durable_postgres
):
    noticed = threading.Event()
    monkeypatch.setenv("PREFRL_DATABASE", durable_postgres.new_database())
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.endswith("waiting until it is back"):
            noticed.set()

    def judge(sides: Any) -> str:
        if len(labeller.given) == 3 and not noticed.is_set():
            durable_postgres.stop()
            assert noticed.wait(PATIENCE_S)
            durable_postgres.start()
        return faster(sides)

    monkeypatch.setattr("prefrl.runs.work.say_on_stderr", say)
    labeller.judge = judge
    try:
        result = run(cheetah(), out=tmp_path / "run", show_progress=False)
    finally:
        labeller.is_over.set()
    assert result.summary["num_answers"] == BUDGET
    rows = PreferenceDataset.load(tmp_path / "run" / "comparisons.npz")
    assert dict(zip(rows.question.tolist(), rows.p_left.tolist(), strict=True)) == {
        number: float(answer == "left") for number, answer in labeller.given.items()
    }
    (away,) = [line for line in said if line.endswith("waiting until it is back")]
    assert "is not available" in away
    assert any(line.startswith("the database is back after") for line in said)


def test_a_run_that_goes_on_shows_what_was_filmed_before_it_stopped(tmp_path, labeller):
    folder = tmp_path / "run"
    config = cheetah(env="tests.own_envs:Painted-v0", max_episode_steps=20)
    labeller.judge = lambda sides: "left"

    def stop() -> None:
        if len(labeller.given) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="go on from the last checkpoint"):
        run(config, out=folder, show_progress=False, on_checkpoint=stop)
    filmed = {path.name: path.read_bytes() for path in (folder / "shown").iterdir()}
    assert len(filmed) >= 5  # of the 100 steps before the first question
    result = resume(folder, show_progress=False)
    assert result.summary["num_answers"] == BUDGET
    from prefrl.labelling.store import LabelStore

    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        assert store.counts().withdrawn == 0, "each question could be shown"
    for name, content in filmed.items():
        assert (folder / "shown" / name).read_bytes() == content


def test_what_cannot_be_shown_is_refused_before_the_first_step(tmp_path):
    config = tiny_runs.tiniest(teacher=TeacherConfig("human"))
    with pytest.raises(ConfigError, match="cannot be shown to people"):
        run(config, out=tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run").exists()


def test_people_are_asked_about_one_thing(tmp_path):
    config = cheetah(objectives=("reward_run", "reward_ctrl"))
    with pytest.raises(ConfigError, match="people are asked about one thing"):
        run(config, out=tmp_path / "run", show_progress=False)


def test_people_and_a_teacher_who_answers_at_once_do_not_go_together(tmp_path):
    class LikesNothing:
        def answer(self, left, right, *, rng):
            return np.full(len(left), 0.5)

    with pytest.raises(ConfigError, match="leave one of the two out"):
        run(cheetah(), out=tmp_path / "run", parts=Parts(teacher=LikesNothing()))
