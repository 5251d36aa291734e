"""Preference-based reinforcement learning for Gymnasium and MuJoCo robots.

Example:
    import prefrl

    config = prefrl.RunConfig(env="HalfCheetah-v4", budget=700, strategy="disagreement")
    result = prefrl.run(config, out="runs/cheetah")
    print(result.summary["final_true_return_mean"], result.reward_model)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prefrl import moved

if TYPE_CHECKING:
    from prefrl.config import QueryConfig, RewardConfig, RunConfig, TeacherConfig
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
    "TeacherConfig": "prefrl.config",
    "fit_reward_model": "prefrl.rewards.learn",
    "load_comparisons": "prefrl.feedback.interchange",
    "load_episodes": "prefrl.records.episodes",
    "resume": "prefrl.runs",
    "run": "prefrl.runs",
}

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
    return sorted({*globals(), *__all__})


moved.install()
