"""Fits the reward model to answers."""

from prefrl.rewards.fitting.building import build_model
from prefrl.rewards.fitting.trainer import RewardTrainer

__all__ = ["RewardTrainer", "build_model"]
