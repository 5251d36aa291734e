"""The questions that were put, as whoever asks has last seen them in their store.

Axes: N questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prefrl.feedback.pairs import window_pairs, windows_of
from prefrl.feedback.protocols import Question
from prefrl.seeding import REPEAT, Streams
from prefrl.session.question_store import PENDING, GivenAnswer, QuestionStore
from prefrl.session.unasked import Asked

# So many questions lie between an answer and its repeat, at least: it should not be remembered.
REPEAT_AFTER = 10

_NOTHING = Asked(np.zeros((0, 4), dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass
class PutQuestions:
    """Knows the questions in a store, which it reads again only where something has changed.

    Repeats are counted nowhere but in `repeated` and `pending_repeats`.

    Args:
        store: keeps the questions.
    """

    store: QuestionStore
    answers: Sequence[GivenAnswer] = field(default=(), init=False)
    """Of all annotators, skips too."""
    known: set[int] = field(default_factory=set, init=False)
    """The ids of the questions."""
    told: set[int] = field(default_factory=set, init=False)
    """Those with an answer that is no skip."""
    waiting: set[int] = field(default_factory=set, init=False)
    """Those that may still be answered and have no answer but skips."""
    half_told: set[int] = field(default_factory=set, init=False)
    """Those that may still be answered and have an answer."""
    repeated: set[int] = field(default_factory=set, init=False)
    """The questions that were put once more."""
    pending_repeats: set[int] = field(default_factory=set, init=False)
    """Repeats that may still be answered, by their own ids."""
    num_audits: int = field(default=0, init=False)
    """Questions that were drawn at random."""
    asked: Asked = field(default=_NOTHING, init=False)
    """The pairs of windows that the questions are about."""
    revision: int | None = field(default=None, init=False)
    """Of the store, when it was read last; None: it never was."""
    _session: dict[int, int] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.known)

    @property
    def num_open(self) -> int:
        """Counts the questions whose first answer may still come."""
        return len(self.waiting)

    def refresh(self) -> None:
        """Reads the store, if anything has changed since it was read last."""
        # Before the rest is read: what changes meanwhile is found the next time.
        revision = self.store.revision()
        if revision == self.revision:
            return
        is_first = self.revision is None
        standings = self.store.standings(with_repeats=True)
        unknown = [number for number in standings if number not in self._session]
        if is_first and len(unknown) > 1:
            entries = {one.question.id: one.question for one in self.store.entries()}
            self._learn([entries.get(n) or self.store.question(n) for n in unknown])
        else:
            self._learn([self.store.question(number) for number in unknown])
        answers = self.store.answers()
        self.answers = [one for one in answers if one.question in self.known]
        self.told = {one.question for one in self.answers if not math.isnan(one.p_left)}
        pending = {number for number, one in standings.items() if one.state in PENDING}
        self.pending_repeats = pending - self.known
        self.waiting = (pending & self.known) - self.told
        self.half_told = pending & self.told
        self.revision = revision

    def put(self, questions: Sequence[Question]) -> None:
        """Takes note of questions that were just put."""
        self._learn(questions)
        for question in questions:
            pending = self.waiting if question.repeat_of is None else self.pending_repeats
            pending.add(question.id)

    def withdraw(self, ids: Sequence[int], *, also_leased: bool = True) -> list[int]:
        """Ends questions and repeats that are pending; returns those without an answer."""
        withdrawn = self.store.withdraw(ids, also_leased=also_leased) if ids else []
        for pending in (self.waiting, self.pending_repeats):
            pending.difference_update(withdrawn)
        return withdrawn

    def pending(self) -> list[int]:
        """Returns the ids of all that may still be answered, repeats too, oldest first."""
        return sorted(self.waiting | self.half_told | self.pending_repeats)

    def pending_before(self, session: int) -> list[int]:
        """Returns those of them that were put before a session."""
        return [number for number in self.pending() if self._session[number] < session]

    def due_repeats(self, share: float, streams: Streams) -> list[int]:
        """Draws the questions that are to be put once more now.

        Args:
            share: of the answered questions that are repeated in all.
            streams: the run's random streams.
        """
        # A little is added so that ten tenths are a whole.
        num_due = int(len(self.told) * share + 1e-9) - len(self.repeated)
        old = sorted(self.told - self.half_told)[:-REPEAT_AFTER]
        free = [number for number in old if number not in self.repeated]
        if num_due <= 0 or not free:
            return []
        rng = streams.generator(REPEAT, len(self.repeated))
        drawn: list[int] = rng.choice(free, size=min(num_due, len(free)), replace=False).tolist()
        return drawn

    def _learn(self, questions: Sequence[Question]) -> None:
        self._session |= {question.id: question.session for question in questions}
        self.repeated |= {one.repeat_of for one in questions if one.repeat_of is not None}
        new = [question for question in questions if question.repeat_of is None]
        if not new:
            return
        self.known |= {question.id for question in new}
        self.num_audits += sum(question.is_audit for question in new)
        about = np.array([question.objective for question in new], dtype=np.int64)
        self.asked = self.asked.with_more(_window_pairs(new), about)


def _window_pairs(questions: Sequence[Question]) -> NDArray[np.int64]:
    """Returns (N, 4) the two windows of each question, as `prefrl.feedback.pairs` has them."""
    left, right = (
        np.concatenate([windows_of(getattr(question, side)) for question in questions])
        for side in ("left", "right")
    )
    return window_pairs(left, right)
