"""The loop: explore, ask, learn, relabel, train. It knows protocols only."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from prefrl.config import SessionSettings
from prefrl.errors import ConfigError, DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher
from prefrl.feedback.protocols import Teacher
from prefrl.plan import Phase
from prefrl.queries.predictor import Predictor, QueryStrategy
from prefrl.records import run_folder
from prefrl.records.checkpoint import Checkpoints
from prefrl.records.metrics import JsonLinesSink, Metrics
from prefrl.seeding import AGENT, Streams
from prefrl.segments import EpisodeStore
from prefrl.session.asker import Asker, asked_up_to
from prefrl.session.pool import StoreSource
from prefrl.types import Agent, EpisodeReturns, RewardFunction, State

__all__ = [
    "Feedback",
    "PreferenceLoop",
    "Records",
    "RewardLearner",
    "SessionSettings",
    "return_figures",
]

TIMED = ("rl_s", "reward_fit_s", "query_s", "relabel_s", "eval_s", "checkpoint_s")


class RewardLearner(Predictor, Protocol):
    """A reward model together with the way it is fitted."""

    def fit(self, comparisons: Any, *, session: int) -> dict[str, float]:
        """Fits to every comparison so far; returns figures worth logging."""
        ...

    def reward_function(self) -> RewardFunction:
        """The present reward, ready to be put into environments."""
        ...

    def state(self) -> State:
        """Everything needed to restore it."""
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
        settings: how candidates are drawn.
        dataset: all queries so far.
        path: the answers are written here before they are used; None keeps them in memory only.
        num_objectives: M; where there are several, the teacher is told which one a query is about.
    """

    teacher: Teacher | ObjectiveTeacher
    strategy: QueryStrategy
    learner: RewardLearner
    settings: SessionSettings
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    path: Path | None = None
    num_objectives: int = 1


@dataclass
class Records:
    """Where a run is written down.

    Args:
        metrics: receives figures.
        checkpoints: receives the state at the end of every phase; None keeps none.
        log: cut back to the last checkpoint on resume.
        on_checkpoint: called after each.
        on_phase_end: called when a phase has taken its steps, before its checkpoint.
    """

    metrics: Metrics = field(default_factory=lambda: Metrics([]))
    checkpoints: Checkpoints | None = None
    log: JsonLinesSink | None = None
    on_checkpoint: Callable[[], None] | None = None
    on_phase_end: Callable[[], None] | None = None


