"""The reward model and how it is fitted."""

from prefrl.rewards.building import build_model
from prefrl.rewards.conformal import ScoreInterval, score_interval
from prefrl.rewards.inference import ModelReward
from prefrl.rewards.model import EnhancedRewardModel
from prefrl.rewards.model_config import RewardModelConfig
from prefrl.rewards.trainer import RewardTrainer

__all__ = [
    "EnhancedRewardModel",
    "ModelReward",
    "RewardModelConfig",
    "RewardTrainer",
    "ScoreInterval",
    "build_model",
    "score_interval",
]
