"""The composition root: the only place that builds environments, agent, teacher and loop."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from prefrl.agents.base import SB3Agent
from prefrl.agents.callbacks import Callbacks, RunCallbacks
from prefrl.agents.factory import MakeModel, make_agent, make_model, tensorboard_logger
from prefrl.config import ResolvedRun, RunConfig, SessionSettings, from_yaml, to_yaml
from prefrl.envs.encoding import action_dim, observation_dim
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.registry import prepared
from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import EnvironmentFault, StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher, ObjectiveTeachers
from prefrl.feedback.protocols import AsyncTeacher, Teacher, is_async
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.loop import Feedback, PreferenceLoop, Records
from prefrl.media.plots import plot_learning_curve
from prefrl.plan import growing_episode
from prefrl.queries import make_strategy
from prefrl.queries.predictor import QueryStrategy
from prefrl.records import run_folder
from prefrl.records.checkpoint import Checkpoints
from prefrl.records.files import claimed, reason, remove_leftovers, write_text_atomically
from prefrl.records.metrics import (
    JsonLinesSink,
    LoggerSink,
    Metrics,
    Sink,
    WandbSink,
    import_wandb,
    read_metrics,
)
from prefrl.records.progress import ProgressBar
from prefrl.records.run_records import say_on_stderr
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.runs.arena import Arena
from prefrl.runs.candidates import Candidates, best_so_far
from prefrl.runs.evaluation import evaluation_of
from prefrl.runs.resolve import MakeEnv, make_configured_env, plan, resolve
from prefrl.runs.summary import summarise
from prefrl.runs.watch import Watch, WatchSettings
from prefrl.seeding import (
    EVALUATION,
    EVALUATION_WHILE_TRAINING,
    POLICY_WEIGHTS,
    REWARD_WEIGHTS,
    Streams,
    seed_global_generators,
)
from prefrl.segments import EpisodeStore
from prefrl.session.question_files import FileQuestions
from prefrl.types import State


@dataclass(frozen=True)
class Parts:
    """Parts of your own in place of the configured ones; None keeps the configured one.

    Args:
        make_env: makes one environment, in place of `gymnasium.make(config.env)`; `config.env` is
            then its name, `config.max_episode_steps` its time limit where it has none.
        teacher: who answers; with several objectives, an `ObjectiveTeacher`.
        strategy: how queries are chosen.
        make_model: makes the SB3 model for a stack of environments; its observations are raw.
        callbacks: SB3 callbacks, or a function that makes them, called on the agent's training
            steps as if the run were one call of `learn`; see `prefrl.agents.callbacks`.
    """

    make_env: MakeEnv | None = None
    teacher: Teacher | ObjectiveTeacher | AsyncTeacher | None = None
    strategy: QueryStrategy | None = None
    make_model: MakeModel | None = None
    callbacks: Callbacks = ()


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves behind.

    Args:
        folder: the run folder.
        summary: the content of its summary.json.
        agent: the trained agent; `agent.model` is SB3's.
        reward_model: the learned reward; None for a run on the true one.
    """

    folder: Path
    summary: dict[str, Any]
    agent: SB3Agent
    reward_model: EnhancedRewardModel | None


def run(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
) -> RunResult:
    """Runs preference-based reinforcement learning from its first step to its summary.

    Args:
        config: the settings; what is None is decided by the environment's preset.
        out: the run folder, new or empty; None makes one under `runs/`.
        parts: parts of your own.
        show_progress: a bar on a terminal, plain lines elsewhere.
        wandb_project: log to Weights & Biases, too.
        on_checkpoint: called after each checkpoint; what is then in the folder can be resumed.

    Raises:
        PrefrlError: one line that says what was wrong and what is valid; nothing half-written.
    """
    parts = parts or Parts()
    resolved = resolve(config, own_env=parts.make_env)
    if wandb_project is not None:
        import_wandb()
    folder = Path(out) if out is not None else _new_folder(resolved)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        has_run = (folder / run_folder.CONFIG).exists()
        go_on = f"go on with it by --resume {folder}, or " if has_run else ""
        raise StorageError(f"the output folder {folder} is in use; {go_on}choose another --out")
    session = _Run(resolved, folder, parts)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {folder}: {reason(error)}") from None
    with claimed(folder):
        try:
            write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
        except StorageError:
            if is_new:
                folder.rmdir()
            raise
        return session.finish(
            None,
            show_progress=show_progress,
            wandb_project=wandb_project,
            on_checkpoint=on_checkpoint,
        )


def resume(
    folder: Path | str,
    *,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
) -> RunResult:
    """Goes on with a run from its last checkpoint, and ends as if it had never been interrupted.

    Args:
        folder: the run folder.
        parts: the same parts of your own that the run was started with.
        show_progress: as in `run`.
        wandb_project: as in `run`.
        on_checkpoint: as in `run`.

    Raises:
        PrefrlError: the folder holds no run, or a file in it is damaged; it is named.
    """
    folder = Path(folder)
    if not (folder / run_folder.CONFIG).exists():
        raise StorageError(f"{folder} holds no run to resume: there is no config.yaml in it")
    parts = parts or Parts()
    if wandb_project is not None:
        import_wandb()
    with claimed(folder):
        config = from_yaml(folder / run_folder.CONFIG)
        found = _checkpoints(folder, config).latest()
        if found is None:  # It was killed before its first step.
            resolved = resolve(config, own_env=parts.make_env)
            write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
        else:
            resolved = ResolvedRun.of(config, source=f"{folder / run_folder.CONFIG}: ")
        session = _Run(resolved, folder, parts)
        return session.finish(
            found,
            show_progress=show_progress,
            wandb_project=wandb_project,
            on_checkpoint=on_checkpoint,
        )


