"""Runs small enough to be made by the dozen."""

from typing import Any

from prefrl import QueryConfig, RewardConfig, RunConfig
from prefrl.config.true_reward import of_true_reward

POINT_MASS = "tests.own_envs:PointMass-v0"
PPO_SETTINGS = {"n_steps": 64, "batch_size": 64, "n_epochs": 2, "policy_kwargs": {"net_arch": [16]}}
SAC_SETTINGS = {
    "buffer_size": 1_000,  # wraps before the run ends
    "batch_size": 32,
    "train_freq": 2,
    "policy_kwargs": {"net_arch": [16]},
}


def ppo(**changes: Any) -> RunConfig:
    """PPO over 1,206 steps with 23 answers in three sessions, two environments."""
    settings: dict[str, Any] = {
        "env": POINT_MASS,
        "agent": "ppo",
        "steps": 1_206,
        "num_envs": 2,
        "agent_settings": PPO_SETTINGS,
        "checkpoint_every": 300,
    }
    return _tiny({**settings, **changes})


def sac(**changes: Any) -> RunConfig:
    """SAC over 1,402 steps, of which 1,100 explore, with 23 answers in three sessions."""
    settings: dict[str, Any] = {
        "env": POINT_MASS,
        "agent": "sac",
        "steps": 1_402,
        "explore_steps": 1_100,
        "agent_settings": SAC_SETTINGS,
        "checkpoint_every": 400,
    }
    return _tiny({**settings, **changes})


def tiniest(**changes: Any) -> RunConfig:
    """PPO over 160 steps, of which 40 explore, with 4 answers in one session."""
    settings: dict[str, Any] = {
        "steps": 160,
        "num_envs": 1,
        "explore_steps": 40,
        "budget": 4,
        "segment_length": 5,
        "eval_episodes": 1,
        "queries": QueryConfig(num_sessions=1, min_candidates=10),
        "reward_model": RewardConfig(hidden_dim=8, max_updates=4),
    }
    return ppo(**{**settings, **changes})


def _tiny(settings: dict[str, Any]) -> RunConfig:
    common: dict[str, Any] = {
        "budget": 23,
        "segment_length": 10,
        "eval_episodes": 2,
        "queries": QueryConfig(num_sessions=3, min_candidates=50),
        "reward_model": RewardConfig(hidden_dim=16, max_updates=20),
    }
    config = RunConfig(**{**common, **settings})
    return of_true_reward(config) if config.reward == "true" else config
