"""The composition root: the only place that builds environments, agent, teacher and loop."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from prefrl.agents.callbacks import RunCallbacks
from prefrl.agents.factory import make_agent, make_model, tensorboard_logger
from prefrl.config import ResolvedRun, SessionSettings, to_yaml
from prefrl.envs.encoding import action_dim, observation_dim
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.registry import prepared
from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import EnvironmentFault, StorageError, resuming
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher, ObjectiveTeachers
from prefrl.feedback.protocols import Teacher, is_async
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.loop import Feedback, PreferenceLoop, Records
from prefrl.plan import growing_episode
from prefrl.queries import make_strategy
from prefrl.records import run_folder
from prefrl.records.event_files import EventFiles
from prefrl.records.files import reason, remove_leftovers, write_text_atomically
from prefrl.records.metrics import JsonLinesSink, LoggerSink, Metrics, Sink, WandbSink
from prefrl.records.progress import ProgressBar
from prefrl.records.run_records import say_on_stderr
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.rewards.fitting.building import trained_in
from prefrl.runs.arena import Arena
from prefrl.runs.candidate_policies import CandidatePolicies
from prefrl.runs.finished import Found, keep, remove_checkpoints, running_checkpoints
from prefrl.runs.parts import Parts, Reporting, RunResult
from prefrl.runs.resolve import MakeEnv, make_configured_env, plan
from prefrl.runs.summary import read_summary
from prefrl.runs.summing_up import sum_up
from prefrl.runs.watch import Watch, WatchSettings
from prefrl.seeding import (
    EVALUATION_WHILE_TRAINING,
    POLICY_WEIGHTS,
    REWARD_WEIGHTS,
    Streams,
    seed_global_generators,
)
from prefrl.segments import EpisodeStore
from prefrl.session.question_files import FileQuestions


class OneRun:
    """One run's parts, built from its settings; nothing is written before `finish`."""

    def __init__(self, config: ResolvedRun, folder: Path, parts: Parts) -> None:
        self.config = config
        self.folder = folder
        self.parts = parts
        callbacks = RunCallbacks(parts.callbacks)
        self.streams = Streams(config.seed)
        torch.set_num_threads(config.threads)
        self.make_env = _env_maker(config, parts.make_env)
        self.store = EpisodeStore(config.store_transitions)
        self.venv = make_vec_env(
            self._make_training_env, config.num_envs, self.store, objectives=config.objectives
        )
        self.arena = self._make_arena()
        self.candidates = CandidatePolicies(
            folder / run_folder.CANDIDATES,
            config.fingerprint(),
            ends=(config.steps, config.budget if config.reward == "learned" else 0),
        )
        self.progress: ProgressBar | None = None
        self.watch: Watch | None = None
        make = parts.make_model or (
            lambda venv: make_model(
                config.agent,
                venv,
                config.agent_settings,
                seed=self.streams.integer(POLICY_WEIGHTS),
                device=config.device,
            )
        )
        # A model of one's own may come without a seed.
        seed_global_generators(self.streams.integer(POLICY_WEIGHTS))
        self.agent = make_agent(
            make(self.venv),
            on_step=self._advance,
            total_steps=config.steps,
            explore_episode_steps=config.explore_episode_steps,
            episode_steps=self._episode_steps(),
            callbacks=callbacks,
        )
        if config.eval_every is not None:  # What cannot be had is known before the first step.
            self.arena.open()
        self.plan = plan(config, stride=self.agent.stride)
        self.feedback = self._make_feedback(parts) if config.reward == "learned" else None

    def _make_training_env(self) -> gym.Env[Any, Any]:
        env, limit = self.make_env(), self.config.train_episode_steps
        return env if limit is None else CutEpisodes(env, limit)

    def _episode_steps(self) -> Callable[[int], int] | None:
        first, whole = self.config.train_episode_steps, self.config.max_episode_steps
        if first is None:
            return None
        # Given more steps, a run does not begin with short episodes again.
        total_steps = self.config.ends()[0].steps
        return partial(growing_episode, first=first, whole=whole, total_steps=total_steps)

    def _make_feedback(self, parts: Parts) -> Feedback:
        config, settings = self.config, self.config.reward_model
        observations = observation_dim(self.venv.observation_space)
        model = build_model(
            observations + action_dim(self.venv.action_space),
            settings,
            segment_length=config.segment_length,
            generator=self.streams.torch_generator(REWARD_WEIGHTS),
            observation_dim=observations,
            env_id=self.venv.env_id,
            num_objectives=max(1, len(config.objectives)),
        )
        trained_in(model, self.venv.described.record)
        return Feedback(
            teacher=parts.teacher or _make_teacher(config),
            num_objectives=max(1, len(config.objectives)),
            strategy=parts.strategy or make_strategy(config.strategy),
            learner=RewardTrainer(
                model.to(self.agent.model.device),
                settings,
                streams=self.streams,
                objective_weights=config.objective_weights,
            ),
            settings=SessionSettings(segment_length=config.segment_length, **vars(config.queries)),
            dataset=PreferenceDataset(config.queries.validation_fraction, env_id=self.venv.env_id),
            path=self.folder / run_folder.COMPARISONS,
            pace=config.pacing,
        )

    def _read_answers(self, feedback: Feedback) -> None:
        """Reads what the folder has of questions and answers."""
        if feedback.path is not None and feedback.path.exists():
            feedback.dataset = PreferenceDataset.load(
                feedback.path, validation_fraction=self.config.queries.validation_fraction
            )
        if is_async(feedback.teacher):
            # Answers that are there already may be those of another teacher's questions.
            first_id = int(feedback.dataset.question.max(initial=-1)) + 1
            feedback.questions = FileQuestions(first_id, folder=self.folder / run_folder.QUESTIONS)

    def _say(self, line: str) -> None:
        if self.progress is not None:
            self.progress.say(line)
        else:
            say_on_stderr(line)

    def _advance(self, step: int) -> None:
        if self.progress is not None:
            self.progress.advance(step)
        if self.watch is not None:
            self.watch.on_step(step)

    def _make_arena(self) -> Arena:
        training: Any = self.venv.unwrapped
        return Arena(
            self.make_env,
            training.envs,
            num_episodes=self.config.eval_episodes,
            place=self.config.eval_in,
        )

    def _make_watch(self, loop: PreferenceLoop) -> Watch | None:
        every = self.config.eval_every
        if every is None:
            return None
        seed = self.streams.integer(EVALUATION_WHILE_TRAINING)
        return Watch(
            loop,
            self.agent,
            arena=self.arena,
            candidates=self.candidates,
            settings=WatchSettings(every=every, total_steps=self.config.steps, seed=seed),
        )

    def finish(
        self, found: Found | None, reporting: Reporting, *, is_extension: bool = False
    ) -> RunResult:
        """Works through the plan, and sums up.

        Args:
            found: the state to go on from, which is used up; None begins.
            reporting: who is told.
            is_extension: `found` is of a run that had ended, and whose settings ask for more now:
                once a checkpoint with these settings is written, they go into config.yaml.
        """
        folder, feedback = self.folder, self.feedback
        if feedback is not None:
            self._read_answers(feedback)
        first_step, state = (found.step, found.state) if found is not None else (0, {})
        wall_s = state.get("wall_s", 0.0)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            with resumable(folder):
                log = JsonLinesSink(folder / run_folder.METRICS)
            stack.callback(log.close)
            records = Records(
                checkpoints=running_checkpoints(folder, self.config.fingerprint()),
                log=log,
                events=EventFiles(folder / run_folder.TENSORBOARD),
                on_checkpoint=reporting.on_checkpoint,
                say=self._say,
            )
            loop = PreferenceLoop(
                plan=self.plan,
                agent=self.agent,
                store=self.store,
                streams=self.streams,
                feedback=feedback,
                records=records,
            )
            if state:
                loop.restore(state)
                state.clear()  # Whoever still holds it: a replay buffer need not be kept twice.
            else:
                log.cut_back(None)
            # Now that it is known to go on, others may write into the folder.
            with resumable(folder):
                remove_leftovers(folder)
                sinks = [*self._open_sinks(reporting.wandb_project), log]
                if reporting.show_progress:
                    sinks.append(self._open_progress(first_step))
                records.metrics = Metrics(sinks, wall_offset_s=wall_s)
                stack.callback(records.metrics.close)
                if is_extension:
                    self._begin_extension(loop)
                self.watch = self._make_watch(loop)
                if self.watch is not None:
                    records.on_phase_end = self.watch.on_phase_end
                    self.watch.begin()
                loop.run()
                if self.watch is not None:
                    self.watch.end()
                if self.agent.callbacks is not None:
                    self.agent.callbacks.end()
                summary = sum_up(self, loop)
                keep(folder, self.config, loop)
                return RunResult(folder, summary, self.agent, self.reward_model)

    def result(self, found: Found) -> RunResult:
        """Returns what a finished run left behind, with its agent and reward as they were then.

        Args:
            found: the state of the finished run.

        Raises:
            StorageError: its summary is damaged.
        """
        try:
            self.agent.restore(found.state["agent"])
            if self.feedback is not None:
                self.feedback.learner.restore(found.state["learner"])
            summary = read_summary(self.folder)
            if not self.config.keep_checkpoints:  # A kill may have left some.
                remove_checkpoints(self.folder)
        finally:
            self.close()
        return RunResult(self.folder, summary, self.agent, self.reward_model)

    def close(self) -> None:
        """Closes the environments."""
        self.venv.close()
        self.arena.close()

    @property
    def reward_model(self) -> EnhancedRewardModel | None:
        """The learned reward; None for a run on the true one."""
        learner = self.feedback.learner if self.feedback is not None else None
        return learner.model if isinstance(learner, RewardTrainer) else None

    def _begin_extension(self, loop: PreferenceLoop) -> None:
        num_steps = self.agent.refill(self.store)
        learner = self.feedback.learner if self.feedback is not None else None
        fitted = self.folder / run_folder.REWARD_MODEL
        if isinstance(learner, RewardTrainer) and fitted.exists():
            # Since the run ended, answers may have been corrected and the model fitted anew.
            saved = EnhancedRewardModel.load(fitted)
            learner.model.load_state_dict(saved.state_dict())
            self.agent.set_reward(learner.reward_function())
        if learner is not None and num_steps:
            self.agent.relabel(learner.reward_function())
        loop.save()
        # Only now: killed before this, the run is still the finished one that it was.
        write_text_atomically(self.folder / run_folder.CONFIG, to_yaml(self.config))

    def _open_sinks(self, wandb_project: str | None) -> list[Sink]:
        config, folder = self.config, self.folder
        logger = tensorboard_logger(folder / run_folder.TENSORBOARD)
        self.agent.model.set_logger(logger)
        sinks: list[Sink] = [LoggerSink(logger)]
        if wandb_project is not None:
            settings, run_id = dataclasses.asdict(config), f"{folder.name}-{config.fingerprint()}"
            sinks.append(WandbSink(wandb_project, run_id=run_id, config=settings, folder=folder))
        return sinks

    def _open_progress(self, first_step: int) -> ProgressBar:
        print(f"run folder: {self.folder}", file=sys.stderr)
        budget = self.config.budget if self.feedback else None
        self.progress = ProgressBar(
            self.config.steps,
            budget=budget,
            first_step=first_step,
            num_answers=self.feedback.dataset.num_answers if self.feedback else 0,
        )
        return self.progress


@contextlib.contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Says how to go on, once what has stopped a run is put right."""
    hint = f"go on from the last checkpoint with {resuming(folder)}"
    try:
        yield
    except (EnvironmentFault, StorageError) as error:
        raise type(error)(f"{error}; {hint}") from error
    except OSError as error:  # From libraries that write on their own, as TensorBoard's.
        raise StorageError(f"could not write into {folder}: {reason(error)}; {hint}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {hint}") from None


def _env_maker(config: ResolvedRun, own: MakeEnv | None) -> MakeEnv:
    if own is None:
        return lambda: make_configured_env(config)
    limit = config.max_episode_steps
    return lambda: prepared(own(), env_id=config.env, max_episode_steps=limit)


def _make_teacher(config: ResolvedRun) -> Teacher | ObjectiveTeacher:
    if config.objectives:
        return ObjectiveTeachers(config.objectives, config.teacher)
    return SyntheticTeacher(config.teacher)
