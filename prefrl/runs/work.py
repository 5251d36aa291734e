"""A run at work: from its first step, or the one it is gone on from, to its end."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator

from prefrl.agents.factory import tensorboard_logger
from prefrl.config import to_yaml
from prefrl.errors import Diverged, PrefrlError, StorageError, resuming
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import is_async
from prefrl.loop import Feedback, PreferenceLoop, Records
from prefrl.records import run_folder
from prefrl.records.event_files import EventFiles
from prefrl.records.files import reason, remove_leftovers, write_text_atomically
from prefrl.records.metrics import (
    JsonLinesSink,
    LoggerSink,
    Metrics,
    Sink,
    WandbSink,
    read_metrics,
)
from prefrl.records.progress import ProgressBar
from prefrl.records.remaining import Stopwatch, Workload
from prefrl.records.run_records import say_on_stderr, tell_nobody
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.runs.compose import OneRun
from prefrl.runs.ending import end
from prefrl.runs.finished import Found, running_checkpoints
from prefrl.runs.parts import Reporting, RunResult
from prefrl.runs.restoring import check_dims, restore
from prefrl.runs.watch import Watch, WatchSettings
from prefrl.seeding import EVALUATION_WHILE_TRAINING
from prefrl.session.question_files import FileQuestions


class Work:
    """The work of a run: its plan, from the state it is gone on from to the summary.

    Args:
        run: its parts; their environments are closed at the end.
        reporting: who is told.
    """

    def __init__(self, run: OneRun, reporting: Reporting) -> None:
        self._run = run
        self._reporting = reporting
        self._progress: ProgressBar | None = None
        self._watch: Watch | None = None

    def finish(self, found: Found | None, *, is_extension: bool = False) -> RunResult:
        """Works through the plan, and sums up.

        Args:
            found: the state to go on from, which is used up; None begins.
            is_extension: `found` is of a run that had ended, and whose settings ask for more now:
                once a checkpoint with these settings is written, they go into config.yaml.
        """
        run, folder = self._run, self._run.folder
        first_step, state = (found.step, found.state) if found is not None else (0, {})
        wall_s, cpu_s = state.get("wall_s", 0.0), state.get("cpu_s", 0.0)
        with contextlib.ExitStack() as stack:
            stack.callback(run.close)
            if run.feedback is not None:
                stack.enter_context(self._asking(run.feedback))
            with self._resumable():
                log = JsonLinesSink(folder / run_folder.METRICS)
            stack.callback(log.close)
            records = Records(
                tell=run.people.tell if run.people is not None else tell_nobody,
                checkpoints=running_checkpoints(folder, run.config.fingerprint()),
                log=log,
                events=EventFiles(folder / run_folder.TENSORBOARD),
                on_checkpoint=self._reporting.on_checkpoint,
                say=self._say,
                doing=self._doing,
            )
            loop = PreferenceLoop(
                plan=run.plan,
                agent=run.agent,
                store=run.store,
                streams=run.streams,
                feedback=run.feedback,
                records=records,
            )
            if found is not None:
                run.candidates.check()
                if found.is_finished:
                    rows = state["store"]
                    dims = rows["observations"].shape[1], rows["actions"].shape[1]
                    check_dims(folder / run_folder.EPISODES, "episodes", dims, run.dims)
                restore(loop, folder, found)
                state.clear()  # Whoever still holds it: a replay buffer need not be kept twice.
            else:
                log.cut_back(None)
            # Now that it is known to go on, others may write into the folder.
            with self._resumable():
                remove_leftovers(folder)
                if run.people is not None:
                    run.people.keep_in(folder, run.store)
                sinks = self._open_sinks(log, first_step)
                records.metrics = Metrics(sinks, wall_offset_s=wall_s, cpu_offset_s=cpu_s)
                stack.callback(records.metrics.close)
                if is_extension:
                    _begin_extension(run, loop)
                self._begin_watch(loop, records)
                loop.run()
                if self._watch is not None:
                    self._watch.end()
                if run.agent.callbacks is not None:
                    run.agent.callbacks.end()
                summary = end(run, loop)
        return RunResult(folder, summary, run.agent, run.reward_model)

    def _open_sinks(self, log: JsonLinesSink, first_step: int) -> list[Sink]:
        run, reporting = self._run, self._reporting
        logger = tensorboard_logger(run.folder / run_folder.TENSORBOARD)
        run.agent.model.set_logger(logger)
        sinks: list[Sink] = [LoggerSink(logger)]
        if reporting.wandb_project is not None:
            sinks.append(
                WandbSink(
                    reporting.wandb_project,
                    run_id=f"{run.folder.name}-{run.config.fingerprint()}",
                    config=dataclasses.asdict(run.config),
                    folder=run.folder,
                )
            )
        sinks.append(log)
        if run.people is not None:
            sinks.append(run.people)
        if reporting.show_progress:
            print(f"run folder: {run.folder}", file=sys.stderr)
            self._progress = ProgressBar(
                run.config.steps,
                budget=run.config.budget if run.feedback else None,
                first_step=first_step,
                num_answers=run.feedback.dataset.num_answered if run.feedback else 0,
                stopwatch=Stopwatch(_workload(run)),
            )
            sinks.append(self._progress)
        run.agent.on_step = self._advance
        return sinks

    def _begin_watch(self, loop: PreferenceLoop, records: Records) -> None:
        run, every = self._run, self._run.config.eval_every
        if every is None:
            return
        seed = run.streams.integer(EVALUATION_WHILE_TRAINING)
        self._watch = Watch(
            loop,
            run.agent,
            arena=run.arena,
            candidates=run.candidates,
            settings=WatchSettings(every=every, total_steps=run.config.steps, seed=seed),
        )
        records.on_phase_end = self._watch.on_phase_end
        self._watch.begin(read_metrics(run.folder / run_folder.METRICS))

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.say(line)
        else:
            say_on_stderr(line)

    def _doing(
        self, activity: str, detail: str = "", *, num_answers: int | None = None
    ) -> contextlib.AbstractContextManager[None]:
        if self._progress is None:
            return contextlib.nullcontext()
        return self._progress.doing(activity, detail, num_answers=num_answers)

    def _advance(self, step: int) -> None:
        if self._progress is not None:
            self._progress.advance(step)
        if self._watch is not None:
            self._watch.on_step(step)
        if self._run.people is not None:
            self._run.people.advance(step)

    @contextlib.contextmanager
    def _asking(self, feedback: Feedback) -> Iterator[None]:
        """Has questions and answers of earlier, and lets people answer more."""
        run = self._run
        _read_answers(run, feedback)
        first_id = int(feedback.dataset.question.max(initial=-1)) + 1
        if run.people is None:
            if is_async(feedback.teacher):
                # Answers that are there already may be those of another teacher's questions.
                feedback.questions = FileQuestions(
                    first_id,
                    overlap=run.config.queries.overlap,
                    folder=run.folder / run_folder.QUESTIONS,
                )
            yield
            return
        with run.people.serving(
            run.folder,
            run.store,
            feedback.learner,
            self._reporting.serving,
            first_id=first_id,
            say=self._say,
        ) as feedback.questions:
            yield

    @contextlib.contextmanager
    def _resumable(self) -> Iterator[None]:
        """Says how to go on, once what has stopped a run is put right."""
        folder = self._run.folder
        hint = f"go on from the last checkpoint with {resuming(folder)}"
        try:
            yield
        except Diverged as error:
            answers = folder / run_folder.COMPARISONS
            if not answers.exists():
                raise
            raise Diverged(
                f"{error}; the answers are in {answers}: `prefrl learn --run {folder}` fits the "
                "reward to them"
            ) from error
        except PrefrlError as error:
            if self._run.agent.num_steps == 0:  # There is nothing to go on with.
                raise
            raise type(error)(f"{error}; {hint}") from error
        except OSError as error:  # From libraries that write on their own, as TensorBoard's.
            raise StorageError(f"could not write into {folder}: {reason(error)}; {hint}") from error
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; {hint}") from None


def _workload(run: OneRun) -> Workload:
    config = run.config
    return Workload(
        run.plan,
        lump=int(getattr(run.agent, "rollout_steps", 0)),
        eval_every=config.eval_every,
        eval_steps=config.eval_episodes * config.max_episode_steps,
    )


def _read_answers(run: OneRun, feedback: Feedback) -> None:
    """Reads the answers that the folder has."""
    if feedback.path is not None and feedback.path.exists():
        feedback.dataset = PreferenceDataset.load(
            feedback.path, validation_fraction=run.config.queries.validation_fraction
        ).without_repeats()  # which an exported file has, put in the place of the run's own
        _, *dims, _ = feedback.dataset.pairs.dims
        check_dims(feedback.path, "answers", (dims[0], dims[1]), run.dims)


def _begin_extension(run: OneRun, loop: PreferenceLoop) -> None:
    """Gives the agent its experience back, and the reward that the folder has now."""
    num_steps = run.agent.refill(run.store)
    learner = run.feedback.learner if run.feedback is not None else None
    fitted = run.folder / run_folder.REWARD_MODEL
    if isinstance(learner, RewardTrainer) and fitted.exists():
        # Since the run ended, answers may have been corrected and the model fitted anew.
        saved = EnhancedRewardModel.load(fitted)
        learner.model.load_state_dict(saved.state_dict())
        run.agent.set_reward(learner.reward_function())
    if learner is not None and num_steps:
        run.agent.relabel(learner.reward_function())
    loop.save()
    # Only now: killed before this, the run is still the finished one that it was.
    write_text_atomically(run.folder / run_folder.CONFIG, to_yaml(run.config))
