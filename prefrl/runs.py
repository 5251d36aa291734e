"""The composition root: the only place that builds environments, agent, teacher and loop."""

import dataclasses
import json
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from prefrl.agents.base import SB3Agent
from prefrl.agents.factory import MakeModel, load_policy, make_agent, make_model, tensorboard_logger
from prefrl.agents.presets import preset_for
from prefrl.checkpoint import Checkpoints, write_text_atomically
from prefrl.config import RunConfig, TeacherConfig, checked, from_yaml, to_yaml
from prefrl.envs.cameras import render_settings
from prefrl.envs.encoding import action_dim, observation_dim
from prefrl.envs.registry import episode_steps, find_spec, make_env
from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import ConfigError, EnvironmentFault, StorageError
from prefrl.evaluation import Evaluation, evaluate
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.teachers import SyntheticTeacher, TeacherSettings
from prefrl.feedback.teachers import preset as teacher_preset
from prefrl.loop import Feedback, PreferenceLoop, Records, SessionSettings
from prefrl.metrics import (
    JsonLinesSink,
    LoggerSink,
    Metrics,
    ProgressBar,
    Sink,
    WandbSink,
    read_metrics,
)
from prefrl.plan import Leg, plan_run
from prefrl.plots import plot_learning_curve
from prefrl.queries import make_strategy
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.seeding import Streams
from prefrl.segments import EpisodeStore
from prefrl.types import QueryStrategy, Teacher
from prefrl.video import film

MakeEnv = Callable[[], gym.Env[Any, Any]]
PACKAGES = ("prefrl", "torch", "gymnasium", "stable-baselines3", "mujoco", "numpy")


@dataclass(frozen=True)
class Parts:
    """Parts of your own in place of the configured ones; None keeps the configured one.

    Args:
        make_env: makes one environment, in place of `gymnasium.make(config.env)`.
        teacher: who answers.
        strategy: how queries are chosen.
        make_model: makes the SB3 model for a stack of environments; its observations are raw.
    """

    make_env: MakeEnv | None = None
    teacher: Teacher | None = None
    strategy: QueryStrategy | None = None
    make_model: MakeModel | None = None


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


