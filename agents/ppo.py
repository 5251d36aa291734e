"""PPO: its settings and presets.

They started from RL Baselines3 Zoo's published MuJoCo values (gamma, GAE lambda, gradient clipping,
no orthogonal initialisation, ReLU). What was changed by measurement: 64 units instead of 256, eight
environments, minibatches of 256 and a learning rate of 3e-4 (docs/benchmarks/learning.md).
"""

from typing import Any

from stable_baselines3 import PPO

from prefrl.agents.kinds import AgentKind
from prefrl.agents.presets import Preset, segment_length_for

_SETTINGS: dict[str, Any] = {
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
_SETTINGS_BY_TASK: dict[str, dict[str, Any]] = {
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


def ppo_preset(task: str) -> Preset:
    """Returns PPO's preset of a task."""
    return Preset(
        steps=1_000_000,
        num_envs=8,
        segment_length=segment_length_for(task),
        explore_steps=16_000,
        num_sessions=12,
        checkpoint_every=50_000,
        newest_steps=50_000,
        agent_settings={**_SETTINGS, **_SETTINGS_BY_TASK.get(task, {})},
    )


PPO_KIND = AgentKind(
    algorithm=PPO,
    preset_for_task=ppo_preset,
    takes_discrete_actions=True,
    normalizes_observations=True,
)
