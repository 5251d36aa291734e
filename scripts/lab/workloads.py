"""Workloads of prefrl: fitting, scoring, environment steps and relabelling, as in a run.

Axes: B comparisons, S segments, T steps, N transitions, K heads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer

from lab.speed import (
    ACTION_DIM,
    NUM_ENVS,
    NUM_HEADS,
    OBSERVATION_DIM,
    SEGMENT_LENGTH,
    WIDTH,
    Sizes,
    Workload,
    comparison_multiply_adds,
    row_multiply_adds,
)
from prefrl.agents.relabel_buffer import relabel
from prefrl.config import Recipe, ResolvedReward, RewardConfig
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.envs.vec_env import SameProcessVecEnv
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.queries import make_strategy
from prefrl.queries.pairs import num_pairs
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.bootstrap import bootstrap_counts
from prefrl.rewards.fitting.comparing import FittingLoss
from prefrl.rewards.fitting.descent import descend
from prefrl.seeding import Streams
from prefrl.segments import FloatArray, SegmentBatch

INPUT_DIM = OBSERVATION_DIM + ACTION_DIM
# HalfCheetah's spaces, and the horizon at which it is reset.
OBSERVATION_SPACE = spaces.Box(-np.inf, np.inf, (OBSERVATION_DIM,), np.float64)
ACTION_SPACE = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
HORIZON = 1_000


class NullEnv(gym.Env[Any, Any]):
    """HalfCheetah's spaces with nothing behind them: what is timed is what is around it."""

    observation_space = OBSERVATION_SPACE
    action_space = ACTION_SPACE

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._observations = rng.standard_normal((HORIZON + 1, OBSERVATION_DIM))
        self._step = 0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Goes back to the first step."""
        self._step = 0
        return self._observations[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes the next observation of a list."""
        self._step += 1
        return self._observations[self._step], 1.0, False, self._step == HORIZON, {}


@dataclass(frozen=True)
class Material:
    """The numbers that all tools work on.

    Args:
        left: (B, T, O + A) left segments.
        right: (B, T, O + A) right segments.
        p_left: (B,) 1 or 0, by a reward linear in observations and actions.
        pool: S segments.
        actions: (E, A) of a step of all environments.
    """

    left: SegmentBatch
    right: SegmentBatch
    p_left: FloatArray
    pool: SegmentBatch
    actions: FloatArray

    @staticmethod
    def of(sizes: Sizes, *, rng: np.random.Generator) -> "Material":
        """Draws it."""
        weights = rng.standard_normal(INPUT_DIM)
        left, right, pool = (
            random_segments(num, rng=rng)
            for num in (sizes.num_answers, sizes.num_answers, sizes.num_segments)
        )
        gap = (left.inputs() - right.inputs()).sum(1) @ weights
        actions = rng.uniform(-1, 1, (NUM_ENVS, ACTION_DIM)).astype(np.float32)
        return Material(left, right, (gap > 0).astype(np.float32), pool, actions)


def random_segments(num: int, *, rng: np.random.Generator) -> SegmentBatch:
    """Draws segments of HalfCheetah's dims; no two steps are alike."""
    shape = (num, SEGMENT_LENGTH)
    return SegmentBatch(
        observations=rng.standard_normal((*shape, OBSERVATION_DIM), dtype=np.float32),
        actions=rng.uniform(-1, 1, (*shape, ACTION_DIM)).astype(np.float32),
        true_rewards=np.zeros(shape, np.float32),
        sim_states=np.zeros((*shape, 0)),
        episode=np.arange(num),
        start=np.zeros(num, np.int64),
    )


def our_workloads(material: Material, sizes: Sizes) -> list[Workload]:
    """Lists everything that prefrl is timed at."""
    return [
        steps_of(material, sizes, shared_trunk=False, every_step=True),
        steps_of(material, sizes, shared_trunk=False),
        steps_of(material, sizes, shared_trunk=True),
        session_of(material, sizes, "plain"),
        session_of(material, sizes, "robust"),
        *scoring_of(material, sizes),
        environments_of(material, sizes),
        relabelling_of(sizes),
    ]


def model_of(config: RewardConfig) -> EnhancedRewardModel:
    """Makes the model of the timed size."""
    return build_model(
        INPUT_DIM,
        config,
        segment_length=SEGMENT_LENGTH,
        generator=torch.Generator().manual_seed(0),
        observation_dim=OBSERVATION_DIM,
    )


def config_of(*, recipe: Recipe = "plain", **settings: Any) -> ResolvedReward:
    """Returns the defaults at the timed size."""
    size = {"hidden_dim": WIDTH, "num_layers": 1, "num_reward_heads": NUM_HEADS}
    return RewardConfig(recipe=recipe, **size, **settings).decided()  # type: ignore[arg-type]


