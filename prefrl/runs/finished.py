"""Finished runs: their final state, and the end that they are known by."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from prefrl.config import ResolvedRun
from prefrl.errors import ConfigError, StorageError, option
from prefrl.loop import PreferenceLoop, log_mark
from prefrl.records import run_folder
from prefrl.records.checkpoint import Checkpoints
from prefrl.records.episodes import load_episodes, save_episodes
from prefrl.records.metrics import check_lines
from prefrl.types import State


@dataclass(frozen=True)
class Found:
    """The state that a run is gone on from.

    Args:
        step: at which it was written.
        state: the loop's; of a finished run without experience.
        is_finished: there is nothing left to do by the run's settings.
    """

    step: int
    state: State
    is_finished: bool = False


def running_checkpoints(folder: Path, fingerprint: str) -> Checkpoints:
    """Returns those of a run in flight, each with all that it holds."""
    return Checkpoints(folder / run_folder.CHECKPOINTS, fingerprint)


def find(folder: Path, fingerprint: str) -> Found | None:
    """Finds the newest state of a run with these settings; None where it took no step yet.

    A run that was finished and then given more has other settings now than those of `final/`: until
    it is finished again, its own checkpoints count.

    Raises:
        StorageError: it is damaged, another run's, or gone from a run that took steps; or the
            run's metrics are others than it wrote.
    """
    running = running_checkpoints(folder, fingerprint)
    try:
        final = _final(folder, fingerprint).latest()
    except StorageError:
        if running.is_empty:
            raise
        final = None
    newest = final or running.latest()
    if newest is None:
        _check_untouched(folder)
        return None
    is_finished = final is not None
    check_lines(folder / run_folder.METRICS, log_mark(newest[1]), is_all=is_finished)
    return Found(*newest, is_finished=is_finished)


def final_state(folder: Path, fingerprint: str) -> Found | None:
    """Returns the state of a finished run's end; None of one that has not ended.

    Raises:
        StorageError: it is damaged, another run's, or gone from a run that has left something.
    """
    is_running = not running_checkpoints(folder, fingerprint).is_empty
    try:
        final = _final(folder, fingerprint).latest()
    except StorageError:
        if not is_running:
            raise
        return None
    if final is None and not is_running:
        _check_untouched(folder)
    return None if final is None else Found(*final, is_finished=True)


def keep(folder: Path, config: ResolvedRun, loop: PreferenceLoop) -> None:
    """Writes what stays of a run whose summary is written: its newest episodes and `final/`.

    `final/` comes after everything else: where it is, the run is finished, and its checkpoints are
    superfluous.

    Args:
        folder: the run folder.
        config: its settings.
        loop: at its end.

    Raises:
        StorageError: the disk refused.
    """
    if loop.feedback is not None and loop.feedback.path is not None:
        loop.feedback.dataset.save(loop.feedback.path, is_compact=True)
    save_episodes(folder / run_folder.EPISODES, loop.store)
    state = loop.state(has_experience=False)
    _final(folder, config.fingerprint()).save(loop.agent.num_steps, state)
    if not config.keep_checkpoints:
        remove_checkpoints(folder)


def remove_checkpoints(folder: Path) -> None:
    """Removes those of a finished run."""
    running_checkpoints(folder, "").remove()


def with_episodes(found: Found, folder: Path) -> Found:
    """Returns the state of a finished run with the episodes that it keeps, to go on from.

    Raises:
        StorageError: their file is missing or damaged.
    """
    store = load_episodes(folder / run_folder.EPISODES)
    return dataclasses.replace(found, state={**found.state, "store": store.state()})


def given_more(config: ResolvedRun, *, steps: int | None, budget: int | None) -> ResolvedRun:
    """Returns the settings of a finished run that is to go on.

    Args:
        config: its settings.
        steps: environment steps in all; None: no more.
        budget: answers in all; None: no more.

    Raises:
        ConfigError: it has as many steps and answers, or more; or it asks nothing.
    """
    if budget is not None and budget != config.budget and config.reward != "learned":
        raise ConfigError(
            f"{option('budget')} was given, but this run trains on the true reward and asks "
            f"nothing; give it more {option('steps')}"
        )
    for name, value in (("steps", steps), ("budget", budget)):
        if value is not None and value < (now := getattr(config, name)):
            raise ConfigError(
                f"{option(name)} is {value}, but the run has {now} already; give it more"
            )
    return dataclasses.replace(
        config,
        steps=steps or config.steps,
        budget=budget or config.budget,
        earlier_ends=config.ends(),
    )


def _check_untouched(folder: Path) -> None:
    """Refuses a folder without a state in which a run has left something: it would be written over.

    Raises:
        StorageError: there is something.
    """
    for name in (run_folder.SUMMARY, run_folder.POLICY, run_folder.COMPARISONS, run_folder.METRICS):
        path = folder / name
        if path.exists() and path.stat().st_size > 0:
            raise StorageError(
                f"{folder} has {name}, but no state to go on from: {run_folder.FINAL}/ and "
                f"{run_folder.CHECKPOINTS}/ are missing or empty; put one of them back, or start "
                "another run"
            )


def _final(folder: Path, fingerprint: str) -> Checkpoints:
    return Checkpoints(folder / run_folder.FINAL, fingerprint, num_kept=1)
