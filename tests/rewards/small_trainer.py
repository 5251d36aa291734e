from typing import Any

import numpy as np
import torch

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import RewardTrainer, build_model
from prefrl.seeding import REWARD_WEIGHTS, Streams
from tests import linear_task


def make_trainer(seed: int = 0, **settings: Any) -> RewardTrainer:
    """A small ensemble that has seen nothing; `settings` are those of `RewardConfig`."""
    streams, config = Streams(seed), RewardConfig(**{"hidden_dim": 32, **settings})
    model = build_model(
        linear_task.INPUT_DIM,
        config,
        segment_length=1,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=linear_task.OBSERVATION_DIM,
    )
    return RewardTrainer(model, config, streams=streams)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_sides_swapped(dataset: PreferenceDataset) -> PreferenceDataset:
    return PreferenceDataset(
        dataset.validation_fraction,
        left=dataset.right,
        right=dataset.left,
        p_left=1 - dataset.p_left,
        is_validation=dataset.is_validation,
        session=dataset.session,
    )


def parameters_of(trainer: RewardTrainer) -> torch.Tensor:
    """Every weight in one vector, statistics left out."""
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])


def of_two_opposed_objectives(stream: np.random.Generator) -> PreferenceDataset:
    """Answers about the true reward, and as many about its contrary."""
    left, right = (linear_task.segments(300, rng=stream) for _ in range(2))
    forwards = linear_task.oracle(left, right)
    dataset = PreferenceDataset(0.0)
    dataset.add(left[:150], right[:150], forwards[:150], session=0, objective=0, rng=stream)
    dataset.add(left[150:], right[150:], 1 - forwards[150:], session=0, objective=1, rng=stream)
    return dataset
