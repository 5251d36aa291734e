"""Every settings dataclass of a run, each said once; strict YAML in and out."""

from prefrl.config.reward import RECIPES, Recipe, RewardConfig
from prefrl.config.run import (
    AgentName,
    QueryConfig,
    RunConfig,
    ScheduleName,
    TeacherConfig,
    checked,
    from_yaml,
    to_yaml,
)

__all__ = [
    "RECIPES",
    "AgentName",
    "QueryConfig",
    "Recipe",
    "RewardConfig",
    "RunConfig",
    "ScheduleName",
    "TeacherConfig",
    "checked",
    "from_yaml",
    "to_yaml",
]
