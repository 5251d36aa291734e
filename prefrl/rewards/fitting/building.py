"""The reward model that settings describe, before its first answer."""

import torch

from prefrl.config import RewardConfig
from prefrl.rewards.model.ensemble import EnhancedRewardModel


def build_model(
    input_dim: int,
    config: RewardConfig,
    *,
    segment_length: int,
    generator: torch.Generator,
    observation_dim: int | None = None,
    env_id: str | None = None,
) -> EnhancedRewardModel:
    """The untrained reward model that the settings describe.

    Args:
        input_dim: D.
        config: the settings; the robust recipe decides what they leave open.
        segment_length: steps of the segments it will be fitted to.
        generator: draws the initial weights.
        observation_dim: as in `RewardModelConfig`.
        env_id: as in `RewardModelConfig`.
    """
    config = config.decided()
    are_features = segment_length == 1 and observation_dim is None
    return EnhancedRewardModel(
        input_dim,
        generator=generator,
        hidden_dim=config.hidden_dim,
        num_reward_heads=config.num_reward_heads,
        dropout=config.dropout,
        num_layers=config.num_layers,
        shared_trunk=config.shared_trunk,
        head_layer_norm=config.head_layer_norm,
        linear_part=are_features if config.linear_part is None else config.linear_part,
        segment_length=segment_length if config.scale_by_segment else 1,
        bank_size=config.bank_size or 0,
        bank_policy=config.bank_policy,
        bank_neighbours=config.bank_neighbours,
        observation_dim=observation_dim,
        env_id=env_id,
    )
