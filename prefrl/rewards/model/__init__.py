"""The Enhanced Reward Model: the ensemble, its bank, its frozen form and its folder."""

from prefrl.rewards.model.ensemble import EnhancedRewardModel
from prefrl.rewards.model.frozen import ModelReward
from prefrl.rewards.model.shape import RewardModelConfig

__all__ = ["EnhancedRewardModel", "ModelReward", "RewardModelConfig"]
