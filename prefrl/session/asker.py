"""One way to ask: queries are chosen and put to the teacher, and its answers are kept.

Axes: B queries.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import as_array, flag, instance, path, whole_number
from prefrl.errors import ContractError, DataError, calling, shown
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher
from prefrl.feedback.pairs import window_pairs, windows_of
from prefrl.feedback.protocols import (
    Answer,
    AsyncTeacher,
    Observer,
    Question,
    Teacher,
    check_can_be_asked,
    is_async,
)
from prefrl.seeding import OBSERVE, SPLIT, TEACHER
from prefrl.segments import SegmentBatch
from prefrl.session.chooser import Chooser, Chosen
from prefrl.session.questions import PENDING, Entry, MemoryQuestions, QuestionStore
from prefrl.session.unasked import Asked

# A teacher that skips is asked again, about other segments, until so many times the wanted answers
# were put to it; what is still missing then is asked for in the next session.
MAX_QUERIES_PER_ANSWER = 20


@dataclass
class Asker:
    """Asks a teacher, and keeps what it says.

    A teacher that answers at once is asked until the answers are there. For one that answers in its
    own time, questions are put into a store, and `collect` takes in the answers that have arrived.

    Args:
        chooser: finds queries that are worth asking.
        teacher: who answers.
        dataset: receives the answers.
        path: the answers are written here before they are used; None keeps them in memory only.
        questions: those of a teacher that answers in its own time; None keeps them in memory.
        num_observed: segments that the teacher is shown at the start of a session, drawn plainly;
            None shows it each pool instead, as drawn, before any spreading.
        answer_timeout_s: a question that has been open for longer when a session begins is
            withdrawn, and another one asked in its place; None waits for ever.
        clock: seconds, from any moment on.
    """

    chooser: Chooser
    teacher: Teacher | ObjectiveTeacher | AsyncTeacher
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    path: Path | None = None
    questions: QuestionStore | None = None
    num_observed: int | None = None
    answer_timeout_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    _asked_s: dict[int, float] = field(default_factory=dict, init=False)
    _has_begun: bool = field(default=False, init=False)
    _has_warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        instance("chooser", self.chooser, Chooser)
        instance("dataset", self.dataset, PreferenceDataset)
        check_can_be_asked(self.teacher)
        if self.path is not None:
            self.path = path("path", self.path)
        if self.num_observed is not None:
            whole_number("num_observed", self.num_observed, least=1)
        if not self.is_async:
            self.questions = None
        elif self.questions is None:
            # Answers that are there already are those of other questions.
            self.questions = MemoryQuestions(int(self.dataset.question.max(initial=-1)) + 1)

    @property
    def is_async(self) -> bool:
        """Tells whether questions can stay open."""
        return is_async(self.teacher)

    @property
    def num_open(self) -> int:
        """Questions that may still be answered."""
        return len(self.questions.entries(*PENDING)) if self.questions is not None else 0

    def known(self, session: int) -> PreferenceDataset:
        """Returns the queries that count in a session.

        Args:
            session: of a teacher that answers at once, those of sessions 0 to this one. Of any
                other all count, from whichever checkpoint a run goes on: what was answered is not
                asked for again, and what is there at which step is up to the clock anyway.
        """
        return self.dataset if self.is_async else asked_up_to(self.dataset, session)

    def ask(
        self, total: int, *, session: int, step: int = 0, is_fitted: bool | None = None
    ) -> dict[str, float]:
        """Begins a session: asks for what is missing of `total` answers.

        A teacher that answers at once has then given them, or skipped nearly everything.

        Args:
            total: answers there are to be, those of earlier sessions among them.
            session: the number of this round; answers on disk from before a kill count.
            step: environment steps that the policy has taken.
            is_fitted: the reward model has been fitted, so that strategies may consult it; None:
                if there are answers of earlier sessions.

        Returns:
            what the teacher says of the segments it was shown.
        """
        total, session = whole_number("total", total), whole_number("session", session)
        step = whole_number("step", step)
        is_fitted = None if is_fitted is None else flag("is_fitted", is_fitted)
        self.collect(session)
        self._withdraw_overdue()
        metrics: dict[str, float] = {}
        if self.num_observed is not None and isinstance(self.teacher, Observer):
            rng = self.chooser.streams.generator(OBSERVE, session)
            metrics = _observed(self.teacher, self.chooser.source.draw(self.num_observed, rng=rng))
        self.ask_missing(total, session=session, step=step, is_fitted=is_fitted)
        return metrics

    def ask_missing(
        self, total: int, *, session: int, step: int = 0, is_fitted: bool | None = None
    ) -> None:
        """Asks for as many answers as neither are there nor may come from open questions.

        Args:
            total: as in `ask`, as are the others.
            session: likewise.
            step: likewise.
            is_fitted: likewise.
        """
        before = asked_up_to(self.dataset, session - 1)
        # Numbers, as it may be the very dataset that is added to.
        num_before = len(before)
        patience = MAX_QUERIES_PER_ANSWER * max(total - before.num_answers, 0)
        if is_fitted is None:
            is_fitted = num_before > 0
        while True:
            known, num_open = self.known(session), self.num_open
            num_put = len(known) - num_before + num_open
            missing = min(total - known.num_answers - num_open, patience - num_put)
            if missing <= 0:
                return
            chosen = self._chosen(missing, known, is_fitted)
            if chosen is None:
                self._warn_of_the_rest(total, known.num_answers + num_open)
                return
            if isinstance(self.teacher, AsyncTeacher):
                self._put(self.teacher, chosen, session, step)
            else:
                # Streams count in queries, so they go on after a kill as if nothing had happened.
                rng = self.chooser.streams.generator(TEACHER, len(known))
                # Who answers about the only objective is not asked which it is.
                about = {"objective": chosen.objective} if self.chooser.num_objectives > 1 else {}
                answer: Callable[..., NDArray[np.float64]] = self.teacher.answer
                # What a teacher writes into is its own, not what is kept.
                shown = chosen[np.arange(len(chosen))]
                with calling(f"answer of {type(self.teacher).__name__}"):
                    answers = answer(shown.left, shown.right, rng=rng, **about)
                answers = _checked_answers(self.teacher, answers, len(chosen))
                self._keep(chosen, answers, session, len(known))

    def collect(self, session: int) -> int:
        """Takes in the answers that have arrived, and returns how many they were.

        Args:
            session: the round that they count for from now on.
        """
        if self.questions is None or not isinstance(self.teacher, AsyncTeacher):
            return 0
        if not self._has_begun:
            self._begin_again(self.teacher, session)
        return self._take(self.questions.answer(_collected(self.teacher)), session)

    def withdraw_open(self) -> int:
        """Ends all questions that are open, and returns how many they were."""
        if self.questions is None:
            return 0
        return len(self.questions.withdraw(e.question.id for e in self.questions.entries(*PENDING)))

    def _chosen(self, num_queries: int, known: PreferenceDataset, is_fitted: bool) -> Chosen | None:
        put = self.questions.entries() if self.questions is not None else []
        about = [entry.question.objective for entry in put]
        asked = Asked(known.window_pairs(), known.objective).with_more(
            _window_pairs(put), np.array(about, dtype=np.int64)
        )
        audits = sum(e.question.is_audit for e in put) if put else int(known.is_audit.sum())
        show = None
        if self.num_observed is None and isinstance(self.teacher, Observer):
            show = partial(_observed, self.teacher)
        return self.chooser.choose(
            num_queries,
            asked=asked,
            num_before=max(len(put), len(known)),
            num_audits_before=audits,
            is_fitted=is_fitted,
            show=show,
        )

    def _warn_of_the_rest(self, total: int, num_put: int) -> None:
        """Says once that there are fewer pairs than are to be asked about."""
        num = self.chooser.source.num_segments()
        if not self._has_warned:
            each = "" if self.chooser.num_objectives == 1 else ", each for every objective"
            warnings.warn(
                f"every pair of the {num:,} segments there are was asked about{each}: so far there "
                f"are {num_put:,} answers, open questions among them, of {total:,}; later sessions "
                "ask for the rest, as far as there are other segments then",
                stacklevel=2,
            )
        self._has_warned = True

    def _put(self, teacher: AsyncTeacher, chosen: Chosen, session: int, step: int) -> None:
        assert self.questions is not None
        questions = self.questions.put(
            chosen.left,
            chosen.right,
            session=session,
            policy_step=step,
            objective=chosen.objective,
            is_audit=chosen.is_audit,
        )
        self._hand_over(teacher, questions)

    def _hand_over(self, teacher: AsyncTeacher, questions: Sequence[Question]) -> None:
        if questions:
            with calling(f"ask of {type(teacher).__name__}"):
                teacher.ask([question.copied() for question in questions])
        self._asked_s |= dict.fromkeys((question.id for question in questions), self.clock())

    def _begin_again(self, teacher: AsyncTeacher, session: int) -> None:
        """Puts right what a kill may have cut off, and asks what is open again."""
        assert self.questions is not None
        known = set(self.dataset.question.tolist())
        entries = self.questions.entries("answered", "skipped")
        lost = [e.standing.answer for e in entries if e.question.id not in known]
        self._take([answer for answer in lost if answer is not None], session)
        self._hand_over(teacher, [e.question for e in self.questions.entries(*PENDING)])
        self._has_begun = True

    def _take(self, answers: Sequence[Answer], session: int) -> int:
        """Makes rows of answers that the store knows already."""
        if not answers:
            return 0
        assert self.questions is not None
        known = {e.question.id: e.question for e in self.questions.entries("answered", "skipped")}
        asked = [known[answer.question] for answer in answers]
        chosen = Chosen(
            SegmentBatch.concatenate([question.left for question in asked]),
            SegmentBatch.concatenate([question.right for question in asked]),
            np.array([question.is_audit for question in asked]),
            np.array([question.objective for question in asked]),
        )
        p_left = np.array([answer.p_left for answer in answers])
        num_before = len(self.known(session))
        self._keep(chosen, p_left, session, num_before, asked, answers)
        return len(answers)

    def _keep(
        self,
        chosen: Chosen,
        p_left: NDArray[np.float64],
        session: int,
        num_before: int,
        questions: Sequence[Question] = (),
        answers: Sequence[Answer] = (),
    ) -> None:
        self.dataset.add(
            chosen.left,
            chosen.right,
            p_left,
            session=session,
            rng=self.chooser.streams.generator(SPLIT, num_before),
            is_audit=chosen.is_audit,
            objective=chosen.objective,
            question=[question.id for question in questions] or None,
            annotator=[answer.annotator for answer in answers] or None,
        )
        if self.path is not None:
            self.dataset.save(self.path)

    def _withdraw_overdue(self) -> None:
        if self.questions is None or self.answer_timeout_s is None:
            return
        latest_s = self.clock() - self.answer_timeout_s
        pending = [entry.question.id for entry in self.questions.entries(*PENDING)]
        self.questions.withdraw(n for n in pending if self._asked_s[n] <= latest_s)


def _window_pairs(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Returns (B, 4) the two windows of each question, as `prefrl.feedback.pairs` has them."""
    nothing = np.zeros((0, 2), dtype=np.int64)
    left = [windows_of(entry.question.left) for entry in entries]
    right = [windows_of(entry.question.right) for entry in entries]
    return window_pairs(np.concatenate([nothing, *left]), np.concatenate([nothing, *right]))


