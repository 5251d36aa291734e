"""SAC: its settings and presets.

They are SB3's own defaults with PEBBLE's smaller starting temperature, and 128 units instead of
256: on HalfCheetah they learn as much in 100,000 steps (4,246 against 3,992, one seed) in half the
time.
"""

from typing import Any

from stable_baselines3 import SAC

from prefrl.agents.kinds import AgentKind
from prefrl.agents.presets import Preset, segment_length_for

_SETTINGS: dict[str, Any] = {
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
_LIES_DOWN = {"HalfCheetah"}


def sac_preset(task: str) -> Preset:
    """Returns SAC's preset of a task."""
    return Preset(
        steps=100_000,
        num_envs=1,
        segment_length=segment_length_for(task),
        explore_steps=5_000,
        num_sessions=14,
        checkpoint_every=10_000,
        newest_steps=20_000,
        agent_settings=dict(_SETTINGS),
        starts_short=task in _LIES_DOWN,
    )


SAC_KIND = AgentKind(algorithm=SAC, preset_for_task=sac_preset)
