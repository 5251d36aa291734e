"""Plays a finished run's policy: on the true reward, and before a camera."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from prefrl.agents.factory import load_policy
from prefrl.agents.table import DEFAULT_AGENT
from prefrl.config import RunConfig
from prefrl.envs.cameras import render_settings
from prefrl.errors import StorageError, option
from prefrl.records import run_folder
from prefrl.rewards import EnhancedRewardModel
from prefrl.runs.evaluation import Evaluation, evaluate
from prefrl.runs.resolve import make_configured_env, settings_of
from prefrl.runs.video import film

PolicyName = Literal["final", "best"]


def evaluate_run(
    folder: Path | str, *, num_episodes: int, seed: int, policy: PolicyName = "final"
) -> Evaluation:
    """Plays a finished run's policy on the true reward, beside what its reward model says of it.

    Args:
        folder: the run folder; its policies are unpickled, so it must be one you trust.
        num_episodes: how many to play.
        seed: of the episodes.
        policy: the final one, or the best of those evaluated while the run trained.

    Raises:
        PrefrlError: a file of the run is missing or damaged; it is named.
    """
    folder = Path(folder)
    config, predict = _finished(folder, policy)
    is_learned = config.reward == "learned"
    model = EnhancedRewardModel.load(folder / run_folder.REWARD_MODEL) if is_learned else None
    return evaluate(
        predict,
        lambda: make_configured_env(config),
        num_episodes=num_episodes,
        seed=seed,
        reward_function=model.reward_function(config.objective_weights) if model else None,
    )


def film_run(
    folder: Path | str,
    path: Path,
    *,
    seed: int,
    max_seconds: float,
    size: int,
    policy: PolicyName = "final",
) -> int:
    """Films a finished run's policy into an MP4 file; returns the number of frames.

    Args:
        folder: the run folder; its policies are unpickled, so it must be one you trust.
        path: the clip.
        seed: of the episode.
        max_seconds: longest clip, in seconds of simulated time.
        size: width and height, in pixels, where the environment lets them be chosen.
        policy: as in `evaluate_run`.

    Raises:
        PrefrlError: a file is missing or damaged, or nothing can be rendered here.
    """
    config, predict = _finished(Path(folder), policy)
    plain = make_configured_env(config)
    settings = {**render_settings(plain, size), **config.env_kwargs}
    plain.close()
    config = dataclasses.replace(config, env_kwargs=settings)
    return film(
        predict,
        lambda: make_configured_env(config, render_mode="rgb_array"),
        path,
        max_seconds=max_seconds,
        seed=seed,
    )


def _finished(folder: Path, policy: PolicyName) -> tuple[RunConfig, Callable[[Any], Any]]:
    if not (folder / run_folder.CONFIG).exists():
        raise StorageError(f"{folder} holds no run: there is no {run_folder.CONFIG} in it")
    config = settings_of(folder)
    try:
        agent = json.loads((folder / run_folder.SUMMARY).read_bytes())["agent"]
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or damaged: as asked for
        agent = config.agent or DEFAULT_AGENT
    path = folder / (run_folder.POLICY if policy == "final" else run_folder.BEST_POLICY)
    if policy == "best" and not path.exists():
        raise StorageError(
            f"{folder} has no {path.name}; a run keeps one where it is evaluated while it trains "
            f"({option('eval_every')}), once it has ended"
        )
    return config, load_policy(agent, path)
