"""One way to ask: queries are chosen and put to the teacher, and its answers are kept.

Axes: B queries.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import flag, instance, path, whole_number
from prefrl.errors import ArgumentError, DataError, calling, not_a
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher
from prefrl.feedback.protocols import (
    AsyncTeacher,
    Observer,
    Question,
    Teacher,
    check_can_be_asked,
    is_async,
)
from prefrl.seeding import OBSERVE, SPLIT, TEACHER
from prefrl.session.chooser import Chooser, Chosen
from prefrl.session.listed import ListedPairs
from prefrl.session.put_questions import PutQuestions
from prefrl.session.question_store import GivenAnswer, QuestionStore
from prefrl.session.questions import MemoryQuestions
from prefrl.session.reconciling import apply, changes_of
from prefrl.session.teacher_calls import checked_answers, collected, observed
from prefrl.session.unasked import Asked, asked_up_to, other_queries

# A teacher that skips is asked again, about other segments, until so many times the wanted answers
# were put to it; what is still missing then is asked for in the next session.
MAX_QUERIES_PER_ANSWER = 20
# A list of open questions is filled up when a quarter of it is answered: a batch is chosen better
# than its questions one by one.
REFILLS = 4


@dataclass
class Asker:
    """Asks a teacher, and keeps what it says.

    A teacher that answers at once is asked until the answers are there. For one that answers in its
    own time, questions are put into a store, which is the truth from then on: `collect` brings the
    dataset to what the store says, whoever changed it. A dataset has a row for each annotator's
    answer to a question; what counts as an answer in `ask` is a question with one at least.

    Args:
        chooser: finds queries that are worth asking, or the next of those that are listed.
        teacher: who answers.
        dataset: receives the answers.
        path: the answers are written here before they are used; None keeps them in memory only.
        questions: those of a teacher that answers in its own time; None keeps them in memory.
        num_observed: segments that the teacher is shown at the start of a session, drawn plainly;
            None shows it each pool instead, as drawn, before any spreading.
        answer_timeout_s: a question that has been open for longer when a session begins is
            withdrawn, and another one asked in its place; None waits for ever.
        open_ahead: so many questions are open at most, and others are put as these are answered;
            None puts all of a session at once.
        repeat_share: share of the answered questions that are put once more, later and with their
            sides swapped; they are no part of the dataset, and cost no answers.
        takes_whole: answers are taken when no question is open any more, in the order in which they
            were asked, so that the dataset is that of a teacher who answers at once.
        clock: seconds, from any moment on.
    """

    chooser: Chooser | ListedPairs
    teacher: Teacher | ObjectiveTeacher | AsyncTeacher
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    path: Path | None = None
    questions: QuestionStore | None = None
    num_observed: int | None = None
    answer_timeout_s: float | None = None
    open_ahead: int | None = None
    repeat_share: float = 0.0
    takes_whole: bool = False
    clock: Callable[[], float] = time.monotonic
    _asked_s: dict[int, float] = field(default_factory=dict, init=False)
    _put: PutQuestions | None = field(default=None, init=False)
    _others: tuple[Asked, int] | None = field(default=None, init=False)
    _has_begun: bool = field(default=False, init=False)
    # Of the store as the dataset has it: who else reads the store makes the dataset no newer.
    _revision: int | None = field(default=None, init=False)
    _has_warned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.chooser, (Chooser, ListedPairs)):
            raise ArgumentError(not_a("chooser", self.chooser, "a Chooser or ListedPairs"))
        instance("dataset", self.dataset, PreferenceDataset)
        check_can_be_asked(self.teacher)
        if self.path is not None:
            self.path = path("path", self.path)
        if self.num_observed is not None:
            whole_number("num_observed", self.num_observed, least=1)
        if self.open_ahead is not None:
            self.open_ahead = whole_number("open_ahead", self.open_ahead, least=1)
        if not isinstance(self.repeat_share, (int, float)) or not 0 <= self.repeat_share <= 1:
            raise ArgumentError(not_a("repeat_share", self.repeat_share, "a number from 0 to 1"))
        self.takes_whole = flag("takes_whole", self.takes_whole)
        if not self.is_async:
            self.questions = None
        elif self.questions is None:
            # Answers that are there already are those of other questions.
            self.questions = MemoryQuestions(int(self.dataset.question.max(initial=-1)) + 1)
        if self.questions is not None:
            self._put = PutQuestions(self.questions)

    @property
    def is_async(self) -> bool:
        """Tells whether questions can stay open."""
        return is_async(self.teacher)

    @property
    def num_open(self) -> int:
        """Counts the questions whose first answer may still come, repeats apart."""
        return 0 if self._put is None else self._seen(self._put).num_open

    def num_answered(self, session: int) -> int:
        """Counts the questions that were answered by all that counts in a session.

        Args:
            session: as in `known`.
        """
        if self._put is None:
            return self.known(session).num_answered
        num_others = self._other_queries(self._put)[1]
        return len(self._put.told) + num_others

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
            metrics = observed(self.teacher, self.chooser.draw(self.num_observed, rng=rng))
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
        # Copied, as it may be the very dataset that is added to.
        before_it = before.question.copy()
        patience = MAX_QUERIES_PER_ANSWER * max(total - before.num_answered, 0)
        if is_fitted is None:
            is_fitted = len(before_it) > 0
        while True:
            known, num_open = self.known(session), self.num_open
            num_answered = self.num_answered(session)
            num_put = len(np.setdiff1d(self._put_or_open(known), before_it))
            missing = min(total - num_answered - num_open, patience - num_put)
            missing = self._room_for(missing, num_open)
            if missing <= 0:
                break
            chosen = self._chosen(missing, known, is_fitted)
            if chosen is None:
                self._warn_of_the_rest(total, num_answered + num_open)
                break
            if isinstance(self.teacher, AsyncTeacher):
                self._put_to(self.teacher, chosen, session, step)
            else:
                self._answer_at_once(self.teacher, chosen, session, known)
        self._repeat(session, step)

    def _put_or_open(self, known: PreferenceDataset) -> NDArray[np.int64]:
        """Returns the numbers of the queries that were answered or skipped, or may be."""
        waiting = [] if self._put is None else list(self._seen(self._put).waiting)
        return np.concatenate([known.question, np.array(waiting, dtype=np.int64)])

    def _room_for(self, missing: int, num_open: int) -> int:
        """Returns how many of the questions that are missing are put now."""
        if self.takes_whole and num_open:
            return 0
        if self.open_ahead is None:
            return missing
        room = max(self.open_ahead - num_open, 0)
        return min(missing, room) if room >= min(missing, self.open_ahead // REFILLS) else 0

    def _answer_at_once(
        self,
        teacher: Teacher | ObjectiveTeacher,
        chosen: Chosen,
        session: int,
        known: PreferenceDataset,
    ) -> None:
        # Streams count in queries, so they go on after a kill as if nothing had happened.
        rng = self.chooser.streams.generator(TEACHER, len(known))
        # Who answers about the only objective is not asked which it is.
        about = {"objective": chosen.objective} if self.chooser.num_objectives > 1 else {}
        answer: Callable[..., NDArray[np.float64]] = teacher.answer
        # What a teacher writes into is its own, not what is kept.
        shown = chosen[np.arange(len(chosen))]
        with calling(f"answer of {type(teacher).__name__}"):
            answers = answer(shown.left, shown.right, rng=rng, **about)
        self.dataset.add(
            chosen.left,
            chosen.right,
            checked_answers(teacher, answers, len(chosen)),
            session=session,
            rng=self.chooser.streams.generator(SPLIT, len(known)),
            is_audit=chosen.is_audit,
            objective=chosen.objective,
        )
        self._save()

    def collect(self, session: int) -> int:
        """Brings the dataset to what the store says; returns how many answers that changed.

        Args:
            session: the round that new ones count for from now on.
        """
        if self.questions is None or not isinstance(self.teacher, AsyncTeacher):
            return 0
        num_changed = 0
        if not self._has_begun:
            # What a kill may have cut off is put right, and what is open is asked again.
            num_changed += self._reconcile(session)
            assert self._put is not None
            pending = [self.questions.question(number) for number in self._put.pending()]
            self._hand_over(self.teacher, pending)
            self._has_begun = True
        arrived = collected(self.teacher)
        news = self.questions.answer(arrived) if arrived else []
        return num_changed + self._reconcile(session, news)

    def withdraw_open(self) -> int:
        """Ends all questions that are open, and returns how many had no answer; repeats apart."""
        if self._put is None:
            return 0
        self._put.refresh()
        repeats = set(self._put.pending_repeats)
        return len(set(self._put.withdraw(self._put.pending())) - repeats)

    def withdraw_older(self, session: int) -> int:
        """Ends the questions that were put before a session, but for those somebody looks at.

        Returns:
            how many they are, repeats among them.
        """
        if self._put is None:
            return 0
        self._put.refresh()
        return len(self._put.withdraw(self._put.pending_before(session), also_leased=False))

    def _chosen(self, num_queries: int, known: PreferenceDataset, is_fitted: bool) -> Chosen | None:
        put = self._put
        if put is None:
            asked = Asked(known.window_pairs(), known.objective)
            num_before, num_audits = len(known), int(known.is_audit.sum())
        else:
            others, _ = self._other_queries(put)
            asked = put.asked.with_more(others.windows, others.objective)
            num_before = max(len(put), len(np.unique(known.question)))
            num_audits = put.num_audits if len(put) else int(known.is_audit.sum())
        show = None
        if self.num_observed is None and isinstance(self.teacher, Observer):
            show = partial(observed, self.teacher)
        return self.chooser.choose(
            num_queries,
            asked=asked,
            num_before=num_before,
            num_audits_before=num_audits,
            is_fitted=is_fitted,
            show=show,
        )

    def _warn_of_the_rest(self, total: int, num_put: int) -> None:
        """Says once that there are fewer pairs than are to be asked about."""
        num = self.chooser.num_segments()
        if not self._has_warned:
            each = "" if self.chooser.num_objectives == 1 else ", each for every objective"
            warnings.warn(
                f"every pair of the {num:,} segments there are was asked about{each}: so far there "
                f"are {num_put:,} answers, open questions among them, of {total:,}; later sessions "
                "ask for the rest, as far as there are other segments then",
                stacklevel=2,
            )
        self._has_warned = True

    def _put_to(self, teacher: AsyncTeacher, chosen: Chosen, session: int, step: int) -> None:
        assert self.questions is not None
        assert self._put is not None
        questions = self.questions.put(
            chosen.left,
            chosen.right,
            session=session,
            policy_step=step,
            objective=chosen.objective,
            is_audit=chosen.is_audit,
        )
        self._put.put(questions)
        self._hand_over(teacher, questions)

    def _hand_over(self, teacher: AsyncTeacher, questions: Sequence[Question]) -> None:
        if questions:
            with calling(f"ask of {type(teacher).__name__}"):
                teacher.ask([question.copied() for question in questions])
        self._asked_s |= dict.fromkeys((question.id for question in questions), self.clock())

    def _repeat(self, session: int, step: int) -> None:
        """Puts questions once more, as many as are due."""
        put, teacher = self._put, self.teacher
        if not self.repeat_share or put is None or not isinstance(teacher, AsyncTeacher):
            return
        assert self.questions is not None
        for number in put.due_repeats(self.repeat_share, self.chooser.streams):
            # Its answer may have been taken back since the store was read.
            with contextlib.suppress(DataError):
                repeat = self.questions.put_repeat(number, session=session, policy_step=step)
                put.put([repeat])
                self._hand_over(teacher, [repeat])

    def _reconcile(self, session: int, first: Sequence[GivenAnswer] = ()) -> int:
        """Brings the dataset to what the store says; returns how many answers that changed."""
        assert self.questions is not None
        put = self._put
        assert put is not None
        put.refresh()
        if put.revision == self._revision or (self.takes_whole and put.num_open):
            return 0
        first = () if self.takes_whole else first
        changes = changes_of(self.dataset, put.answers, put=put.known, first=first)
        if changes:
            rng = self.chooser.streams.generator(SPLIT, len(self.dataset))
            apply(self.dataset, changes, session=session, question=self.questions.question, rng=rng)
            self._save()
        self._revision = put.revision
        return len(changes)

    def _save(self) -> None:
        if self.path is not None:
            self.dataset.save(self.path)

    def _seen(self, put: PutQuestions) -> PutQuestions:
        """Returns what is known of the store, which has been read once at least."""
        if put.revision is None:
            put.refresh()
        return put

    def _other_queries(self, put: PutQuestions) -> tuple[Asked, int]:
        """Returns `other_queries` of the store's questions: nobody adds to them."""
        if self._others is None:
            self._others = other_queries(self.dataset, self._seen(put).known)
        return self._others

    def _withdraw_overdue(self) -> None:
        if self._put is None or self.answer_timeout_s is None:
            return
        latest_s = self.clock() - self.answer_timeout_s
        overdue = [n for n in self._put.pending() if self._asked_s.get(n, np.inf) <= latest_s]
        # Where people answer, nothing is taken away from under their eyes.
        self._put.withdraw(overdue, also_leased=self.open_ahead is None)
