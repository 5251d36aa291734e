"""Preference-based reinforcement learning for Gymnasium and MuJoCo robots.

Example:
    >>> import gymnasium, prefrl
    >>> quick = prefrl.RewardConfig(recipe="plain")
    >>> config = prefrl.RunConfig("Pendulum-v1", "ppo", steps=600, budget=8, reward_model=quick)
    >>> result = prefrl.run(config, out="runs/pendulum", show_progress=False)
    >>> env = prefrl.RewardWrapper(gymnasium.make("Pendulum-v1"), result.reward_model)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prefrl import moved

if TYPE_CHECKING:
    from prefrl.config import QueryConfig, RewardConfig, RunConfig, ServingConfig, TeacherConfig
    from prefrl.envs import RewardVecEnv, RewardWrapper
    from prefrl.errors import PrefrlError
    from prefrl.feedback.dataset import PreferenceDataset
    from prefrl.feedback.interchange import load_comparisons
    from prefrl.loop import PreferenceLoop
    from prefrl.records.episodes import load_episodes
    from prefrl.rewards import EnhancedRewardModel
    from prefrl.rewards.learn import fit_reward_model
    from prefrl.runs.start import Parts, RunResult, resume, run

# Imported when first asked for: torch takes seconds, and not every part of the package needs it.
_HOMES = {
    "EnhancedRewardModel": "prefrl.rewards",
    "Parts": "prefrl.runs",
    "PreferenceDataset": "prefrl.feedback.dataset",
    "PreferenceLoop": "prefrl.loop",
    "PrefrlError": "prefrl.errors",
    "QueryConfig": "prefrl.config",
    "RewardConfig": "prefrl.config",
    "RewardVecEnv": "prefrl.envs",
    "RewardWrapper": "prefrl.envs",
    "RunConfig": "prefrl.config",
    "RunResult": "prefrl.runs",
    "ServingConfig": "prefrl.config",
    "TeacherConfig": "prefrl.config",
    "fit_reward_model": "prefrl.rewards.learn",
    "load_comparisons": "prefrl.feedback.interchange",
    "load_episodes": "prefrl.records.episodes",
    "resume": "prefrl.runs",
    "run": "prefrl.runs",
}

_SUBPACKAGES = ("agents", "config", "envs", "feedback", "queries", "rewards", "segments", "testing")

__all__ = [
    "EnhancedRewardModel",
    "Parts",
    "PreferenceDataset",
    "PreferenceLoop",
    "PrefrlError",
    "QueryConfig",
    "RewardConfig",
    "RewardVecEnv",
    "RewardWrapper",
    "RunConfig",
    "RunResult",
    "ServingConfig",
    "TeacherConfig",
    "fit_reward_model",
    "load_comparisons",
    "load_episodes",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'prefrl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    # No more than is public: Tab shows it. Of subpackages those that are imported by now.
    its_own = (name for name in globals() if name.startswith("__"))
    return sorted({*its_own, *__all__, *(name for name in _SUBPACKAGES if name in globals())})


moved.install()