class PreferenceLoop:
    """Preference-based reinforcement learning over a plan of phases (Christiano et al. 2017).

    A phase begins with fresh environments and fresh random streams that depend on the seed and the
    phase's number alone; so the state saved at its end is all that a resumed run needs to go on
    exactly as the uninterrupted one would.

    Args:
        plan: the phases of the run.
        agent: the reinforcement learner.
        store: where the agent's episodes arrive.
        streams: the run's random streams.
        feedback: turns segments into a reward; None trains on whatever reward the agent has.
        records: where the run is written down.

    Raises:
        ConfigError: by the plan, the agent would train on a reward that nothing was learned of.
    """

    def __init__(
        self,
        *,
        plan: Sequence[Phase],
        agent: Agent,
        store: EpisodeStore,
        streams: Streams,
        feedback: Feedback | None,
        records: Records | None = None,
    ) -> None:
        self.plan = tuple(plan)
        _check_plan(self.plan, has_teacher=feedback is not None)
        self.agent = agent
        self.store = store
        self.streams = streams
        self.feedback = feedback
        self._asker = make_asker(feedback, store, streams) if feedback is not None else None
        self.records = records or Records()
        self.next_phase = 0
        self.seconds = dict.fromkeys(TIMED, 0.0)
        self.last_figures: dict[str, float] = {}
        self._has_warned = False

    def run(self) -> None:
        """Works through the rest of the plan."""
        if (
            self.next_phase == 0
        ):  # From its first step on a run can be resumed, with these settings.
            self._save()
        while self.next_phase < len(self.plan):
            self._run_phase(self.next_phase)
            if self.records.on_phase_end is not None:
                self.records.on_phase_end()
            self.next_phase += 1
            self._save()

    def _run_phase(self, index: int) -> None:
        phase = self.plan[index]
        if self.agent.num_steps != phase.start_step:
            raise DataError(
                f"phase {index} starts at step {phase.start_step}, "
                f"the agent is at {self.agent.num_steps}"
            )
        self._begin_phase()
        if phase.num_queries:
            self._hold_session(index)
        with self._timed("rl_s"):
            if phase.is_exploration:
                self.agent.explore(phase.num_steps)
            else:
                self.agent.train(phase.num_steps)
        figures = return_figures(self.agent.pop_finished(), is_exploration=phase.is_exploration)
        if self.feedback is not None:
            self._warn_of_early_ends(figures)
            figures |= _answer_counts(asked_up_to(self.feedback.dataset, index))
        self._write(figures)

    def _begin_phase(self) -> None:
        self.agent.begin_phase(self.streams.integer(AGENT, self.next_phase))

    def _hold_session(self, index: int) -> None:
        feedback, asker = self.feedback, self._asker
        assert feedback is not None and asker is not None
        planned = sum(phase.num_queries for phase in self.plan[: index + 1])
        with self._timed("query_s"):
            figures = asker.ask(planned, session=index)
        dataset = asked_up_to(feedback.dataset, index)
        if dataset.num_answers == 0:
            raise DataError(
                f"the teacher has skipped every query so far ({dataset.num_skips}); "
                "nothing can be learned"
            )
        with self._timed("reward_fit_s"):
            figures |= feedback.learner.fit(dataset, session=index)
        with self._timed("relabel_s"):
            reward_function = feedback.learner.reward_function()
            self.agent.set_reward(reward_function)
            self.agent.relabel(reward_function)
        self._write({**figures, **_answer_counts(dataset)})

    def _warn_of_early_ends(self, figures: dict[str, float]) -> None:
        if self._has_warned or not figures["terminated_share"] > 0:
            return
        self._has_warned = True
        warnings.warn(
            "episodes end early in this environment, which tells the agent about the reward it is "
            "to learn: a reward below zero teaches it to end them. Give the environment a fixed "
            "horizon if you can (a setting such as terminate_when_unhealthy=False)",
            stacklevel=2,
        )

    def _write(self, figures: dict[str, float]) -> None:
        self.last_figures |= {k: v for k, v in figures.items() if not math.isnan(v)}
        self.records.metrics.write(self.agent.num_steps, figures)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began_s

    def _save(self) -> None:
        if self.records.checkpoints is None:
            return
        with self._timed("checkpoint_s"):
            # Only a reset brings what unfinished episodes hold into the store: before it is saved,
            # as a run that is resumed would not have those steps to ask about.
            self._begin_phase()
            self.records.checkpoints.save(self.agent.num_steps, self.state())
        if self.records.on_checkpoint is not None:
            self.records.on_checkpoint()

    def state(self) -> State:
        """Everything needed to go on at the next phase; answers have a file of their own."""
        feedback, log = self.feedback, self.records.log
        return {
            "next_phase": self.next_phase,
            "agent": self.agent.state(),
            "store": self.store.state(),
            "learner": feedback.learner.state() if feedback else None,
            "num_queries": len(asked_up_to(feedback.dataset, self.next_phase - 1))
            if feedback
            else 0,
            "seconds": dict(self.seconds),
            "wall_s": self.records.metrics.wall_s,
            "last_figures": dict(self.last_figures),
            "log_position": log.position() if log else 0,
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned; the dataset must hold its answers already.

        Raises:
            DataError: answers that the checkpoint knows of are missing.
        """
        feedback = self.feedback
        self.next_phase = int(state["next_phase"])
        self.agent.restore(state["agent"])
        self.store.restore(state["store"])
        if feedback is not None:
            if len(feedback.dataset) < state["num_queries"]:
                raise DataError(
                    f"{run_folder.COMPARISONS} holds {len(feedback.dataset)} queries, the "
                    f"checkpoint knows of {state['num_queries']}: it is not the file the "
                    "checkpoint was made with"
                )
            feedback.learner.restore(state["learner"])
            if state["num_queries"]:
                self.agent.set_reward(feedback.learner.reward_function())
        self.seconds = dict(state["seconds"])
        self.last_figures = dict(state["last_figures"])
        if self.records.log is not None:
            self.records.log.truncate(int(state["log_position"]))


def make_asker(feedback: Feedback, store: EpisodeStore, streams: Streams) -> Asker:
    """Returns who asks about the episodes in a store."""
    return Asker(
        source=StoreSource(store, feedback.settings),
        teacher=feedback.teacher,
        strategy=feedback.strategy,
        predictor=feedback.learner,
        streams=streams,
        dataset=feedback.dataset,
        path=feedback.path,
        spread_factor=feedback.settings.spread_factor,
        num_observed=feedback.settings.min_candidates,
        num_objectives=feedback.num_objectives,
    )


def _answer_counts(dataset: PreferenceDataset) -> dict[str, float]:
    return {"num_answers": dataset.num_answers, "num_skips": dataset.num_skips}


def _check_plan(plan: Sequence[Phase], *, has_teacher: bool) -> None:
    """Refuses a plan by which the agent would train before there is a reward to train on."""
    has_asked = False
    for index, phase in enumerate(plan):
        has_asked |= phase.num_queries > 0
        if phase.num_queries and not has_teacher:
            raise ConfigError(f"phase {index} has queries, but there is no teacher to ask")
        if has_teacher and not has_asked and not phase.is_exploration:
            raise ConfigError(
                f"phase {index} trains before the first queries; let it explore, or ask at "
                "its start"
            )


def return_figures(
    episodes: Sequence[EpisodeReturns], *, is_exploration: bool = False
) -> dict[str, float]:
    """Mean returns of the episodes that ended in a phase; NaN where none did."""
    true = np.array([episode.true_return for episode in episodes])
    learned = np.array([episode.learned_return for episode in episodes])
    some = len(episodes) > 0
    return {
        "true_return": float(true.mean()) if some else math.nan,
        "true_return_std": float(true.std()) if some else math.nan,
        # While exploring there is no learned reward to sum.
        "learned_return": float(learned.mean()) if some and not is_exploration else math.nan,
        "num_episodes": float(len(episodes)),
        "terminated_share": float(np.mean([e.is_terminated for e in episodes])) if some else 0.0,
    }
