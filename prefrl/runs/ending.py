"""The end of a run: what was learned is written down, then evaluated, summed up and drawn."""

import contextlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

from prefrl.agents.policy_file import weights_path, write_policy
from prefrl.agents.table import agent_title
from prefrl.errors import (
    ContractError,
    EnvironmentFault,
    StorageError,
    name_of,
    resuming,
    text_of,
)
from prefrl.loop import PreferenceLoop
from prefrl.media.plots import plot_learning_curve
from prefrl.records import run_folder
from prefrl.records.files import remove_leftovers, write_text_atomically
from prefrl.records.metrics import read_metrics
from prefrl.records.remaining import EVALUATING
from prefrl.runs.compose import OneRun
from prefrl.runs.evaluation import Evaluation, evaluation_of
from prefrl.runs.finished import Found, keep, remove_checkpoints
from prefrl.runs.parts import RunResult
from prefrl.runs.restoring import from_file
from prefrl.runs.summary import read_summary, summarise
from prefrl.seeding import EVALUATION
from prefrl.types import RewardFunction

# Of the final policy, as the learning curve has them; in the summary returns are means.
_FINAL = (
    "final_true_return",
    "final_true_return_std",
    "final_learned_return",
    "final_success_rate",
)


def end(run: OneRun, loop: PreferenceLoop) -> dict[str, Any]:
    """Writes down what a run has learned, and sums it up.

    First comes what was learned, then whatever may fail. Until the summary is there, the last
    checkpoint is, from which the rest is done once more.

    Returns:
        the content of its summary.json.

    Raises:
        PrefrlError: the disk refused, or an environment went wrong in the evaluation.
    """
    folder, model = run.folder, run.reward_model
    run.agent.save_policy(folder / run_folder.POLICY)
    if model is not None:
        model.save(folder / run_folder.REWARD_MODEL)
    reward_function = run.feedback.learner.reward_function() if run.feedback else None
    best = run.candidates.keep_best(folder / run_folder.BEST_POLICY, reward_function)
    with loop.records.doing(EVALUATING):
        result = _evaluated(run, reward_function)
    summary = {**summarise(run.config, loop, result, best), **_own_names(run)}
    if run.people is not None:
        summary["labelling"] = run.people.statistics()
    write_text_atomically(folder / run_folder.SUMMARY, json.dumps(summary, indent=2) + "\n")
    run.candidates.remove()
    keep(folder, run.config, loop)
    draw(run, summary)
    return summary


def result_of(run: OneRun, found: Found) -> RunResult:
    """Returns what a finished run left behind, with its agent and reward as they were then.

    Args:
        run: its parts; their environments are closed.
        found: the state of the finished run.

    Raises:
        StorageError: its summary is damaged.
    """
    try:
        with from_file(run.folder, found):
            run.agent.restore(found.state["agent"])
            if run.feedback is not None:
                run.feedback.learner.restore(found.state["learner"])
        summary = read_summary(run.folder, run.config)
        # Runs of before 0.2 have an archive alone, which nobody need trust where there are weights.
        archive = run.folder / run_folder.POLICY
        if not weights_path(archive).exists():
            with contextlib.suppress(StorageError):  # A folder that may only be read is no worse.
                write_policy(archive, run.agent.model, agent=run.agent.name)
        # A kill, or what kept them from being done, may have left some of these.
        with contextlib.suppress(OSError):  # of a folder that may only be read
            remove_leftovers(run.folder)
        if not run.config.keep_checkpoints:
            remove_checkpoints(run.folder)
        if not (run.folder / run_folder.LEARNING_CURVE).exists():
            draw(run, summary)
    finally:
        run.close()
    return RunResult(run.folder, summary, run.agent, run.reward_model)


def draw(run: OneRun, summary: Mapping[str, Any]) -> None:
    """Draws the learning curve; where that fails, it is said, and the run is no worse for it."""
    config = run.config
    title = f"{config.env}, {_agent_title(run)}, {config.reward} reward, seed {config.seed}"
    if config.train_episode_steps is not None:
        title += f", episodes of {config.train_episode_steps} steps at first"
    values = {name: summary.get(name, summary.get(f"{name}_mean")) for name in _FINAL}
    final = {name: float(value) for name, value in values.items() if value is not None}
    try:
        rows = read_metrics(run.folder / run_folder.METRICS)
        if final:
            rows.append({"step": summary["steps"], **final})
        plot_learning_curve(rows, run.folder / run_folder.LEARNING_CURVE, title=title)
    except Exception as error:  # noqa: BLE001 - fonts, disks and backends fail in their own ways
        warnings.warn(
            f"the run is finished, but its learning curve could not be drawn: "
            f"{text_of(error)}; {resuming(run.folder)} draws it",
            stacklevel=2,
        )


def _evaluated(run: OneRun, reward_function: RewardFunction | None) -> Evaluation | None:
    """Plays the final policy; returns None where the settings ask for no episode."""
    if run.config.eval_episodes == 0:
        return None
    try:
        rollouts = run.arena.play(
            run.agent.predict,
            seed=run.streams.integer(EVALUATION),
            reward_function=reward_function,
        )
    except (EnvironmentFault, ContractError) as error:
        raise type(error)(
            f"what was learned is saved, but could not be evaluated: {error}"
        ) from error
    return evaluation_of(rollouts)


def _agent_name(run: OneRun) -> str:
    is_own = run.parts.make_model is not None
    return type(run.agent.model).__name__.lower() if is_own else run.config.agent


def _agent_title(run: OneRun) -> str:
    is_own = run.parts.make_model is not None
    return type(run.agent.model).__name__ if is_own else agent_title(run.config.agent)


def _own_names(run: OneRun) -> dict[str, str]:
    """Returns what parts of the user's own are called, where settings name others."""
    names = {"agent": _agent_name(run)}
    if run.feedback is not None:
        own = {"teacher": run.parts.teacher, "strategy": run.parts.strategy}
        names |= {name: name_of(part) for name, part in own.items() if part is not None}
    return names
