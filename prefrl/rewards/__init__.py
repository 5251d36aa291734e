"""The reward model, how it is fitted, and how far its probabilities can be trusted."""

from prefrl.rewards.calibration.conformal import ScoreInterval, score_interval
from prefrl.rewards.fitting import RewardTrainer, build_model
from prefrl.rewards.model import EnhancedRewardModel, ModelReward, RewardModelConfig

__all__ = [
    "EnhancedRewardModel",
    "ModelReward",
    "RewardModelConfig",
    "RewardTrainer",
    "ScoreInterval",
    "build_model",
    "score_interval",
]
