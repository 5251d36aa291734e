"""Settings that work, per environment; everything a preset decides can be overridden.

PPO started from RL Baselines3 Zoo's published MuJoCo values (gamma, GAE lambda, gradient clipping,
no orthogonal initialisation, ReLU). What was changed by measurement: 64 units instead of 256, eight
environments, minibatches of 256 and a learning rate of 3e-4 (docs/benchmarks/learning.md). SAC's
are SB3's own defaults with PEBBLE's smaller starting temperature, and 128 units instead of 256: on
HalfCheetah they learn as much in 100,000 steps (4,246 against 3,992, one seed) in half the time.
"""

import re
from dataclasses import dataclass
from typing import Any

_PPO: dict[str, Any] = {
    "learning_rate": 3e-4,
    "n_steps": 256,
    "batch_size": 256,
    "n_epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.7,
    "normalize_observations": True,
    "normalize_reward": True,
    "policy_kwargs": {
        "net_arch": [64, 64],
        "activation_fn": "ReLU",
        "log_std_init": -1.0,
        "ortho_init": False,
    },
}

# Keyed by the id without its version.
_PPO_BY_TASK: dict[str, dict[str, Any]] = {
    "HalfCheetah": {"gamma": 0.98, "gae_lambda": 0.92, "max_grad_norm": 0.8},
    "Hopper": {},
    "Walker2d": {"max_grad_norm": 1.0},
    "Ant": {"gamma": 0.98, "gae_lambda": 0.9},
    "Swimmer": {"gamma": 0.9999, "gae_lambda": 0.98, "learning_rate": 6e-4},
    "Reacher": {"gamma": 0.9, "gae_lambda": 1.0, "clip_range": 0.3, "n_epochs": 5},
    "InvertedPendulum": {"gamma": 0.999, "gae_lambda": 0.9},
    "InvertedDoublePendulum": {"gamma": 0.98, "gae_lambda": 0.8},
    "Pusher": {"gamma": 0.95},
    "Humanoid": {"gamma": 0.95, "gae_lambda": 0.9, "clip_range": 0.3, "n_epochs": 5},
}

_SAC: dict[str, Any] = {
    "learning_rate": 3e-4,
    "buffer_size": 1_000_000,
    "batch_size": 256,
    "tau": 0.005,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
    "ent_coef": "auto_0.1",
    "normalize_observations": False,
    "policy_kwargs": {"net_arch": [128, 128], "activation_fn": "ReLU"},
}

# Robots that nothing resets when they fall on their backs, where SAC spends a third of its steps or
# all of them; PPO takes ten times as many and gets up (docs/benchmarks/learning.md).
_LIES_DOWN_WITH_SAC = {"HalfCheetah"}

# Random play of these covers an episode in fewer steps than the usual segment has.
_SEGMENT_LENGTHS = {"Reacher": 25, "Pusher": 50}


@dataclass(frozen=True)
class Preset:
    """What a run leaves to its environment.

    Args:
        steps: environment steps in all.
        num_envs: environments side by side.
        segment_length: steps of a segment.
        explore_steps: steps before the first session.
        num_sessions: rounds of queries.
        checkpoint_every: most steps between checkpoints.
        newest_steps: candidates come from the newest episodes holding this many steps.
        agent_settings: named as SB3 names them.
        starts_short: whether episodes are cut short at first.
    """

    steps: int
    num_envs: int
    segment_length: int
    explore_steps: int
    num_sessions: int
    checkpoint_every: int
    newest_steps: int
    agent_settings: dict[str, Any]
    starts_short: bool = False


def preset_for(env_id: str, agent: str) -> Preset:
    """The preset of an environment, whatever its version; sensible defaults for unknown ones."""
    task = re.sub(r"-v\d+$", "", env_id).rsplit(":", 1)[-1].rsplit("/", 1)[-1]
    segment_length = _SEGMENT_LENGTHS.get(task, 50)
    if agent == "ppo":
        return Preset(
            steps=1_000_000,
            num_envs=8,
            segment_length=segment_length,
            explore_steps=16_000,
            num_sessions=12,
            checkpoint_every=50_000,
            newest_steps=50_000,
            agent_settings={**_PPO, **_PPO_BY_TASK.get(task, {})},
        )
    return Preset(
        steps=100_000,
        num_envs=1,
        segment_length=segment_length,
        explore_steps=5_000,
        num_sessions=14,
        checkpoint_every=10_000,
        newest_steps=20_000,
        agent_settings=dict(_SAC),
        starts_short=task in _LIES_DOWN_WITH_SAC,
    )
