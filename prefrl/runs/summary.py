"""Sums a finished run up in its summary.json."""

import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.config import ResolvedRun
from prefrl.errors import StorageError, shown
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.loop import PreferenceLoop
from prefrl.records import run_folder
from prefrl.records.json_file import read_json_object
from prefrl.records.versions import version_of
from prefrl.runs.candidate_policies import Best
from prefrl.runs.evaluation import Evaluation

# What whoever resumes a finished run is told of it.
_PRINTED: dict[str, type | tuple[type, ...]] = {
    "final_true_return_mean": (int, float, type(None)),
    "final_true_return_std": (int, float, type(None)),
    "eval_episodes": int,
    "num_answers": int,
    "wall_s": (int, float),
}

PACKAGES = (
    *("prefrl", "torch", "gymnasium", "stable-baselines3", "sb3-contrib", "mujoco", "dm-control"),
    "numpy",
)


def _num_held_out(dataset: PreferenceDataset) -> int:
    """Counts the answers that the reward's accuracy is measured on: ties say nothing of it."""
    is_decisive = ~np.isnan(dataset.p_left) & (dataset.p_left != 0.5)
    return int((dataset.is_validation & is_decisive).sum())


def summarise(
    config: ResolvedRun, loop: PreferenceLoop, result: Evaluation | None, best: Best | None
) -> dict[str, Any]:
    """Returns the content of summary.json; what does not apply is null.

    Args:
        config: the run's settings.
        loop: at its end.
        result: of the final policy; None where it was not evaluated.
        best: the best policy of those evaluated on the way; None where none was.
    """

    def known(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    dataset = loop.feedback.dataset if loop.feedback else None
    return {
        "env": config.env,
        "agent": config.agent,
        "reward": config.reward,
        "strategy": config.strategy if dataset else None,
        "teacher": config.teacher.name if dataset else None,
        "seed": config.seed,
        "steps": loop.agent.num_steps,
        "budget": config.budget if dataset else 0,
        "num_asked": dataset.num_asked if dataset else 0,
        "num_answers": dataset.num_answered if dataset else 0,
        "num_skips": dataset.num_skips if dataset else 0,
        "final_true_return_mean": result.true_return_mean if result else None,
        "final_true_return_std": result.true_return_std if result else None,
        "final_learned_return_mean": known(result.learned_return_mean) if result else None,
        "final_success_rate": known(result.success_rate) if result else None,
        "eval_episodes": result.num_episodes if result else 0,
        "best_policy_step": best.step if best else None,
        "best_policy_score": best.score if best else None,
        "best_policy_true_return": best.true_return if best else None,
        "train_episode_steps": config.train_episode_steps,
        "last_training_true_return": known(loop.last_metrics.get("true_return")),
        "reward_holdout_accuracy": known(loop.last_metrics.get("reward_holdout_accuracy")),
        "reward_holdout_answers": _num_held_out(dataset) if dataset else None,
        "reward_true_correlation": known(result.reward_true_correlation) if result else None,
        "wall_s": round(loop.records.metrics.wall_s, 3),
        "cpu_s": round(loop.records.metrics.cpu_s, 3),
        "wall_breakdown": {name: round(value, 3) for name, value in loop.seconds.items()},
        "threads": config.threads,
        "versions": {
            "python": platform.python_version(),
            **{name: version_of(name) for name in PACKAGES},
        },
    }


def read_summary(folder: Path, config: ResolvedRun) -> dict[str, Any]:
    """Reads the summary of a finished run.

    Args:
        folder: the run folder.
        config: the run's settings.

    Raises:
        StorageError: it is missing, damaged, or another run's.
    """
    path = folder / run_folder.SUMMARY
    summary = read_json_object(path, _PRINTED)
    own = {"env": config.env, "reward": config.reward, "seed": config.seed, "steps": config.steps}
    for name, value in own.items():
        if (found := summary.get(name, value)) != value:
            raise StorageError(
                f"{path} is of another run: its {name} is {shown(found)}, not {shown(value)}; "
                "remove it, and the run is summed up anew"
            )
    return summary
