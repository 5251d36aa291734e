"""`prefrl label` at work, a script that labels there, and what there is to label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from prefrl import load_comparisons
from prefrl.envs import make_env
from prefrl.envs.probing import probe
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import dataset_of
from tests import command_line
from tests.runs.cheetah import X_VELOCITY, faster
from tests.runs.labeller import Judge, Labeller
from tests.waiting import PATIENCE_S, wait_until


class Labelling:
    """`prefrl label` in a process of its own, and who labels there."""

    def __init__(
        self, home: Path, folder: Path, words: tuple[object, ...], judge: Judge = faster
    ) -> None:
        self.labeller = Labeller(folder, judge)
        self.process = command_line.start(home, "label", *words)
        self.labeller.start()

    def until(self, is_met: Callable[["Labelling"], bool]) -> "Labelling":
        """Waits for something, unless nothing more comes."""
        its = self.labeller
        wait_until(lambda: is_met(self) or its.fault or not self.process.is_alive)
        assert not its.fault
        return self

    @property
    def said(self) -> str:
        """Returns what it has said so far."""
        try:
            return self.process._text(".err")
        except FileNotFoundError:  # It has not begun yet.
            return ""

    def answered(self, num: int) -> "Labelling":
        """Waits for so many answers."""
        return self.until(lambda it: len(it.labeller.given) >= num)

    def end(self) -> command_line.Outcome:
        """Types Ctrl-C, if it still runs; returns what came of it."""
        if self.process.is_alive:
            self.process.interrupt()
        self.labeller.is_over.set()
        self.labeller.join()
        return self.process.wait(PATIENCE_S)


def said_in(path: Path, given: dict[int, str]) -> PreferenceDataset:
    """Reads a file whose answers to these questions are those that were given over HTTP."""
    said = load_comparisons(path)
    known = dict(zip(said.question.tolist(), said.p_left.tolist(), strict=True))
    assert {n: known[n] for n in given} == {n: float(one == "left") for n, one in given.items()}
    return said


def velocity(dataset: PreferenceDataset) -> np.ndarray:
    """Difference in speed of left and right sides."""
    sides = [
        np.concatenate([part.observations[:, :, X_VELOCITY].sum(1) for part in side])
        for side in (dataset.left, dataset.right)
    ]
    return sides[0] - sides[1]


def recorded(**changes: Any) -> PreferenceDataset:
    """Eight pairs of ten steps each, within one recorded episode of HalfCheetah."""
    env = make_env("HalfCheetah-v4")
    episode = probe(env)
    env.close()
    starts = np.arange(8)
    arrays: dict[str, Any] = {
        "observations": episode.observations[:-1],
        "actions": episode.actions,
        "sim_states": episode.sim_states,
        "episode": np.zeros(60, np.int64),
        "left_start": starts,
        "right_start": 50 - 3 * starts,
        "segment_length": np.asarray(10),
        "p_left": np.full(8, np.nan),
        "env_id": np.asarray("HalfCheetah-v4"),
    }
    return dataset_of({**arrays, **changes})