def _checkpoints(folder: Path, config: RunConfig) -> Checkpoints:
    return Checkpoints(folder / run_folder.CHECKPOINTS, config.fingerprint())


@contextlib.contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Says how to go on, once what has stopped a run is put right."""
    hint = f"go on from the last checkpoint with --resume {folder}"
    try:
        yield
    except (EnvironmentFault, StorageError) as error:
        raise type(error)(f"{error}; {hint}") from error
    except OSError as error:  # From libraries that write on their own, as TensorBoard's.
        raise StorageError(f"could not write into {folder}: {reason(error)}; {hint}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {hint}") from None


def _new_folder(config: ResolvedRun) -> Path:
    name = f"{config.env.replace('/', '_').replace(':', '_')}-{config.agent}-{config.reward}"
    return Path("runs") / f"{name}-seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"


def _env_maker(config: ResolvedRun, own: MakeEnv | None) -> MakeEnv:
    if own is None:
        return lambda: make_configured_env(config)
    limit = config.max_episode_steps
    return lambda: prepared(own(), env_id=config.env, max_episode_steps=limit)


def _make_teacher(config: ResolvedRun) -> Teacher | ObjectiveTeacher:
    if config.objectives:
        return ObjectiveTeachers(config.objectives, config.teacher)
    return SyntheticTeacher(config.teacher)


class _Run:
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
        self.candidates = Candidates(folder / run_folder.CANDIDATES, config.fingerprint())
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
        return partial(growing_episode, first=first, whole=whole, total_steps=self.config.steps)

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
        every, steps = self.config.eval_every, self.config.steps
        if every is None or steps is None:
            return None
        seed = self.streams.integer(EVALUATION_WHILE_TRAINING)
        return Watch(
            loop,
            self.agent,
            arena=self.arena,
            candidates=self.candidates,
            settings=WatchSettings(every=every, total_steps=steps, seed=seed),
        )

    def finish(
        self,
        found: tuple[int, State] | None,
        *,
        show_progress: bool,
        wandb_project: str | None,
        on_checkpoint: Callable[[], None] | None,
    ) -> RunResult:
        """Works through the plan, and sums up.

        Args:
            found: the checkpoint to go on from, and its step; its state is used up.
            show_progress: as in `run`.
            wandb_project: as in `run`.
            on_checkpoint: as in `run`.
        """
        config, folder, feedback = self.config, self.folder, self.feedback
        if feedback is not None:
            self._read_answers(feedback)
        first_step, state = found or (0, {})
        wall_s = state.get("wall_s", 0.0)
        with contextlib.ExitStack() as stack:
            stack.callback(self.venv.close)
            stack.callback(self.arena.close)
            with _resumable(folder):
                log = JsonLinesSink(folder / run_folder.METRICS)
            stack.callback(log.close)
            records = Records(
                checkpoints=_checkpoints(folder, config),
                log=log,
                on_checkpoint=on_checkpoint,
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
                log.truncate(0)
            # Now that it is known to go on, others may write into the folder.
            with _resumable(folder):
                remove_leftovers(folder)
                sinks = [*self._open_sinks(wandb_project), log]
                if show_progress:
                    sinks.append(self._open_progress(first_step))
                records.metrics = Metrics(sinks, wall_offset_s=wall_s)
                stack.callback(records.metrics.close)
                self.watch = self._make_watch(loop)
                if self.watch is not None:
                    records.on_phase_end = self.watch.on_phase_end
                    self.watch.begin()
                loop.run()
                if self.agent.callbacks is not None:
                    self.agent.callbacks.end()
                return self._sum_up(loop)

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
        self.progress = ProgressBar(self.config.steps, budget=budget, first_step=first_step)
        return self.progress

    def _own_names(self) -> dict[str, str]:
        """What parts of the user's own are called in the summary, where settings name others."""
        names = {}
        if self.parts.make_model is not None:
            names["agent"] = type(self.agent.model).__name__.lower()
        if self.feedback is not None:
            own = {"teacher": self.parts.teacher, "strategy": self.parts.strategy}
            names |= {name: type(part).__name__ for name, part in own.items() if part is not None}
        return names

    def _sum_up(self, loop: PreferenceLoop) -> RunResult:
        config, folder, feedback = self.config, self.folder, self.feedback
        learner = feedback.learner if feedback else None
        model = learner.model if isinstance(learner, RewardTrainer) else None
        reward_function = learner.reward_function() if learner else None
        # First what was learned, then whatever may fail.
        self.agent.save_policy(folder / run_folder.POLICY)
        if model is not None:
            model.save(folder / run_folder.REWARD_MODEL)
        best = best_so_far(folder / run_folder.SUMMARY, loop.agent.num_steps)
        if best is None:
            best = self.candidates.keep_best(folder / run_folder.BEST_POLICY, reward_function)
        rollouts = self.arena.play(
            self.agent.predict,
            seed=self.streams.integer(EVALUATION),
            reward_function=reward_function,
        )
        summary = {
            **summarise(config, loop, evaluation_of(rollouts), best),
            **self._own_names(),
        }
        agent = summary["agent"].upper()
        title = f"{config.env}, {agent}, {config.reward} reward, seed {config.seed}"
        if config.train_episode_steps is not None:
            title += f", episodes of {config.train_episode_steps} steps at first"
        plot_learning_curve(
            read_metrics(folder / run_folder.METRICS),
            folder / run_folder.LEARNING_CURVE,
            title=title,
        )
        write_text_atomically(folder / run_folder.SUMMARY, json.dumps(summary, indent=2) + "\n")
        self.candidates.remove()
        return RunResult(folder, summary, self.agent, model)
