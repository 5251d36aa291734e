"""Labelling at work: questions are put ahead of those who answer, chosen by the newest model."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefrl.config import LabelConfig
from prefrl.errors import ConfigError, option
from prefrl.feedback.protocols import Answer, Question
from prefrl.runs.label.material import Material
from prefrl.runs.processes import Processes
from prefrl.session.asker import Asker

if TYPE_CHECKING:
    from prefrl.labelling.store import LabelStore

ALL_ANSWERED = "All questions are answered."
NONE_LEFT = "There is nothing more to ask about."

_LOOK_EVERY_S = 0.2
# What was skipped, withdrawn or leased is looked at again by then, whether or not anybody answers.
_REST_S = 10.0
# Fewer answers say too little to choose by.
_FIRST_FIT = 20
# The model is fitted anew once there are so many answers more, and such a share of them.
_FIT_AFTER = 10
_FIT_SHARE = 0.1


@dataclass
class LabelWork:
    """Puts questions about a material until it is interrupted.

    Args:
        material: what people are asked about.
        store: where questions are put and answered.
        settings: how much is asked.
        path: the answers are written here.
        say: called with what whoever started it should know.
    """

    material: Material
    store: "LabelStore"
    settings: LabelConfig
    path: Path
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _ask_at_s: float = field(default=-math.inf, init=False)
    _told: str = field(default="", init=False)

    def __post_init__(self) -> None:
        from prefrl.labelling.rows import StoreSettings
        from prefrl.labelling.run_status import read_run_status

        material, budget = self.material, self.settings.budget
        self._session = material.first_session
        told, here = self._answered()
        if budget is not None and budget <= here:
            raise ConfigError(
                f"{option('budget')} is {budget}, but {here} questions were answered here already; "
                "choose more"
            )
        self._asker = Asker(
            material.chooser,
            self,
            material.dataset,
            path=self.path,
            questions=self.store,
            open_ahead=self.settings.open_ahead,
            repeat_share=material.repeat_share,
        )
        before = self._asker.num_answered(self._session) - here
        self._total = before + (material.num_pairs if budget is None else budget)
        most = None if budget is None else told - here + budget
        self.store.set_settings(StoreSettings(most, overlap=material.overlap))
        known, env_id = read_run_status(self.store), material.env_id
        step = max(material.step, known.step)
        self._status = replace(known, env_id=env_id or known.env_id, step=step, has_ended=False)
        self._is_fitted, self._fitted_to = material.is_fitted, self._num_trained()

    def ask(self, questions: Sequence[Question]) -> None:
        """Gives questions their clips."""
        from prefrl.labelling.clips.giving import give_clips

        give_clips(self.store, questions, self.material.spec)

    def collect(self) -> Sequence[Answer]:
        """Returns nothing, as people answer into the store."""
        return ()

    def run(self, processes: Processes) -> None:
        """Asks until it is interrupted.

        Args:
            processes: show the questions; they are looked after.
        """
        self._tell_pages("")
        while True:
            self._turn()
            processes.look_after()
            self.sleep(_LOOK_EVERY_S)

    def finish(self) -> int:
        """Brings the file to what people have said; returns how many questions they answered."""
        self._asker.collect(self._session)
        return self._answered()[1]

    def _turn(self) -> None:
        """Takes what was answered, fits the model where that is worth it, and asks for more."""
        num_changed = self._asker.collect(self._session)
        self._fit()
        # Most of the time nobody has answered anything since.
        if num_changed or self.clock() >= self._ask_at_s:
            self._ask_at_s = self.clock() + _REST_S
            with warnings.catch_warnings():  # Pages say it.
                warnings.filterwarnings("ignore", "every pair of the")
                self._asker.ask_missing(
                    self._total,
                    session=self._session,
                    step=self.material.step,
                    is_fitted=self._is_fitted,
                )
        sentence = ""
        if not self._asker.num_open:
            is_done = self._asker.num_answered(self._session) >= self._total
            sentence = ALL_ANSWERED if is_done else NONE_LEFT
        if sentence != self._told:
            self._tell_pages(sentence)
            if sentence:
                self.say(f"{sentence} Ctrl-C ends the service; until then answers may be changed.")

    def _fit(self) -> None:
        learner, num = self.material.learner, self._num_trained()
        more = max(_FIT_AFTER, _FIT_SHARE * self._fitted_to)
        if learner is None or num < (self._fitted_to + more if self._is_fitted else _FIRST_FIT):
            return
        learner.fit(self.material.dataset, session=self._session + num)
        self._fitted_to, self._is_fitted = num, True

    def _num_trained(self) -> int:
        """Counts the answers that the model would be fitted to."""
        dataset = self.material.dataset
        return int((~np.isnan(dataset.p_left) & ~dataset.is_validation).sum())

    def _tell_pages(self, sentence: str) -> None:
        """Tells pages what is waited for; whether or not a run has ended, this has not."""
        from prefrl.labelling.run_status import write_run_status

        write_run_status(self.store, replace(self._status, waits_for=sentence))
        self._told = sentence

    def _answered(self) -> tuple[int, int]:
        """Counts the questions of the store that were answered, and those of them put here."""
        told = {
            one.question: one.session
            for one in self.store.answers()
            if one.is_repeat_of is None and not math.isnan(one.p_left)
        }
        return len(told), sum(session >= self._session for session in told.values())
