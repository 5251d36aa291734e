"""CrossQ (Bhatt et al. 2024): its settings and preset.

It is SAC with batch renormalisation in actor and critics instead of target networks, and learns
more from fewer steps with smaller networks. The algorithm is sb3-contrib's.
"""

from typing import Any

from prefrl.agents.fused_crossq import FusedCrossQ
from prefrl.agents.kinds import AgentKind
from prefrl.agents.presets import Preset, segment_length_for

EXPLORE_STEPS = 3_000

_SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "buffer_size": 1_000_000,
    "batch_size": 256,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
    "policy_delay": 3,
    "ent_coef": "auto",
    # As many as a run explores, so that all of that is random: networks and their statistics know
    # nothing but what is learned from, and the true reward begins with the same steps.
    "learning_starts": EXPLORE_STEPS,
    "policy_kwargs": {"net_arch": [128, 128], "activation_fn": "ReLU"},
}


def crossq_preset(task: str) -> Preset:
    """Returns CrossQ's preset of a task."""
    return Preset(
        steps=100_000,
        num_envs=1,
        segment_length=segment_length_for(task),
        explore_steps=EXPLORE_STEPS,
        num_sessions=10,
        checkpoint_every=10_000,
        newest_steps=20_000,
        agent_settings={
            **_SETTINGS,
            "policy_kwargs": dict(_SETTINGS["policy_kwargs"]),
        },
        starts_short=task == "HalfCheetah",
    )


CROSSQ_KIND = AgentKind(algorithm=FusedCrossQ, preset_for_task=crossq_preset, title="CrossQ")
