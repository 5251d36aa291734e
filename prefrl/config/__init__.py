"""Every settings dataclass of a run, each said once; strict YAML in and out."""

from prefrl.config.checking import checked
from prefrl.config.queries import QueryConfig, ScheduleName
from prefrl.config.reward import RECIPES, Recipe, RewardConfig
from prefrl.config.reward_model import EnsembleConfig, RewardModelConfig
from prefrl.config.run import AgentName, RunConfig
from prefrl.config.teacher import TeacherConfig
from prefrl.config.yaml_file import from_yaml, to_yaml

__all__ = [
    "RECIPES",
    "AgentName",
    "EnsembleConfig",
    "QueryConfig",
    "Recipe",
    "RewardConfig",
    "RewardModelConfig",
    "RunConfig",
    "ScheduleName",
    "TeacherConfig",
    "checked",
    "from_yaml",
    "to_yaml",
]