def _observed(teacher: Observer, pool: SegmentBatch) -> dict[str, float]:
    """Shows a teacher segments, and returns its metrics.

    Raises:
        ContractError: it raised, or returned something else than numbers by name.
    """
    name = type(teacher).__name__
    with calling(f"observe of {name}"):
        metrics: Any = teacher.observe(pool)
    if metrics is None:
        return {}
    try:
        return {str(key): float(value) for key, value in dict(metrics).items()}
    except (TypeError, ValueError):
        raise ContractError(
            f"observe of {name} returned {shown(metrics)}; expected a dict of "
            "numbers by name, which may be empty"
        ) from None


def _checked_answers(teacher: object, answers: object, num: int) -> NDArray[np.float64]:
    """Returns the answers of a teacher of anybody's, once they are known to be some.

    Raises:
        ContractError: they are not one number in [0, 1] or NaN a query.
    """
    expected = f"({num},) numbers: 1 left, 0 right, 0.5 tie, the share of votes for left, NaN skip"
    what = f"answer of {type(teacher).__name__} returned"
    try:
        array = as_array(answers)
    except Exception as error:  # ragged, or whatever somebody's object does
        raise ContractError(f"{what} {shown(answers)}; expected {expected}") from error
    if array.dtype.kind not in "fiub":
        said = shown(answers)
        raise ContractError(f"{what} {said}; expected {expected}")
    if array.shape != (num,):
        raise ContractError(f"{what} an array of shape {array.shape}; expected {expected}")
    p_left = array.astype(np.float64)
    wrong = np.flatnonzero(~(np.isnan(p_left) | ((p_left >= 0) & (p_left <= 1))))
    if len(wrong):
        raise ContractError(f"{what} {p_left[wrong[0]]:g} to query {wrong[0]}; expected {expected}")
    return p_left


def _collected(teacher: AsyncTeacher) -> list[Answer]:
    """Returns what has arrived; an iterator would be used up by whoever looks at it first.

    Raises:
        DataError: the teacher returned something else than answers.
    """
    with calling(f"collect of {type(teacher).__name__}"):
        arrived: Any = teacher.collect()
        answers: list[Answer] = list(arrived) if isinstance(arrived, Iterable) else [arrived]
    for answer in answers:
        if not isinstance(answer, Answer):
            raise DataError(
                f"collect of {type(teacher).__name__} returned {shown(answer)}; "
                "expected a list of Answer objects"
            )
    return answers


def asked_up_to(dataset: PreferenceDataset, session: int) -> PreferenceDataset:
    """Returns the queries of sessions 0..session.

    They are all there are, unless the run was resumed from a checkpoint before its newest: the
    answers of the sessions that are to come again then wait in the file.
    """
    is_known = dataset.session <= session
    return dataset if is_known.all() else dataset.select(is_known)
