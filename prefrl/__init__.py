"""Preference-based reinforcement learning for Gymnasium and MuJoCo robots."""

from prefrl.config import QueryConfig, RewardConfig, RunConfig, TeacherConfig
from prefrl.envs import RewardVecEnv, RewardWrapper
from prefrl.errors import PrefrlError
from prefrl.loop import PreferenceLoop
from prefrl.rewards import EnhancedRewardModel
from prefrl.run import Parts, RunResult, resume, run

__all__ = [
    "EnhancedRewardModel",
    "Parts",
    "PreferenceLoop",
    "PrefrlError",
    "QueryConfig",
    "RewardConfig",
    "RewardVecEnv",
    "RewardWrapper",
    "RunConfig",
    "RunResult",
    "TeacherConfig",
    "resume",
    "run",
]
