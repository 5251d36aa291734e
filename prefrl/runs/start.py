"""Starts runs, goes on with them, and gives finished ones more to do."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prefrl.config import ResolvedRun, RunConfig, to_yaml
from prefrl.errors import ConfigError, StorageError, option, resuming
from prefrl.records import run_folder
from prefrl.records.files import claimed, reason, write_text_atomically
from prefrl.records.metrics import import_wandb
from prefrl.runs.compose import OneRun
from prefrl.runs.finished import Found, find, given_more, with_episodes
from prefrl.runs.parts import Parts, Reporting, RunResult
from prefrl.runs.resolve import resolve, settings_of

__all__ = ["Parts", "RunResult", "resume", "run"]


def run(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
) -> RunResult:
    """Runs preference-based reinforcement learning from its first step to its summary.

    Args:
        config: the settings; what is None is decided by the environment's preset.
        out: the run folder, new or empty; None makes one under `runs/`.
        parts: parts of your own.
        show_progress: a bar on a terminal, plain lines elsewhere.
        wandb_project: log to Weights & Biases, too.
        on_checkpoint: called after each checkpoint; what is then in the folder can be resumed.

    Raises:
        PrefrlError: one line that says what was wrong and what is valid; nothing half-written.
    """
    parts = parts or Parts()
    resolved = resolve(config, own_env=parts.make_env)
    if wandb_project is not None:
        import_wandb()
    folder = Path(out) if out is not None else _new_folder(resolved)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        has_run = (folder / run_folder.CONFIG).exists()
        go_on = f"go on with it by {resuming(folder)}, or " if has_run else ""
        raise StorageError(
            f"the output folder {folder} is in use; {go_on}choose another {option('out')}"
        )
    one = OneRun(resolved, folder, parts)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {folder}: {reason(error)}") from None
    with claimed(folder):
        try:
            write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
        except StorageError:
            if is_new:
                folder.rmdir()
            raise
        return one.finish(None, Reporting(show_progress, wandb_project, on_checkpoint))


def resume(
    folder: Path | str,
    *,
    steps: int | None = None,
    budget: int | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
) -> RunResult:
    """Goes on with a run.

    One that was interrupted goes on from its last checkpoint, and ends as if nothing had happened.
    One that is finished is given more steps, more answers, or both: it goes on with the weights it
    has, the newest 50,000 steps for experience, and the answers that are in comparisons.npz now,
    which somebody may have corrected. It does not end as a longer run would have.

    Args:
        folder: the run folder.
        steps: environment steps in all that a finished run is to have; None: no more.
        budget: answers in all that it is to have; None: no more.
        parts: the same parts of your own that the run was started with.
        show_progress: as in `run`.
        wandb_project: as in `run`.
        on_checkpoint: as in `run`.

    Raises:
        PrefrlError: the folder holds no run, a file in it is damaged (it is named), or a run that
            is not finished was given more.
    """
    folder = Path(folder)
    if not (folder / run_folder.CONFIG).exists():
        raise StorageError(
            f"{folder} holds no run to resume: there is no {run_folder.CONFIG} in it"
        )
    parts, reporting = parts or Parts(), Reporting(show_progress, wandb_project, on_checkpoint)
    if wandb_project is not None:
        import_wandb()
    with claimed(folder):
        config = settings_of(folder)
        found = find(folder, config.fingerprint())
        if found is None:  # It was killed before its first step.
            resolved = resolve(config, own_env=parts.make_env)
            write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
        else:
            resolved = ResolvedRun.of(config, source=f"{folder / run_folder.CONFIG}: ")
        is_more = (steps or resolved.steps, budget or resolved.budget) != (
            resolved.steps,
            resolved.budget,
        )
        if found is not None and found.is_finished:
            if is_more:
                more = given_more(resolved, steps=steps, budget=budget)
                return _give_more(folder, more, found, parts, reporting)
            return _finished(folder, resolved, found, parts, reporting)
        if is_more:
            raise ConfigError(
                f"the run in {folder} has not ended yet, at {resolved.steps} steps and "
                f"{resolved.budget} answers; resume it as it is, and give it more then"
            )
        return OneRun(resolved, folder, parts).finish(found, reporting)


def _give_more(
    folder: Path, config: ResolvedRun, found: Found, parts: Parts, reporting: Reporting
) -> RunResult:
    found = with_episodes(found, folder)
    one = OneRun(config, folder, parts)
    if reporting.show_progress:
        num_steps = int(found.state["store"]["lengths"].sum())
        print(
            f"{folder} goes on from step {found.step:,} with its weights and, for experience, its "
            f"newest {num_steps:,} steps; it will not be bit-equal to a longer run",
            file=sys.stderr,
        )
    return one.finish(found, reporting, is_extension=True)


def _finished(
    folder: Path, config: ResolvedRun, found: Found, parts: Parts, reporting: Reporting
) -> RunResult:
    one = OneRun(config, folder, parts)
    if not (folder / run_folder.SUMMARY).exists():
        return one.finish(with_episodes(found, folder), reporting)
    if reporting.show_progress:
        answers = f" and {config.budget:,} answers" if config.reward == "learned" else ""
        print(
            f"{folder} is finished, with {config.steps:,} steps{answers}; give it more by "
            f"{option('steps')} or {option('budget')}",
            file=sys.stderr,
        )
    return one.result(found)


def _new_folder(config: ResolvedRun) -> Path:
    name = f"{config.env.replace('/', '_').replace(':', '_')}-{config.agent}-{config.reward}"
    return Path("runs") / f"{name}-seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
