"""A short run that people teach, and what they want of it."""

from typing import Any

import numpy as np

from prefrl import QueryConfig, RewardConfig, RunConfig, TeacherConfig
from tests import tiny_runs

BUDGET = 6
X_VELOCITY = 8


def cheetah(**changes: Any) -> RunConfig:
    """SAC over 420 steps of HalfCheetah, with six answers in two sessions."""
    settings: dict[str, Any] = {
        "env": "HalfCheetah-v4",
        "agent": "sac",
        "agent_settings": tiny_runs.SAC_SETTINGS,
        "steps": 420,
        "explore_steps": 100,
        "budget": BUDGET,
        "segment_length": 10,
        "teacher": TeacherConfig("human"),
        "eval_episodes": 0,
        "checkpoint_every": 100,
        "queries": QueryConfig(num_sessions=2, min_candidates=10, repeat_share=0.0),
        "reward_model": RewardConfig(hidden_dim=8, max_updates=4),
    }
    return RunConfig(**{**settings, **changes})


def faster(sides: Any) -> str:
    """Prefers the side that runs faster."""
    left, right = (
        np.sum(np.array(sides[side]["observations"])[:, X_VELOCITY]) for side in ("left", "right")
    )
    return "left" if left > right else "right"