def resolve(config: RunConfig) -> RunConfig:
    """The settings with everything decided that was left to the presets.

    Raises:
        ConfigError: a setting is out of range, unknown, or does not fit the others.
    """
    config = checked(config)
    spec = find_spec(config.env)
    agent = config.agent or "ppo"
    preset = preset_for(config.env, agent)
    queries = config.queries
    num_sessions = queries.num_sessions or preset.num_sessions
    newest = queries.newest_steps or preset.newest_steps
    teacher = teacher_settings(config.teacher)
    make_strategy(config.strategy)
    steps = config.steps or preset.steps
    explore = preset.explore_steps if config.explore_steps is None else config.explore_steps
    if config.explore_steps is None:
        # A short run must not spend itself on exploring.
        explore = min(explore, max(steps // 10, 1))
    resolved = dataclasses.replace(
        config,
        agent=agent,
        steps=steps,
        segment_length=config.segment_length or preset.segment_length,
        num_envs=config.num_envs or preset.num_envs,
        explore_steps=explore,
        checkpoint_every=config.checkpoint_every or preset.checkpoint_every,
        max_episode_steps=episode_steps(spec, config.max_episode_steps),
        agent_settings=_merged(preset.agent_settings, config.agent_settings),
        teacher=TeacherConfig(name=config.teacher.name, **dataclasses.asdict(teacher)),
        queries=dataclasses.replace(queries, num_sessions=num_sessions, newest_steps=newest),
    )
    assert resolved.segment_length and resolved.max_episode_steps
    if resolved.segment_length > resolved.max_episode_steps:
        raise ConfigError(
            f"segment_length is {resolved.segment_length}, but an episode of {config.env} has "
            f"{resolved.max_episode_steps} steps"
        )
    if config.reward == "learned" and explore < resolved.segment_length:
        raise ConfigError(
            f"explore_steps is {explore}; the first queries need at least one segment "
            f"({resolved.segment_length} steps)"
        )
    plan(resolved)
    return resolved


def _merged(preset: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    policy = {**preset.get("policy_kwargs", {}), **own.get("policy_kwargs", {})}
    return {**preset, **own, "policy_kwargs": policy}


def teacher_settings(config: TeacherConfig) -> TeacherSettings:
    """The named teacher with what was overridden."""
    own = {k: v for k, v in dataclasses.asdict(config).items() if k != "name" and v is not None}
    try:
        return dataclasses.replace(teacher_preset(config.name), **own)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def plan(config: RunConfig) -> tuple[Leg, ...]:
    """The legs of a run whose settings are resolved."""
    queries = config.queries
    assert config.steps and config.num_envs and config.checkpoint_every and queries.num_sessions
    assert config.explore_steps is not None
    # An off-policy model takes its steps in strides; legs must not cut them.
    stride = int(config.agent_settings.get("train_freq", 1)) if config.agent == "sac" else 1
    return plan_run(
        steps=config.steps,
        explore_steps=config.explore_steps if config.reward == "learned" else 0,
        budget=config.budget,
        queries=queries,
        checkpoint_every=config.checkpoint_every,
        multiple=config.num_envs * stride,
    )


def run(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
) -> RunResult:
    """Runs preference-based reinforcement learning from its first step to its summary.

    Args:
        config: the settings; what is None is decided by the environment's preset.
        out: the run folder, new or empty; None makes one under `runs/`.
        parts: parts of your own.
        show_progress: a bar on a terminal, plain lines elsewhere.
        wandb_project: log to Weights & Biases, too.

    Raises:
        PrefrlError: one line that says what was wrong and what is valid; nothing half-written.
    """
    resolved = resolve(config)
    folder = Path(out) if out is not None else _new_folder(resolved)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = f"; go on with it by --resume {folder}" if (folder / "config.yaml").exists() else ""
        raise StorageError(f"the output folder {folder} is in use{hint}, or choose another --out")
    session = _Run(resolved, folder, parts or Parts())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {folder}: {error.strerror}") from None
    write_text_atomically(folder / "config.yaml", to_yaml(resolved))
    return session.finish(show_progress=show_progress, wandb_project=wandb_project)


def resume(
    folder: Path | str,
    *,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
) -> RunResult:
    """Goes on with a run from its last checkpoint, and ends as if it had never been interrupted.

    Args:
        folder: the run folder.
        parts: the same parts of your own that the run was started with.
        show_progress: as in `run`.
        wandb_project: as in `run`.

    Raises:
        PrefrlError: the folder holds no run, or a file in it is damaged; it is named.
    """
    folder = Path(folder)
    if not (folder / "config.yaml").exists():
        raise StorageError(f"{folder} holds no run to resume: there is no config.yaml in it")
    session = _Run(from_yaml(folder / "config.yaml"), folder, parts or Parts())
    return session.finish(show_progress=show_progress, wandb_project=wandb_project)


def _new_folder(config: RunConfig) -> Path:
    name = f"{config.env.replace('/', '_').replace(':', '_')}-{config.agent}-{config.reward}"
    return Path("runs") / f"{name}-seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"


class _Run:
    """One run's parts, built from its settings; nothing is written before `finish`."""

    def __init__(self, config: RunConfig, folder: Path, parts: Parts) -> None:
        self.config = config
        self.folder = folder
        self.streams = Streams(config.seed)
        assert config.agent and config.num_envs
        torch.set_num_threads(config.threads)
        self.make_env = parts.make_env or (lambda: make_configured_env(config))
        self.store = EpisodeStore(config.store_transitions)
        self.venv = make_vec_env(self.make_env, config.num_envs, self.store)
        self.progress: ProgressBar | None = None
        make = parts.make_model or (
            lambda venv: make_model(
                config.agent or "ppo",
                venv,
                config.agent_settings,
                seed=self.streams.integer("policy-weights"),
                device=config.device,
            )
        )
        self.agent = make_agent(make(self.venv), on_step=self._advance)
        self.feedback = self._make_feedback(parts) if config.reward == "learned" else None

    def _make_feedback(self, parts: Parts) -> Feedback:
        config, settings = self.config, self.config.reward_model
        observations = observation_dim(self.venv.observation_space)
        model = EnhancedRewardModel(
            observations + action_dim(self.venv.action_space),
            generator=self.streams.torch_generator("reward-weights"),
            hidden_dim=settings.hidden_dim,
            num_reward_heads=settings.num_reward_heads,
            bank_size=settings.bank_size,
            dropout=settings.dropout,
            num_layers=settings.num_layers,
            shared_trunk=settings.shared_trunk,
            head_layer_norm=settings.head_layer_norm,
            observation_dim=observations,
            env_id=self.venv.env_id,
        )
        assert config.segment_length
        return Feedback(
            teacher=parts.teacher or SyntheticTeacher(teacher_settings(config.teacher)),
            strategy=parts.strategy or make_strategy(config.strategy),
            learner=RewardTrainer(model.to(config.device), settings, streams=self.streams),
            settings=SessionSettings(
                segment_length=config.segment_length,
                candidate_factor=config.queries.candidate_factor,
                min_candidates=config.queries.min_candidates,
                newest_steps=config.queries.newest_steps,
            ),
            dataset=PreferenceDataset(config.queries.validation_fraction),
            path=self.folder / "comparisons.npz",
        )

    def _advance(self, step: int) -> None:
        if self.progress is not None:
            self.progress.advance(step)

    def finish(self, *, show_progress: bool, wandb_project: str | None) -> RunResult:
        """Works through the plan, from the last checkpoint if there is one, and sums up."""
        config, feedback = self.config, self.feedback
        checkpoints = Checkpoints(self.folder / "checkpoints", config.fingerprint())
        found = checkpoints.latest()
        state = found[1] if found else None
        if feedback is not None and feedback.path is not None and feedback.path.exists():
            feedback.dataset = PreferenceDataset.load(
                feedback.path, validation_fraction=config.queries.validation_fraction
            )
        assert config.steps
        sinks: list[Sink] = []
        if wandb_project is not None:
            sinks.append(
                WandbSink(
                    wandb_project,
                    run_id=f"{self.folder.name}-{config.fingerprint()}",
                    config=dataclasses.asdict(config),
                    folder=self.folder,
                )
            )
        log = JsonLinesSink(self.folder / "metrics.jsonl")
        logger = tensorboard_logger(self.folder / "tensorboard")
        self.agent.model.set_logger(logger)
        sinks += [log, LoggerSink(logger)]
        if show_progress:
            first_step = found[0] if found else 0
            budget = config.budget if feedback else None
            self.progress = ProgressBar(config.steps, budget=budget, first_step=first_step)
            sinks.append(self.progress)
        metrics = Metrics(sinks, wall_offset_s=state["wall_s"] if state else 0.0)
        loop = PreferenceLoop(
            plan=plan(config),
            agent=self.agent,
            store=self.store,
            streams=self.streams,
            feedback=feedback,
            records=Records(metrics, checkpoints, log),
        )
        try:
            if state is not None:
                loop.restore(state)
            else:
                log.truncate(0)
            loop.run()
            return self._sum_up(loop, metrics)
        except EnvironmentFault as error:
            raise EnvironmentFault(
                f"{error}; the last checkpoint is kept, go on with --resume {self.folder}"
            ) from error
        finally:
            metrics.close()
            self.venv.close()

    def _sum_up(self, loop: PreferenceLoop, metrics: Metrics) -> RunResult:
        config, folder, feedback = self.config, self.folder, self.feedback
        learner = feedback.learner if feedback else None
        model = learner.model if isinstance(learner, RewardTrainer) else None
        result = evaluate(
            self.agent.predict,
            self.make_env,
            num_episodes=config.eval_episodes,
            seed=self.streams.integer("evaluation"),
            reward_function=learner.reward_function() if learner else None,
        )
        try:
            self.agent.save_policy(folder / "policy.zip")
        except OSError as error:
            path = folder / "policy.zip"
            raise StorageError(f"could not write {path}: {error.strerror}") from None
        if model is not None:
            model.save(folder / "reward_model")
        agent = (config.agent or "").upper()
        title = f"{config.env}, {agent}, {config.reward} reward, seed {config.seed}"
        plot_learning_curve(
            read_metrics(folder / "metrics.jsonl"), folder / "learning_curve.png", title=title
        )
        summary = summarise(config, loop, result, wall_s=metrics.wall_s)
        write_text_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        return RunResult(folder, summary, self.agent, model)


def evaluate_run(folder: Path | str, *, num_episodes: int, seed: int) -> Evaluation:
    """Plays a finished run's policy on the true reward, beside what its reward model says of it.

    Args:
        folder: the run folder; its policy.zip is unpickled, so it must be one you trust.
        num_episodes: how many to play.
        seed: of the episodes.

    Raises:
        PrefrlError: a file of the run is missing or damaged; it is named.
    """
    folder = Path(folder)
    config, predict = _finished(folder)
    is_learned = config.reward == "learned"
    model = EnhancedRewardModel.load(folder / "reward_model") if is_learned else None
    return evaluate(
        predict,
        lambda: make_configured_env(config),
        num_episodes=num_episodes,
        seed=seed,
        reward_function=model.reward_function() if model else None,
    )


def film_run(folder: Path | str, path: Path, *, seed: int, max_seconds: float, size: int) -> int:
    """Films a finished run's policy into an MP4 file; returns the number of frames.

    Args:
        folder: the run folder; its policy.zip is unpickled, so it must be one you trust.
        path: the clip.
        seed: of the episode.
        max_seconds: longest clip, in seconds of simulated time.
        size: width and height, in pixels, where the environment lets them be chosen.

    Raises:
        PrefrlError: a file is missing or damaged, or nothing can be rendered here.
    """
    config, predict = _finished(Path(folder))
    plain = make_configured_env(config)
    settings = {**render_settings(plain, size), **config.env_kwargs}
    plain.close()
    config = dataclasses.replace(config, env_kwargs=settings)
    return film(
        predict,
        lambda: make_configured_env(config, render_mode="rgb_array"),
        path,
        max_seconds=max_seconds,
        seed=seed,
    )


def _finished(folder: Path) -> tuple[RunConfig, Callable[[Any], Any]]:
    if not (folder / "config.yaml").exists():
        raise StorageError(f"{folder} holds no run: there is no config.yaml in it")
    config = from_yaml(folder / "config.yaml")
    return config, load_policy(config.agent or "ppo", folder / "policy.zip")


def make_configured_env(config: RunConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """One environment as the settings describe it."""
    return make_env(
        config.env,
        fixed_horizon=config.fixed_horizon,
        max_episode_steps=config.max_episode_steps,
        render_mode=render_mode,
        **config.env_kwargs,
    )


def summarise(
    config: RunConfig, loop: PreferenceLoop, result: Evaluation, *, wall_s: float
) -> dict[str, Any]:
    """The content of summary.json; what does not apply is null."""

    def known(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    dataset = loop.feedback.dataset if loop.feedback else None
    return {
        "env": config.env,
        "agent": config.agent,
        "reward": config.reward,
        "strategy": config.strategy if dataset else None,
        "teacher": config.teacher.name if dataset else None,
        "seed": config.seed,
        "steps": loop.agent.num_steps,
        "budget": config.budget if dataset else 0,
        "num_answers": dataset.num_answers if dataset else 0,
        "num_skips": dataset.num_skips if dataset else 0,
        "final_true_return_mean": result.true_return_mean,
        "final_true_return_std": result.true_return_std,
        "final_learned_return_mean": known(result.learned_return_mean),
        "eval_episodes": result.num_episodes,
        "last_training_true_return": known(loop.last_figures.get("true_return")),
        "reward_holdout_accuracy": known(loop.last_figures.get("reward_holdout_accuracy")),
        "reward_true_correlation": known(result.reward_true_correlation),
        "wall_s": round(wall_s, 3),
        "wall_breakdown": {name: round(value, 3) for name, value in loop.seconds.items()},
        "threads": config.threads,
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
