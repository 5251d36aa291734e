"""The composition root: the only place that builds environments, agent, teacher and loop."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from prefrl.agents.base import SB3Agent
from prefrl.agents.callbacks import RunCallbacks
from prefrl.agents.factory import make_agent, make_model
from prefrl.agents.own_models import made_by
from prefrl.config import ResolvedRun, SessionSettings
from prefrl.envs.encoding import action_dim, observation_dim
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.vec_env import make_vec_env
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.objectives import ObjectiveTeacher, ObjectiveTeachers
from prefrl.feedback.protocols import Teacher
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.loop import Feedback
from prefrl.plan import growing_episode
from prefrl.queries import make_strategy
from prefrl.records import run_folder
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.rewards.fitting.building import trained_in
from prefrl.runs.arena import Arena
from prefrl.runs.candidate_policies import CandidatePolicies
from prefrl.runs.parts import Parts
from prefrl.runs.people import People
from prefrl.runs.resolve import env_maker, plan
from prefrl.runs.sizes import check_sizes
from prefrl.seeding import POLICY_WEIGHTS, REWARD_WEIGHTS, Streams, seed_global_generators
from prefrl.segments import EpisodeStore


class OneRun:
    """One run's parts, built from its settings; nothing is written.

    Environments are open from here on, until `close`; where one of the parts cannot be built, they
    are closed again.
    """

    def __init__(self, config: ResolvedRun, folder: Path, parts: Parts) -> None:
        self.config = config
        self.folder = folder
        self.parts = parts
        callbacks = RunCallbacks(parts.callbacks)
        self.streams = Streams(config.seed)
        torch.set_num_threads(config.threads)
        self.make_env = env_maker(config, parts.make_env)
        self.store = EpisodeStore(config.store_transitions)
        asks_people = config.teacher.are_people and parts.teacher is None
        self.people = People(config, parts.make_env) if asks_people else None
        self.candidates = CandidatePolicies(
            folder / run_folder.CANDIDATES,
            config.fingerprint(),
            ends=(config.steps, config.budget if config.reward == "learned" else 0),
        )
        with contextlib.ExitStack() as opened:
            self.venv = make_vec_env(
                self._make_training_env,
                config.num_envs,
                self.store,
                objectives=config.objectives,
                beside=self.people.beside if self.people is not None else None,
            )
            opened.callback(self.venv.close)
            self.dims = (
                observation_dim(self.venv.observation_space),
                action_dim(self.venv.action_space),
            )
            """Of an observation and of an action, as rows of numbers."""
            check_sizes(config, observation_dim=self.dims[0], action_dim=self.dims[1])
            self.agent = self._make_agent(callbacks)
            self.plan = plan(config, stride=self.agent.stride)
            self.feedback = self._make_feedback(parts) if config.reward == "learned" else None
            self.arena = self._make_arena()
            # What cannot be had is known before the first step.
            if config.eval_every is not None or config.eval_in == "own":
                self.arena.open()
            opened.pop_all()

    def close(self) -> None:
        """Closes the environments."""
        self.venv.close()
        self.arena.close()

    @property
    def reward_model(self) -> EnhancedRewardModel | None:
        """The learned reward; None for a run on the true one."""
        learner = self.feedback.learner if self.feedback is not None else None
        return learner.model if isinstance(learner, RewardTrainer) else None

    def _make_training_env(self) -> gym.Env[Any, Any]:
        make = self.make_env if self.people is None else self.people.make_env
        env, limit = make(), self.config.train_episode_steps
        return env if limit is None else CutEpisodes(env, limit)

    def _make_arena(self) -> Arena:
        training: Any = self.venv.unwrapped
        return Arena(
            self.make_env,
            training.envs,
            num_episodes=self.config.eval_episodes,
            place=self.config.eval_in,
        )

    def _make_agent(self, callbacks: RunCallbacks) -> SB3Agent:
        config = self.config
        # A model of one's own may come without a seed.
        seed_global_generators(self.streams.integer(POLICY_WEIGHTS))
        agent = make_agent(
            self._make_model(),
            total_steps=config.steps,
            explore_episode_steps=config.explore_episode_steps,
            episode_steps=self._episode_steps(),
            callbacks=callbacks,
            random_steps=config.agent_settings.get("learning_starts"),
        )
        agent.name = config.agent if self.parts.make_model is None else ""
        return agent

    def _make_model(self) -> Any:
        if self.parts.make_model is not None:
            return made_by(self.parts.make_model, self.venv)
        return make_model(
            self.config.agent,
            self.venv,
            self.config.agent_settings,
            seed=self.streams.integer(POLICY_WEIGHTS),
            device=self.config.device,
        )

    def _episode_steps(self) -> Callable[[int], int] | None:
        first, whole = self.config.train_episode_steps, self.config.max_episode_steps
        if first is None:
            return None
        # Given more steps, a run does not begin with short episodes again.
        total_steps = self.config.ends()[0].steps
        return partial(growing_episode, first=first, whole=whole, total_steps=total_steps)

    def _make_feedback(self, parts: Parts) -> Feedback:
        config, settings = self.config, self.config.reward_model
        observations, actions = self.dims
        model = build_model(
            observations + actions,
            settings,
            segment_length=config.segment_length,
            generator=self.streams.torch_generator(REWARD_WEIGHTS),
            observation_dim=observations,
            env_id=self.venv.env_id,
            num_objectives=max(1, len(config.objectives)),
        )
        trained_in(model, self.venv.described.record)
        return Feedback(
            teacher=parts.teacher or self.people or _make_teacher(config),
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


def _make_teacher(config: ResolvedRun) -> Teacher | ObjectiveTeacher:
    if config.objectives:
        return ObjectiveTeachers(config.objectives, config.teacher)
    return SyntheticTeacher(config.teacher)