def steps_of(
    material: Material, sizes: Sizes, *, shared_trunk: bool, every_step: bool = False
) -> Workload:
    """Times gradient steps alone: minibatches of 32 comparisons, each head on its bootstrap sample.

    Args:
        material: what is fitted to.
        sizes: how much of it.
        shared_trunk: one trunk for all heads, or independent members.
        every_step: whether a gradient step looks at every step of its segments, or at those that
            it looks at by default.
    """
    settings: dict[str, Any] = {"max_updates": sizes.num_updates, "min_epochs": 0.0}
    if every_step:
        settings["step_stride"] = 1
    config = config_of(shared_trunk=shared_trunk, **settings)
    model = model_of(config)
    inputs = [torch.from_numpy(side.inputs()) for side in (material.left, material.right)]
    rng = np.random.default_rng(0)
    answers = AnswerTensors(
        torch.stack(inputs, dim=1),
        torch.from_numpy(material.p_left),
        torch.zeros(len(material.p_left), dtype=torch.int64),
        bootstrap_counts(len(material.p_left), NUM_HEADS, rng=rng),
    )
    model.set_input_statistics(answers.pairs.flatten(0, 1))
    loss = FittingLoss(config, error_rate=0.0, l2=0.0)

    def run() -> float:
        return float(descend(model, answers, loss, rng=rng) * _seen(len(answers), config))

    title = f"gradient steps, {'shared trunk' if shared_trunk else 'independent members'}"
    if every_step:
        title += ", every step"
    multiply_adds = comparison_multiply_adds(
        shared_trunk=shared_trunk, num_steps=SEGMENT_LENGTH // config.step_stride
    )
    return Workload(title, "fitting", "comparisons", run, multiply_adds)


def _seen(num_answers: int, config: RewardConfig) -> float:
    """Averages the comparisons of a gradient step; the last of an epoch may see fewer."""
    return num_answers / -(-num_answers // config.batch_size)


def session_of(material: Material, sizes: Sizes, recipe: Recipe) -> Workload:
    """Times a whole `RewardTrainer.fit`: statistics, held-out checks, calibration, bank and all.

    Only the ensemble's own gradient steps are counted, not those of the models that estimate the
    error rate.
    """
    config = config_of(recipe=recipe, max_updates=sizes.session_updates, min_epochs=0.0)
    dataset = dataset_of(material)
    num_fitted = int((~dataset.is_validation).sum())

    def run() -> float:
        trainer = RewardTrainer(model_of(config), config, streams=Streams(0))
        return trainer.fit(dataset, session=0)["reward_updates"] * _seen(num_fitted, config)

    multiply_adds = comparison_multiply_adds(
        shared_trunk=True, num_steps=SEGMENT_LENGTH // config.step_stride
    )
    return Workload(f"a session, {recipe} recipe", "fitting", "comparisons", run, multiply_adds)


def dataset_of(material: Material) -> PreferenceDataset:
    """Makes answers as a run has them, some of them held out."""
    dataset = PreferenceDataset()
    p_left = material.p_left.astype(np.float64)
    rng = np.random.default_rng(0)
    dataset.add(material.left, material.right, p_left, session=0, rng=rng)
    return dataset


def scoring_of(material: Material, sizes: Sizes) -> list[Workload]:
    """Scores segments by the ensemble, and all pairs of the pool, of which it chooses the best."""
    config = config_of()
    trainer = RewardTrainer(model_of(config), config, streams=Streams(0))
    strategy, rng = make_strategy("disagreement"), np.random.default_rng(0)
    num_segments, pairs = len(material.pool), num_pairs(len(material.pool))
    multiply_adds = SEGMENT_LENGTH * row_multiply_adds(shared_trunk=True)

    def score() -> float:
        return float(len(trainer.score_segments(material.pool)))

    def select() -> float:
        strategy.select(material.pool, sizes.num_queries, trainer, rng=rng)
        return float(pairs)

    title = f"all pairs of {num_segments:,} segments, {sizes.num_queries} chosen"
    return [
        Workload("segments scored", "scoring", "segments", score, multiply_adds),
        Workload(title, "choosing", "pairs", select, multiply_adds * num_segments / pairs),
    ]


def null_environments() -> SameProcessVecEnv:
    """Makes eight environments that do nothing."""
    return SameProcessVecEnv([NullEnv] * NUM_ENVS)


def stepper(venv: Any, actions: FloatArray, num_steps: int) -> Callable[[], float]:
    """Returns a function that steps vector environments of any tool."""
    venv.reset()

    def run() -> float:
        for _ in range(num_steps):
            venv.step(actions)
        return float(num_steps)

    return run


def environments_of(material: Material, sizes: Sizes) -> Workload:
    """Times what `RewardVecEnv` adds to a step of environments that do nothing."""
    venv = RewardVecEnv(null_environments(), model_of(config_of()))

    def run() -> float:
        num_steps = step()
        venv.pop_finished()
        return num_steps

    step = stepper(venv, material.actions, sizes.num_steps)
    return Workload(
        f"RewardVecEnv, {NUM_ENVS} environments",
        "environments",
        "step",
        run,
        NUM_ENVS * row_multiply_adds(shared_trunk=True),
        base=stepper(null_environments(), material.actions, sizes.num_steps),
        in_ms=True,
    )


def relabelling_of(sizes: Sizes) -> Workload:
    """Times relabelling of a full SB3 replay buffer of HalfCheetah's transitions."""
    num, rng = sizes.num_transitions, np.random.default_rng(0)
    buffer = ReplayBuffer(num, OBSERVATION_SPACE, ACTION_SPACE, device="cpu", n_envs=1)
    buffer.observations[:] = rng.standard_normal(buffer.observations.shape, dtype=np.float32)
    buffer.next_observations[:] = buffer.observations
    buffer.actions[:] = rng.uniform(-1, 1, buffer.actions.shape)
    buffer.full = True
    venv = RewardVecEnv(null_environments(), None)
    reward_function = model_of(config_of()).reward_function()

    def run() -> float:
        relabel(buffer, reward_function, venv)
        return float(num)

    return Workload(
        f"relabelling {num:,} transitions",
        "relabelling",
        "transitions",
        run,
        row_multiply_adds(shared_trunk=True),
    )
