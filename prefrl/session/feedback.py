"""Everything that turns segments into a reward, and how a run asks with it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from prefrl.config import PaceConfig, SessionSettings
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher
from prefrl.feedback.protocols import AsyncTeacher, Teacher, check_can_be_asked, is_async
from prefrl.plan import Phase
from prefrl.queries.predictor import Predictor, QueryStrategy
from prefrl.queries.strategies import as_strategy, with_ease
from prefrl.records.run_records import Records
from prefrl.seeding import Streams
from prefrl.segments import EpisodeStore
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pacing import Pacer
from prefrl.session.pool import StoreSource
from prefrl.session.questions import MemoryQuestions, QuestionStore
from prefrl.types import RewardFunction, State


class RewardLearner(Predictor, Protocol):
    """A reward model together with the way it is fitted."""

    def fit(self, comparisons: Any, *, session: int) -> dict[str, float]:
        """Fits to every comparison so far; returns metrics worth logging."""
        ...

    def reward_function(self) -> RewardFunction:
        """Returns the present reward, ready to be put into environments."""
        ...

    def state(self) -> State:
        """Returns everything needed to restore it."""
        ...

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        ...


@dataclass
class Feedback:
    """Everything that turns segments into a reward.

    Args:
        teacher: who answers.
        strategy: chooses the queries, from the second session on; the first is uniform.
        learner: the reward model with the way it is fitted.
        settings: how candidates are drawn, and whether their worth is weighed by ease.
        dataset: all queries so far.
        path: the answers are written here before they are used; None keeps them in memory only.
        num_objectives: M; where there are several, the teacher learns which one a query is about.
        questions: those of a teacher that answers in its own time; None keeps them in memory only.
        pace: what the agent does while such a teacher takes its time.
    """

    teacher: Teacher | ObjectiveTeacher | AsyncTeacher
    strategy: QueryStrategy
    learner: RewardLearner
    settings: SessionSettings
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    path: Path | None = None
    num_objectives: int = 1
    questions: QuestionStore | None = None
    pace: PaceConfig = field(default_factory=PaceConfig)

    def __post_init__(self) -> None:
        check_can_be_asked(self.teacher, has_objectives=self.num_objectives > 1)
        self.strategy = as_strategy(self.strategy)
        if self.settings.ease:
            self.strategy = with_ease(self.strategy)


def make_pacer(
    feedback: Feedback,
    plan: Sequence[Phase],
    *,
    store: EpisodeStore,
    streams: Streams,
    records: Records,
) -> Pacer:
    """Returns who holds the sessions of a plan, about the episodes in a store.

    Args:
        feedback: turns segments into a reward.
        plan: the phases of the run.
        store: where the agent's episodes arrive.
        streams: the run's random streams.
        records: tell what a session waits for.
    """
    settings, pace, questions = feedback.settings, feedback.pace, feedback.questions
    if questions is None and is_async(feedback.teacher):
        # Answers that are there already are those of other questions.
        first_id = int(feedback.dataset.question.max(initial=-1)) + 1
        questions = MemoryQuestions(first_id, overlap=settings.overlap)
    chooser = Chooser(
        source=StoreSource(store, settings),
        strategy=feedback.strategy,
        predictor=feedback.learner,
        streams=streams,
        spread_factor=settings.spread_factor,
        audit_share=settings.audit_share,
        num_objectives=feedback.num_objectives,
    )
    asker = Asker(
        chooser,
        feedback.teacher,
        feedback.dataset,
        path=feedback.path,
        questions=questions,
        num_observed=settings.min_candidates,
        answer_timeout_s=pace.answer_timeout,
        open_ahead=pace.open_ahead,
        repeat_share=settings.repeat_share or 0.0,
        takes_whole=pace.sync_feedback,
    )
    return Pacer(
        asker,
        pace,
        totals=list(itertools.accumulate(phase.num_queries for phase in plan)),
        phase_steps=[phase.num_steps for phase in plan],
        say=records.say,
        tell=records.tell,
        doing=records.doing,
    )
