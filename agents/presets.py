"""Presets: settings that work, per task; everything they decide can be overridden.

Each agent's own stand in its file.
"""

import re
from dataclasses import dataclass
from typing import Any

# Random play of these covers an episode in fewer steps than the usual segment has.
_SEGMENT_LENGTHS = {"Reacher": 25, "Pusher": 50}


@dataclass(frozen=True)
class Preset:
    """The settings that a run leaves to its environment.

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


def task_of(env_id: str) -> str:
    """Returns an environment's id without namespace and version: HalfCheetah of HalfCheetah-v4."""
    return re.sub(r"-v\d+$", "", env_id).rsplit(":", 1)[-1].rsplit("/", 1)[-1]


def segment_length_for(task: str) -> int:
    """Returns how many steps the segments of a task have."""
    return _SEGMENT_LENGTHS.get(task, 50)
