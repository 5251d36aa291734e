"""Every settings dataclass, each said once; strict YAML in and out.

Settings are checked when they are made; nothing here imports torch, NumPy or the command line.
"""

from prefrl.config.benchmark import BenchmarkConfig, PoolSettings, Schedule
from prefrl.config.environment import EnvironmentRecord, WrapperRecord
from prefrl.config.labelling import LabelConfig
from prefrl.config.pace import PaceConfig, PaceName
from prefrl.config.queries import QueryConfig, ResolvedQueries, ScheduleName, SessionSettings
from prefrl.config.resolved import ResolvedRun
from prefrl.config.reward import RECIPES, Recipe, ResolvedReward, RewardConfig
from prefrl.config.reward_model import EnsembleConfig, RewardModelConfig
from prefrl.config.run import RunConfig
from prefrl.config.serving import ServingConfig
from prefrl.config.teacher import TEACHER_PRESETS, TeacherConfig, TeacherSettings
from prefrl.config.yaml_file import from_yaml, to_yaml

__all__ = [
    "RECIPES",
    "TEACHER_PRESETS",
    "BenchmarkConfig",
    "EnsembleConfig",
    "EnvironmentRecord",
    "LabelConfig",
    "PaceConfig",
    "PaceName",
    "PoolSettings",
    "QueryConfig",
    "Recipe",
    "ResolvedQueries",
    "ResolvedReward",
    "ResolvedRun",
    "RewardConfig",
    "RewardModelConfig",
    "RunConfig",
    "Schedule",
    "ScheduleName",
    "ServingConfig",
    "SessionSettings",
    "TeacherConfig",
    "TeacherSettings",
    "WrapperRecord",
    "from_yaml",
    "to_yaml",
]
