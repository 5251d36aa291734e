"""Policies that may be the best of a run, until the reward that decides it is known.

The learned reward changes over a run, so what a policy was worth by it at the time decides nothing:
each candidate's episodes are kept with it, and scored by the final reward.
"""

import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefrl.agents.policy_file import check_policy, copy_policy
from prefrl.errors import DataError, StorageError
from prefrl.records import run_folder
from prefrl.records.checkpoint import load_state, save_state
from prefrl.records.files import reason
from prefrl.records.json_file import entry, read_json_object
from prefrl.runs.rollouts import Rollouts
from prefrl.types import RewardFunction

MAX_POLICIES = 32


@dataclass(frozen=True)
class Best:
    """The best policy of a run.

    Args:
        step: at which it was evaluated.
        score: its mean return by the final learned reward; by the true one without any.
        true_return: its mean true return.
    """

    step: int
    score: float
    true_return: float


class CandidatePolicies:
    """A folder of policies, each with the episodes that it played.

    They are written whole, under names that follow from the step, so that a run that is resumed
    finds those of before its checkpoint and writes those after it once more.

    Args:
        folder: where they are; made by the first `add`.
        fingerprint: of the run's settings.
        ends: steps and answers at which the run ends; a summary of other ones is of before it was
            given more.
    """

    def __init__(self, folder: Path, fingerprint: str, *, ends: tuple[int, int]) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._ends = ends

    def add(self, step: int, rollouts: Rollouts, save_policy: Callable[[Path], object]) -> None:
        """Keeps a policy and what it played.

        Raises:
            StorageError: it could not be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"could not make {self._folder}: {reason(error)}") from error
        save_policy(self._policy(step))
        # Second: what has episodes has a policy.
        save_state(self._episodes(step), rollouts.state(), fingerprint=self._fingerprint)

    def check(self) -> None:
        """Makes sure that what may be the best policy can be read, before anything else is done.

        Raises:
            StorageError: a file is missing or damaged; it is named.
        """
        for step in self.steps():
            self._rollouts(step)
            check_policy(self._policy(step))
        if (earlier := self.earlier_best()) is not None:
            check_policy(earlier[1])

    def keep_best(self, path: Path, reward_function: RewardFunction | None) -> Best | None:
        """Copies the policy with the highest return; of equal ones, the latest.

        Where the run's summary is written, it has been done, and candidates may be gone.

        Args:
            path: the copy.
            reward_function: the run's final reward; None goes by the true one.

        Returns:
            None where there are no candidates.

        Raises:
            StorageError: a file could not be read or written, or is damaged.
        """
        best = self.decided()
        if best is not None:
            return best
        for step in self.steps():
            rollouts = self._rollouts(step)
            true_return = float(rollouts.true_returns().mean())
            try:
                score = rollouts.scored_by(reward_function) if reward_function else true_return
            except DataError as error:
                path = self._episodes(step)
                raise StorageError(f"{path} does not fit this run: {error}") from None
            if best is None or score >= best.score:
                best = Best(step, score, true_return)
        if best is not None:
            copy_policy(self._policy(best.step), path)
        return best

    def earlier_best(self) -> tuple[Best, Path] | None:
        """Finds the best policy of a run that had ended, and is gone on with; None without one.

        Returns:
            what its summary says of it, and its file; None also where it is a candidate already, or
            others are, as the run has gone on before.
        """
        policy = self._folder.with_name(run_folder.BEST_POLICY)
        if self.steps() or self.decided() or not policy.exists():
            return None
        best = self._in_summary(None)
        return None if best is None else (best, policy)

    def decided(self) -> Best | None:
        """Returns the best policy where the summary of the run's end is written; None elsewhere."""
        return self._in_summary(self._ends)

    def _in_summary(self, ends: tuple[int, int] | None) -> Best | None:
        """Returns what the summary says of the best policy, if it is of these ends, or of any."""
        try:
            written = read_json_object(self._folder.with_name(run_folder.SUMMARY))
            if ends not in (None, (written.get("steps"), written.get("budget"))):
                return None
            at = entry(written, "best_policy_step", int)
            names = ("best_policy_score", "best_policy_true_return")
            score, true_return = (float(entry(written, name, (int, float))) for name in names)
            return Best(at, score, true_return)
        except (StorageError, ValueError):  # none, or none that says so
            return None

    def remove(self) -> None:
        """Removes them all."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)

    def steps(self) -> list[int]:
        """Returns the steps at which the candidates were evaluated, ascending."""
        named = ((re.fullmatch(r"step_([0-9]+)", p.stem), p) for p in self._folder.glob("*.npz"))
        found = ((int(match[1]), path.name) for match, path in named if match)
        return sorted(step for step, name in found if name == self._episodes(step).name)

    def _rollouts(self, step: int) -> Rollouts:
        path = self._episodes(step)
        try:
            return Rollouts.from_state(load_state(path, fingerprint=self._fingerprint))
        except DataError as error:
            raise StorageError(f"{path} is damaged: {error}") from None

    def _policy(self, step: int) -> Path:
        return self._folder / f"step_{step:09d}.zip"

    def _episodes(self, step: int) -> Path:
        return self._folder / f"step_{step:09d}.npz"


def is_candidate(step: int, *, every: int, total_steps: int) -> bool:
    """Decides if the policy that is evaluated at a step is kept.

    All are, but in a run with more than 32 evaluations: of those only every second one, or third,
    ..., so that they fit on the disk; the final one always. It follows from the step alone, so that
    a resumed run decides alike.

    Args:
        step: of the evaluation.
        every: steps between evaluations.
        total_steps: of the run.
    """
    one_in = -(-total_steps // (every * MAX_POLICIES))
    return step == total_steps or (step // every) % one_in == 0
