"""When a session's answers are fitted, and what happens until they are there."""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefrl.config.pace import PaceConfig, PaceName
from prefrl.errors import DataError, option
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.records.remaining import WAITING
from prefrl.session.asker import Asker

# Teachers that answer in their own time are looked in on this often while a session waits.
LOOK_EVERY_S = 0.2
# And after so many steps while the agent goes on, or as few as it can take.
LOOK_EVERY_STEPS = 1_000
# Sessions for which a question of a rolling list stays open: what is worth asking changes.
SESSIONS_OPEN = 2


@dataclass
class Pacer:
    """Holds a run's sessions at the pace that was chosen.

    Args:
        asker: asks, and keeps the answers.
        settings: the pace.
        totals: answers there are to be after each phase's session.
        phase_steps: steps of each phase.
        say: called with what a session waits for.
        tell: called with what is waited for whenever that is something else, as a sentence; "" when
            nothing is.
        doing: entered while the agent waits, with a word for it, what may be added, and
            `num_answers`: how many are there by then.
        sleep: waits for so many seconds.
        clock: seconds, from any moment on.
    """

    asker: Asker
    settings: PaceConfig
    totals: Sequence[int]
    phase_steps: Sequence[int]
    say: Callable[[str], None]
    tell: Callable[[str], None] = lambda sentence: None
    doing: Callable[..., AbstractContextManager[None]] = lambda *words, **counts: nullcontext()
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    num_fitted: int = field(default=0, init=False)
    """Answers that the reward model was last fitted to."""
    waiting_for: int | None = field(default=None, init=False)
    """The session whose answers are not fitted yet; None: there is none."""
    steps_ahead: int = field(default=0, init=False)
    """Steps taken since that session began."""
    fitted_mark: str | None = field(default=None, init=False)
    """Names the answers that the reward model was last fitted to; None: that is not known."""
    _told: str = field(default="", init=False)

    @property
    def pace(self) -> PaceName:
        """Returns the pace; a teacher that answers at once sets none."""
        return self.settings.pace if self.asker.is_async else "sync"

    @property
    def is_fitted(self) -> bool:
        """Tells whether there is a learned reward."""
        return self.num_fitted > 0

    @property
    def is_listening(self) -> bool:
        """Tells whether answers may end a stretch of steps."""
        if self.pace == "steps":
            return self.asker.num_open > 0 and (not self.is_fitted or self.is_rolling)
        return self.waiting_for is not None

    @property
    def is_rolling(self) -> bool:
        """Tells whether questions are put as others are answered, not all of a session at once."""
        return self.asker.open_ahead is not None

    def begin(self, phase: int, step: int) -> dict[str, float]:
        """Begins a phase's session: puts its questions; returns what the teacher reports."""
        if self.is_rolling:
            sessions = self._sessions(phase)
            if len(sessions) >= SESSIONS_OPEN:
                self.asker.withdraw_older(sessions[-SESSIONS_OPEN])
        metrics = self.asker.ask(
            self.totals[phase], session=phase, step=step, is_fitted=self.is_fitted
        )
        self.waiting_for, self.steps_ahead = phase, 0
        self._tell("")
        return metrics

    def room(self) -> int | None:
        """Returns how many steps may still be taken before waiting; None: any number."""
        if self.pace != "answers" or self.waiting_for is None:
            return None
        limit = self.settings.max_steps_ahead
        if limit is None:
            # Answers that come when all steps are taken teach the agent nothing.
            steps_left = sum(self.phase_steps[self.waiting_for :])
            limit = min(self.phase_steps[self.waiting_for], steps_left // 2)
        return max(limit - self.steps_ahead, 0)

    def stretch(self, left: int, *, multiple: int, at_least: int = 0) -> int:
        """Returns how many steps are taken before answers are looked for again.

        Args:
            left: steps that the phase still has.
            multiple: steps are taken in multiples of it.
            at_least: fewer are not worth taking at once, unless no more may be.
        """
        if not self.is_listening:
            return left
        size = max(max(LOOK_EVERY_STEPS, at_least) // multiple, 1) * multiple
        if (room := self.room()) is not None:
            size = min(size, room // multiple * multiple)
        return min(size, left)

    def due(
        self, phase: int, step: int, *, may_go_on: bool, is_at_start: bool = False
    ) -> int | None:
        """Returns the session that is to be fitted now; None: there is nothing to fit.

        Waits, where the pace says so.

        Args:
            phase: the present one.
            step: environment steps taken so far.
            may_go_on: steps can be taken before the answers are there, if the pace allows it.
            is_at_start: the phase has taken no step yet.
        """
        if self.pace == "steps":
            return self._due_by_steps(phase, step, is_at_start)
        if self.waiting_for is None:
            return None
        if not self._has_arrived(phase, step):
            if self.pace == "answers" and may_go_on:
                self._tell("")
                return None
            self._wait(phase, step)
        session, self.waiting_for = self.waiting_for, None
        self._tell(self._sentence(session, step))
        return session

    def fitted(self, dataset: PreferenceDataset) -> None:
        """Takes note that the reward model was fitted to these answers."""
        self.num_fitted, self.fitted_mark = dataset.num_answers, mark_of(dataset)

    def is_stale(self, phase: int) -> bool:
        """Tells whether the reward model was fitted to other answers than there are.

        More of them are others, and so are those that were replaced or taken back.
        """
        dataset = self.asker.known(phase)
        # What answers at once takes nothing back.
        if self.fitted_mark is None or not self.asker.is_async:
            return dataset.num_answers > self.num_fitted
        return dataset.num_answers > 0 and mark_of(dataset) != self.fitted_mark

    def finish(self, phase: int, step: int) -> int | None:
        """Ends the asking; returns the session whose answers are still to be fitted, or None.

        Args:
            phase: the last one.
            step: environment steps taken in all.

        Raises:
            DataError: pace `steps` has come to the end without the answers of a first fit.
        """
        if self.pace != "steps" and self.waiting_for is not None:
            self.due(phase, step, may_go_on=False)
        self.asker.collect(phase)
        num = self._num_answers(phase)
        # Where nothing is open, all was asked that there is, and what was answered is fitted.
        is_short = num < self._num_first() and (self.asker.num_open > 0 or not num)
        if self.pace == "steps" and not self.is_fitted and is_short:
            raise DataError(
                f"all {step:,} steps are taken, and {num} answers are there of the "
                f"{self._num_first()} that the first fit needs ({option('min_first_answers')}); "
                f"go on once "
                f"there are more ({self.asker.num_open} questions are open), or wait for them with "
                "another pace"
            )
        self.asker.withdraw_open()
        self.asker.collect(phase)
        self.waiting_for = None
        self._tell("")
        return phase if self.is_stale(phase) else None

    def state(self) -> dict[str, Any]:
        """Returns all that restores it; questions and answers have files of their own."""
        return {
            "num_fitted": self.num_fitted,
            "waiting_for": self.waiting_for,
            "steps_ahead": self.steps_ahead,
            "fitted_mark": self.fitted_mark,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        for name in ("num_fitted", "waiting_for", "steps_ahead"):
            setattr(self, name, state[name])
        self.fitted_mark = state.get("fitted_mark")

    def _num_answers(self, phase: int) -> int:
        return self.asker.num_answered(phase)

    def _sessions(self, phase: int) -> list[int]:
        """Returns the phases up to and including one that have sessions."""
        return [i for i in range(phase + 1) if self.totals[i] > (self.totals[i - 1] if i else 0)]

    def _num_first(self) -> int:
        return min(self.settings.min_first_answers, max(self.totals))

    def _due_by_steps(self, phase: int, step: int, is_at_start: bool) -> int | None:
        self.asker.collect(phase)
        self.waiting_for = None
        if self.is_rolling:
            self.asker.ask_missing(
                self.totals[phase], session=phase, step=step, is_fitted=self.is_fitted
            )
        num = self._num_answers(phase)
        self._tell(self._sentence(phase, step))
        if not self.is_fitted:
            return phase if num >= self._num_first() else None
        return phase if is_at_start and self.is_stale(phase) else None

    def _has_arrived(self, phase: int, step: int) -> bool:
        """Tells whether nothing is open any more; asks again for what was skipped."""
        if not self.asker.is_async:
            return True
        assert self.waiting_for is not None
        self.asker.collect(phase)
        self.asker.ask_missing(
            self.totals[self.waiting_for], session=phase, step=step, is_fitted=self.is_fitted
        )
        return self.asker.num_open == 0

    def _num_awaited(self, phase: int) -> int:
        """Counts the answers that a session still waits for."""
        num_open = self.asker.num_open
        if not self.is_rolling or self.waiting_for is None or not num_open:
            return num_open
        return max(self.totals[self.waiting_for] - self._num_answers(phase), num_open)

    def _wait(self, phase: int, step: int) -> None:
        """Returns when all answers are there, or the time is over."""
        began_s, timeout_s = self.clock(), self.settings.answer_timeout
        num = self._num_awaited(phase)
        self.say(
            f"waiting for {_answers(num)} at step {step:,}: "
            f"{self._num_answers(phase)} of {max(self.totals)} are there"
            + ("" if timeout_s is None else f"; for {timeout_s:g} s at most")
        )
        has_arrived = False
        while not has_arrived:
            num = self._num_awaited(phase)
            self._tell(f"The agent waits for {_answers(num)}.")
            num_there = self._num_answers(phase)
            with self.doing(WAITING, f"for {_answers(num)}", num_answers=num_there):
                while not (has_arrived := self._has_arrived(phase, step)):
                    if timeout_s is not None and self.clock() - began_s >= timeout_s:
                        self.say(
                            f"went on after {timeout_s:g} s without the answers to "
                            f"{self.asker.num_open} questions"
                        )
                        return
                    self.sleep(LOOK_EVERY_S)
                    if self._num_awaited(phase) != num:
                        break

    def _tell(self, sentence: str) -> None:
        if sentence != self._told:
            self.tell(sentence)
            self._told = sentence

    def _sentence(self, phase: int, step: int) -> str:
        """Says what whoever answers waits for while the agent works; "" where questions wait."""
        if self.asker.num_open or not self.asker.is_async:
            return ""
        later = [i for i in self._sessions(len(self.totals) - 1) if i > phase]
        if not later:
            return "All questions of this run are answered."
        first_step = sum(self.phase_steps[: later[0]])
        if first_step <= step:
            return "The agent learns from the answers; the next questions come right after."
        return f"The next questions come at step {first_step:,}."


def mark_of(dataset: PreferenceDataset) -> str:
    """Returns a short name for all that was answered, skips apart."""
    is_told = ~np.isnan(dataset.p_left)
    told = (dataset.question[is_told], dataset.p_left[is_told])
    return hashlib.sha256(b"".join(column.tobytes() for column in told)).hexdigest()[:16]


def _answers(num: int) -> str:
    return f"{num} {'answer' if num == 1 else 'answers'}"


def nothing_to_learn_of(num_skips: int, num_open: int) -> str:
    """Says why a session cannot be fitted."""
    if num_open:
        return (
            f"the teacher has answered no query so far ({num_skips} skipped, {num_open} open); "
            "nothing can be learned yet. The questions stay open: go on once there are answers"
        )
    if not num_skips:
        return (
            "there is only one segment, which makes no pair to ask about; nothing can be learned. "
            f"Choose a smaller {option('segment_length')}, or more {option('explore_steps')}"
        )
    return f"the teacher has skipped every query so far ({num_skips}); nothing can be learned"
