"""The end of a run: what was learned is written down, then evaluated and drawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefrl.loop import PreferenceLoop
from prefrl.media.plots import plot_learning_curve
from prefrl.records import run_folder
from prefrl.records.files import write_text_atomically
from prefrl.records.metrics import read_metrics
from prefrl.runs.evaluation import evaluation_of
from prefrl.runs.summary import summarise
from prefrl.seeding import EVALUATION

if TYPE_CHECKING:
    from prefrl.runs.compose import OneRun


def sum_up(run: OneRun, loop: PreferenceLoop) -> dict[str, Any]:
    """Writes policy, reward model, learning curve and summary of a run at its end.

    Returns:
        the content of its summary.json.

    Raises:
        PrefrlError: the disk refused, or an environment went wrong in the evaluation.
    """
    config, folder, model = run.config, run.folder, run.reward_model
    reward_function = run.feedback.learner.reward_function() if run.feedback else None
    # First what was learned, then whatever may fail.
    run.agent.save_policy(folder / run_folder.POLICY)
    if model is not None:
        model.save(folder / run_folder.REWARD_MODEL)
    best = run.candidates.keep_best(folder / run_folder.BEST_POLICY, reward_function)
    rollouts = run.arena.play(
        run.agent.predict,
        seed=run.streams.integer(EVALUATION),
        reward_function=reward_function,
    )
    result = evaluation_of(rollouts)
    summary = {
        **summarise(config, loop, result, best),
        **_own_names(run),
    }
    agent = summary["agent"].upper()
    title = f"{config.env}, {agent}, {config.reward} reward, seed {config.seed}"
    if config.train_episode_steps is not None:
        title += f", episodes of {config.train_episode_steps} steps at first"
    final = {
        "step": loop.agent.num_steps,
        "final_true_return": result.true_return_mean,
        "final_true_return_std": result.true_return_std,
        "final_learned_return": result.learned_return_mean,
        "final_success_rate": result.success_rate,
    }
    plot_learning_curve(
        [*read_metrics(folder / run_folder.METRICS), final],
        folder / run_folder.LEARNING_CURVE,
        title=title,
    )
    write_text_atomically(folder / run_folder.SUMMARY, json.dumps(summary, indent=2) + "\n")
    run.candidates.remove()
    return summary


def _own_names(run: OneRun) -> dict[str, str]:
    """Returns what parts of the user's own are called, where settings name others."""
    names = {}
    if run.parts.make_model is not None:
        names["agent"] = type(run.agent.model).__name__.lower()
    if run.feedback is not None:
        own = {"teacher": run.parts.teacher, "strategy": run.parts.strategy}
        names |= {name: type(part).__name__ for name, part in own.items() if part is not None}
    return names
