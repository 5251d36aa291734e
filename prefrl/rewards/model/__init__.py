"""The Enhanced Reward Model: the ensemble, its bank, its frozen form and its folder."""

from prefrl.config import RewardModelConfig
from prefrl.rewards.model.ensemble import EnhancedRewardModel
from prefrl.rewards.model.frozen import ModelReward

__all__ = ["EnhancedRewardModel", "ModelReward", "RewardModelConfig"]
