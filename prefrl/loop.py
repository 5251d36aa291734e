"""The loop: explore, ask, learn, relabel, train. It knows protocols only."""

import hashlib
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from prefrl.arguments import instance, optional
from prefrl.config import SessionSettings
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.plan import Phase, check_plan
from prefrl.records import run_folder
from prefrl.records.remaining import (
    ASKING,
    EXPLORING,
    FITTING,
    RELABELLING,
    SAVING,
    TRAINING,
)
from prefrl.records.returns import return_metrics, warn_of_early_ends
from prefrl.records.run_records import Records
from prefrl.seeding import AGENT, Streams
from prefrl.segments import EpisodeStore
from prefrl.session.feedback import Feedback, RewardLearner, make_pacer
from prefrl.session.pacing import Pacer, nothing_to_learn_of
from prefrl.session.unasked import asked_up_to
from prefrl.types import Agent, State

__all__ = [
    "Feedback",
    "PreferenceLoop",
    "Records",
    "RewardLearner",
    "SessionSettings",
    "return_metrics",
]

TIMED = ("rl_s", "reward_fit_s", "query_s", "relabel_s", "eval_s", "checkpoint_s")


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
        ArgumentError: an argument is of another type, or lacks a method; it is named.
        ConfigError: by the plan, the agent would train on a reward that nothing was learned of.

    Example:
        >>> from prefrl import PreferenceLoop
        >>> from prefrl.agents import make_agent, make_model
        >>> from prefrl.envs import make_env, make_vec_env
        >>> from prefrl.plan import Phase
        >>> from prefrl.seeding import Streams
        >>> from prefrl.segments import EpisodeStore
        >>> store = EpisodeStore()
        >>> venv = make_vec_env(lambda: make_env("Pendulum-v1"), 1, store)
        >>> model = make_model("ppo", venv, {"n_steps": 64}, seed=0, device="cpu")
        >>> agent = make_agent(model)
        >>> plan = [Phase(start_step=0, num_steps=64, num_queries=0)]
        >>> loop = PreferenceLoop(
        ...     plan=plan, agent=agent, store=store, streams=Streams(0), feedback=None
        ... )
        >>> loop.run()  # with a Feedback, its teacher is asked before a phase with queries
        >>> agent.num_steps
        64
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
        self.plan = _checked_plan(plan)
        _check_agent(agent)
        instance("store", store, EpisodeStore)
        instance("streams", streams, Streams, "a prefrl.seeding.Streams: Streams(0)")
        optional("feedback", feedback, Feedback)
        optional("records", records, Records)
        check_plan(self.plan, has_teacher=feedback is not None)
        self.agent = agent
        self.store = store
        self.streams = streams
        self.feedback = feedback
        self.records = records or Records()
        self.pacer: Pacer | None = None
        if feedback is not None:
            self.pacer = make_pacer(
                feedback, self.plan, store=store, streams=streams, records=self.records
            )
        self.next_phase = 0
        self.seconds = dict.fromkeys(TIMED, 0.0)
        self.last_metrics: dict[str, float] = {}
        self._has_warned = False
        # How many answers the reward was last fitted to, and a digest of them: those in the file
        # may be others, where somebody has corrected some since.
        self._fitted = (0, "")
        self._is_corrected = False

    @property
    def last_figures(self) -> dict[str, float]:
        """`last_metrics` by the name that it had."""
        warnings.warn("last_figures is now last_metrics", DeprecationWarning, stacklevel=2)
        return self.last_metrics

    def run(self) -> None:
        """Works through the rest of the plan."""
        if self.next_phase == 0:
            self.save()  # From its first step on a run can be resumed, with these settings.
        while self.next_phase < len(self.plan):
            self._run_phase(self.next_phase)
            self.next_phase += 1
            self.save()
            if self.records.on_phase_end is not None:
                self.records.on_phase_end()
        self._end_asking()

    def _run_phase(self, index: int) -> None:
        phase = self.plan[index]
        if self.agent.num_steps != phase.start_step:
            raise DataError(
                f"phase {index} starts at step {phase.start_step}, "
                f"the agent is at {self.agent.num_steps}"
            )
        self._begin_phase()
        metrics = self._hold_session(index) if phase.num_queries else {}
        may_go_on = self._stretch(phase.num_steps) > 0
        self._fit_what_is_due(index, metrics, may_go_on=may_go_on, is_at_start=True)
        if self._is_corrected:
            self._fit(index, index, {})
        left, has_explored = phase.num_steps, phase.is_exploration
        while left:
            is_exploring = phase.is_exploration or not self._has_reward
            has_explored |= is_exploring
            size = self._stretch(left)
            with self._timed("rl_s", EXPLORING if is_exploring else TRAINING):
                if is_exploring:
                    self.agent.explore(size)
                else:
                    self.agent.train(size)
            left -= size
            if self.pacer is not None:
                self.pacer.steps_ahead += size
                may_go_on = left == 0 or self._stretch(left) > 0
                self._fit_what_is_due(index, may_go_on=may_go_on)
        metrics = return_metrics(self.agent.pop_finished(), is_exploration=has_explored)
        if self.feedback is not None:
            self._has_warned = self._has_warned or warn_of_early_ends(metrics)
            metrics |= self._answer_counts(index)
        self._write(metrics)

    @property
    def _has_reward(self) -> bool:
        return self.pacer is None or self.pacer.is_fitted

    def _begin_phase(self) -> None:
        seed = self.streams.integer(AGENT, self.next_phase)
        begin = getattr(self.agent, "begin_phase", None)
        if begin is None:
            name = type(self.agent).__name__
            said = f"begin_leg is now begin_phase; rename it in {name}"
            warnings.warn(said, DeprecationWarning, stacklevel=2)
            begin = self.agent.begin_leg  # type: ignore[attr-defined]
        begin(seed)

    def _hold_session(self, index: int) -> dict[str, float]:
        """Puts a session's questions, after those of the one before were answered."""
        assert self.pacer is not None
        if self.pacer.waiting_for is not None:
            self._fit_what_is_due(index, may_go_on=False)
        num_queries = f"{self.plan[index].num_queries:,}"
        with self._timed("query_s", ASKING, num_queries):
            return self.pacer.begin(index, self.agent.num_steps)

    def _stretch(self, left: int) -> int:
        """Returns how many of the steps that are left are taken before answers are looked for."""
        if self.pacer is None:
            return left
        # Every phase is a multiple of what the agent takes at once.
        multiple = math.gcd(*(phase.num_steps for phase in self.plan))
        multiple = int(getattr(self.agent, "stride", multiple))
        # A rollout is best not cut: an on-policy learner would learn from part of it.
        at_least = int(getattr(self.agent, "rollout_steps", 0))
        return self.pacer.stretch(left, multiple=multiple, at_least=at_least)

    def _fit_what_is_due(
        self,
        index: int,
        metrics: dict[str, float] | None = None,
        *,
        may_go_on: bool,
        is_at_start: bool = False,
    ) -> None:
        if self.pacer is None:
            return
        step = self.agent.num_steps
        with self._timed("query_s"):
            session = self.pacer.due(index, step, may_go_on=may_go_on, is_at_start=is_at_start)
        if session is not None:
            self._fit(session, index, metrics or {})
        elif metrics:
            self._write(metrics)

    def _fit(self, session: int, index: int, metrics: dict[str, float]) -> None:
        """Fits to every answer there is, and has the agent go on with the new reward."""
        feedback, pacer = self.feedback, self.pacer
        assert feedback is not None and pacer is not None
        dataset = pacer.asker.known(index)
        if dataset.num_answers == 0:
            raise DataError(nothing_to_learn_of(dataset.num_skips, pacer.asker.num_open))
        with self._timed("reward_fit_s", FITTING):
            metrics = metrics | feedback.learner.fit(dataset, session=session)
        pacer.fitted(dataset)
        self._fitted, self._is_corrected = (len(dataset), _digest(dataset)), False
        with self._timed("relabel_s", RELABELLING):
            reward_function = feedback.learner.reward_function()
            self.agent.set_reward(reward_function)
            self.agent.relabel(reward_function)
        self._write(metrics | self._answer_counts(index))

    def _end_asking(self) -> None:
        if self.pacer is None or not self.plan:
            return
        index = len(self.plan) - 1
        with self._timed("query_s"):
            session = self.pacer.finish(index, self.agent.num_steps)
        if session is not None:
            self._fit(session, index, {})
            self.save()

    def _answer_counts(self, index: int) -> dict[str, float]:
        assert self.pacer is not None
        dataset = self.pacer.asker.known(index)
        counts: dict[str, float] = {
            "num_answers": dataset.num_answered,
            "num_skips": dataset.num_skips,
        }
        if self.pacer.asker.is_async:
            counts["num_open"] = self.pacer.asker.num_open
        return counts

    def _write(self, metrics: dict[str, float]) -> None:
        self.last_metrics |= {k: v for k, v in metrics.items() if not math.isnan(v)}
        self.records.metrics.write(self.agent.num_steps, metrics)

    @contextmanager
    def _timed(self, name: str, activity: str | None = None, detail: str = "") -> Iterator[None]:
        began_s = time.perf_counter()
        with nullcontext() if activity is None else self.records.doing(activity, detail):
            yield
        self.seconds[name] += time.perf_counter() - began_s

    def save(self) -> None:
        """Writes a checkpoint, where any are kept."""
        if self.records.checkpoints is None:
            return
        with self._timed("checkpoint_s", SAVING):
            # Only a reset brings what unfinished episodes hold into the store: before it is saved,
            # as a run that is resumed would not have those steps to ask about.
            self._begin_phase()
            self.records.checkpoints.save(self.agent.num_steps, self.state())
        if self.records.on_checkpoint is not None:
            self.records.on_checkpoint()

    def state(self, *, has_experience: bool = True) -> State:
        """Returns what is needed to go on at the next phase; answers have a file of their own.

        Args:
            has_experience: recorded episodes and replay buffer are in it; a run that has ended can
                be gone on with without them, if not exactly as a longer one.
        """
        feedback, log, events = self.feedback, self.records.log, self.records.events
        kept = self.agent.state().items()
        return {
            "next_phase": self.next_phase,
            "agent": {name: part for name, part in kept if has_experience or name != "buffer"},
            "store": (self.store if has_experience else EpisodeStore()).state(),
            "learner": feedback.learner.state() if feedback else None,
            "num_queries": len(asked_up_to(feedback.dataset, self.next_phase - 1))
            if feedback
            else 0,
            "pacer": self.pacer.state() if self.pacer else None,
            "seconds": dict(self.seconds),
            "wall_s": self.records.metrics.wall_s,
            "cpu_s": self.records.metrics.cpu_s,
            "fitted": self._fitted,
            "last_metrics": dict(self.last_metrics),
            "log": log.mark() if log else None,
            "event_files": events.mark() if events else None,
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
        if feedback is not None and self.pacer is not None:
            # Where questions have a store of their own, it knows better, and may know of fewer.
            is_export = self.pacer.asker.is_async
            if not is_export and len(feedback.dataset) < state["num_queries"]:
                raise DataError(
                    f"{run_folder.COMPARISONS} holds {len(feedback.dataset)} queries, the "
                    f"checkpoint knows of {state['num_queries']}: it is not the file the "
                    "checkpoint was made with"
                )
            feedback.learner.restore(state["learner"])
            self.pacer.restore(state["pacer"])
            if self.pacer.is_fitted:
                self.agent.set_reward(feedback.learner.reward_function())
            self._fitted = count, digest = tuple(state["fitted"])
            self._is_corrected = count > 0 and digest != _digest(feedback.dataset.first(count))
        self.seconds = {**dict.fromkeys(TIMED, 0.0), **state["seconds"]}
        self.last_metrics = dict(state["last_metrics"])
        if self.records.log is not None:
            self.records.log.cut_back(log_mark(state))
        if self.records.events is not None and state.get("event_files") is not None:
            self.records.events.cut_back(state["event_files"])


def log_mark(state: State) -> object:
    """Returns how far the log went when a state was saved, for `JsonLinesSink.cut_back`.

    Args:
        state: of a loop; those of before lines had digests know the length alone.
    """
    return state["log"] if "log" in state else {"position": state.get("log_position")}


def _checked_plan(plan: object) -> tuple[Phase, ...]:
    expected = "a list of prefrl.plan.Phase objects"
    if not isinstance(plan, Sequence):
        raise ArgumentError(not_a("plan", plan, expected))
    return tuple(instance(f"plan[{i}]", phase, Phase) for i, phase in enumerate(plan))


def _check_agent(agent: object) -> None:
    """Refuses what lacks an agent's methods; `check_agent` of prefrl.testing knows the rest."""
    names = ("explore", "train", "set_reward", "relabel", "pop_finished", "state", "restore")
    missing = [name for name in names if not callable(getattr(agent, name, None))]
    if isinstance(agent, type) or missing:
        expected = f"an object with the methods {', '.join(names)}: see prefrl.types.Agent"
        raise ArgumentError(not_a("agent", agent, expected))


def _digest(dataset: PreferenceDataset) -> str:
    """Returns a short name for what was answered."""
    return hashlib.sha256(dataset.p_left.tobytes()).hexdigest()[:16]
