"""Builds the reward model that settings describe, before its first answer."""

from dataclasses import fields, replace

import torch

from prefrl.arguments import instance, whole_number
from prefrl.config import EnsembleConfig, EnvironmentRecord, RewardConfig
from prefrl.rewards.model.ensemble import EnhancedRewardModel


def build_model(
    input_dim: int,
    config: RewardConfig,
    *,
    segment_length: int,
    generator: torch.Generator,
    observation_dim: int | None = None,
    env_id: str | None = None,
    num_objectives: int = 1,
) -> EnhancedRewardModel:
    """Builds the untrained reward model that the settings describe.

    Args:
        input_dim: D.
        config: the settings; the robust recipe decides what they leave open.
        segment_length: steps of the segments it will be fitted to.
        generator: draws the initial weights.
        observation_dim: as in `RewardModelConfig`.
        env_id: as in `RewardModelConfig`.
        num_objectives: M.

    Example:
        >>> import torch
        >>> from prefrl.config import RewardConfig
        >>> from prefrl.rewards import build_model
        >>> generator = torch.Generator().manual_seed(0)
        >>> model = build_model(4, RewardConfig(), segment_length=50, generator=generator)
        >>> model.config.segment_length
        50
    """
    config = instance("config", config, RewardConfig).decided()
    segment_length = whole_number("segment_length", segment_length, least=1)
    instance("generator", generator, torch.Generator, "a torch.Generator")
    shape = {field.name: getattr(config, field.name) for field in fields(EnsembleConfig)}
    are_features = segment_length == 1 and observation_dim is None
    linear_part = are_features if config.linear_part is None else config.linear_part
    return EnhancedRewardModel(
        input_dim,
        generator=generator,
        **{**shape, "linear_part": linear_part},
        num_objectives=num_objectives,
        segment_length=segment_length if config.scale_by_segment else 1,
        observation_dim=observation_dim,
        env_id=env_id,
    )


def trained_in(
    model: EnhancedRewardModel, environment: EnvironmentRecord | None
) -> EnhancedRewardModel:
    """Writes into a model's config what is known of its environment, and returns the model."""
    model.config = replace(model.config, environment=environment)
    return model
