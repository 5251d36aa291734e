"""Trainer and service are killed while people label: no acknowledged answer is lost or doubled."""

import contextlib
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prefrl.config import to_yaml
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.records.json_file import read_json_object
from tests.command_line import Process, start
from tests.runs.cheetah import BUDGET, cheetah, faster
from tests.runs.labeller import Labeller

pytest.importorskip("fastapi", reason="the extra human is missing")
store = pytest.importorskip("prefrl.labelling.store", reason="the extra human is missing")

pytestmark = pytest.mark.usefixtures("graphics")
PATIENCE_S = 1_800.0


def kill_service(folder: Path) -> None:
    """Kills the service of a folder, one of which is there."""
    while True:
        # Empty, while one takes over from another.
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int((folder / ".labelling.lock").read_text().split()[-1]), signal.SIGKILL)
            return
        time.sleep(0.01)


def test_a_trainer_and_a_service_that_are_killed_twice_each_lose_and_double_no_answer(tmp_path):
    folder = tmp_path / "run"
    trainer: list[Process] = []
    is_begun = threading.Event()

    def kill_trainer() -> None:
        is_begun.wait()
        trainer[-1].kill()

    kills: list[Any] = [partial(kill_service, folder), kill_trainer] * 2

    def judge(sides: Any) -> str:
        # After each of the first answers something is gone when the next one is given.
        if kills and len(labeller.given) + len(kills) > 4:
            kills.pop(0)()
        return faster(sides)

    (tmp_path / "config.yaml").write_text(to_yaml(cheetah()))
    labeller = Labeller(folder, judge, sees_clips=False)
    labeller.start()
    statuses = []
    try:
        words: list[object] = ["run", "--config", "config.yaml", "--out", "run"]
        while True:
            trainer.append(start(tmp_path, *words))
            is_begun.set()
            ended = trainer[-1].wait(PATIENCE_S)
            statuses.append(ended.status)
            assert ended.status in (0, -signal.SIGKILL), ended.err
            if ended.status == 0:
                break
            is_begun.clear()
            words = ["run", "--resume", "run"]
    finally:
        labeller.is_over.set()
        is_begun.set()
        labeller.join()
    assert not labeller.fault
    assert not kills
    assert statuses == [-signal.SIGKILL, -signal.SIGKILL, 0]

    labels = store.LabelStore(folder / "labels.sqlite")
    found = {one.question: one.said for one in labels.answers()}
    assert len(found) == len(labels.answers()) == labels.counts().spent == BUDGET
    labels.close()
    # The last of them may have been given without having been told so.
    assert labeller.given.items() <= found.items()
    assert len(labeller.given) >= BUDGET - 4
    said = PreferenceDataset.load(folder / "comparisons.npz")
    p_left = {"left": 1.0, "right": 0.0}
    assert dict(zip(said.question.tolist(), said.p_left.tolist(), strict=True)) == {
        number: p_left[one] for number, one in found.items()
    }
    assert len(said) == BUDGET
    assert read_json_object(folder / "summary.json")["num_answers"] == BUDGET
    assert (folder / "policy.safetensors").exists()
