"""Starts runs, goes on with them, and gives finished ones more to do."""

import contextlib
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prefrl.arguments import flag, function, instance, optional, path, whole_number
from prefrl.config import ResolvedRun, RunConfig, ServingConfig, to_yaml
from prefrl.config.checking import changed
from prefrl.errors import ConfigError, option, resuming
from prefrl.feedback.protocols import is_async
from prefrl.records import run_folder
from prefrl.records.files import claimed, is_there, write_text_atomically
from prefrl.records.metrics import import_wandb
from prefrl.records.new_folder import check_new_folder, new_folder
from prefrl.runs.budget import check_budget
from prefrl.runs.compose import OneRun
from prefrl.runs.effect import check_effects
from prefrl.runs.ending import result_of
from prefrl.runs.finished import Found, find, given_more, with_episodes
from prefrl.runs.own_parts import (
    check_parts_known,
    check_same_parts,
    check_settings,
    names_of,
    own_environments,
    record_parts,
)
from prefrl.runs.parts import Parts, Reporting, RunResult
from prefrl.runs.resolve import check_is_run, resolve, settings_of
from prefrl.runs.serving import check_serving
from prefrl.runs.work import Work

__all__ = ["Parts", "RunResult", "resume", "run"]


def run(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
    serving: ServingConfig | None = None,
) -> RunResult:
    """Runs preference-based reinforcement learning from its first step to its summary.

    Args:
        config: the settings; what is None is decided by the environment's preset.
        out: the run folder, new or empty; None makes one under `runs/`.
        parts: parts of your own.
        show_progress: a bar on a terminal, plain lines elsewhere.
        wandb_project: log to Weights & Biases, too.
        on_checkpoint: called after each checkpoint; what is then in the folder can be resumed.
        serving: the page on which people label, where the teacher is `human`.

    Raises:
        PrefrlError: one line that says what was wrong and what is valid; nothing half-written.

    Example:
        >>> import prefrl
        >>> config = prefrl.RunConfig("Pendulum-v1", "ppo", reward="true", steps=128)
        >>> result = prefrl.run(config, out="new", show_progress=False)
        >>> (result.folder / "summary.json").exists()
        True
    """
    expected = "a RunConfig: run(RunConfig(env='HalfCheetah-v4'))"
    config = instance("config", config, RunConfig, expected)
    out = path("out", out) if out is not None else None
    parts = _checked(parts, show_progress, wandb_project, on_checkpoint)
    serving = _checked_serving(serving, config, parts)
    check_settings(config, parts)
    if wandb_project is not None:
        import_wandb()
    if out is not None:
        _check_unused(out)
    names = names_of(parts)
    with own_environments(parts, config.env) as (parts, own):
        resolved = resolve(config, own_env=own.look() if own else None)
        check_effects(config, resolved, parts)
        folder = out if out is not None else _usual_folder(resolved)
        one = OneRun(resolved, folder, parts)
    with contextlib.ExitStack() as stack:
        stack.callback(one.close)
        check_budget(resolved, one.plan, may_ask_late=_may_ask_late(one))
        instead, free = _where_in_use(folder)
        stack.enter_context(
            new_folder(
                folder,
                is_worth_keeping=lambda: one.agent.num_steps > 0,
                instead=instead,
                free=free,
            )
        )
        # Settings come last: with them it can be resumed, for which its parts must be known.
        record_parts(folder, names)
        write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
        reporting = Reporting(show_progress, wandb_project, on_checkpoint, serving)
        return Work(one, reporting).finish(None)


def resume(  # noqa: PLR0913 - what a run is started with, and what it may be given more of
    folder: Path | str,
    *,
    steps: int | None = None,
    budget: int | None = None,
    parts: Parts | None = None,
    show_progress: bool = True,
    wandb_project: str | None = None,
    on_checkpoint: Callable[[], None] | None = None,
    serving: ServingConfig | None = None,
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
        serving: as in `run`; what is left out is as it was, but for a database's password.

    Raises:
        PrefrlError: the folder holds no run, a file in it is damaged (it is named), or a run that
            is not finished was given more.

    Example:
        >>> import prefrl
        >>> config = prefrl.RunConfig("Pendulum-v1", "ppo", reward="true", steps=128)
        >>> folder = prefrl.run(config, out="longer", show_progress=False).folder
        >>> prefrl.resume(folder, steps=256, show_progress=False).summary["steps"]
        256
    """
    folder = path("folder", folder)
    steps, budget = (
        value if value is None else whole_number(name, value, least=1)
        for name, value in (("steps", steps), ("budget", budget))
    )
    parts = _checked(parts, show_progress, wandb_project, on_checkpoint)
    check_is_run(folder)
    if wandb_project is not None:
        import_wandb()
    with claimed(folder):
        check_same_parts(folder, names_of(parts))
        config = settings_of(folder)
        serving = _checked_serving(serving, config, parts)
        reporting = Reporting(show_progress, wandb_project, on_checkpoint, serving)
        with own_environments(parts, config.env) as (parts, own):
            found = find(folder, config.fingerprint())
            if found is None:  # It was killed before its first step.
                resolved = resolve(config, own_env=own.look() if own else None)
                write_text_atomically(folder / run_folder.CONFIG, to_yaml(resolved))
            else:
                check_parts_known(folder, found)
                resolved = ResolvedRun.of(config, source=f"{folder / run_folder.CONFIG}: ")
            is_more = steps not in (None, resolved.steps) or budget not in (None, resolved.budget)
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
            return Work(OneRun(resolved, folder, parts), reporting).finish(found)


def _may_ask_late(run: OneRun) -> bool:
    return run.feedback is not None and is_async(run.feedback.teacher)


def _give_more(
    folder: Path, config: ResolvedRun, found: Found, parts: Parts, reporting: Reporting
) -> RunResult:
    found = with_episodes(found, folder)
    one = OneRun(config, folder, parts)
    try:
        check_budget(config, one.plan, may_ask_late=_may_ask_late(one))
    except ConfigError:
        one.close()
        raise
    if reporting.show_progress:
        num_steps = int(found.state["store"]["lengths"].sum())
        print(
            f"{folder} goes on from step {found.step:,} with its weights and, for experience, its "
            f"newest {num_steps:,} steps; it will not be bit-equal to a longer run",
            file=sys.stderr,
        )
    return Work(one, reporting).finish(found, is_extension=True)


def _finished(
    folder: Path, config: ResolvedRun, found: Found, parts: Parts, reporting: Reporting
) -> RunResult:
    one = OneRun(config, folder, parts)
    if not (folder / run_folder.SUMMARY).exists():
        return Work(one, reporting).finish(with_episodes(found, folder))
    if reporting.show_progress:
        answers = f" and {config.budget:,} answers" if config.reward == "learned" else ""
        print(
            f"{folder} is finished, with {config.steps:,} steps{answers}; give it more by "
            f"{option('steps')} or {option('budget')}",
            file=sys.stderr,
        )
    return result_of(one, found)


def _check_unused(folder: Path) -> None:
    """Refuses an output folder that holds something, or that cannot be one.

    Raises:
        StorageError: it does, or cannot be made or written into.
    """
    instead, free = _where_in_use(folder)
    check_new_folder(folder, instead=instead, free=free)


def _where_in_use(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Returns what to do where a run's folder is in use, and what may be in it nevertheless."""
    has_run = is_there(folder / run_folder.CONFIG)
    go_on = f"go on with it by {resuming(folder)}, or " if has_run else ""
    # Of a run that was killed before it had settings, the names of its parts may be there.
    free = () if has_run else (run_folder.PARTS,)
    return f"{go_on}choose another {option('out')}", free


def _checked(
    parts: object, show_progress: object, wandb_project: object, on_checkpoint: object
) -> Parts:
    """Refuses arguments of other types than they may be; returns the parts, or those of no one.

    Raises:
        ArgumentError: it names the argument.
    """
    own = optional("parts", parts, Parts, "an object of Parts: Parts(teacher=...)")
    flag("show_progress", show_progress)
    optional("wandb_project", wandb_project, str, "the project's name")
    if on_checkpoint is not None:
        function("on_checkpoint", on_checkpoint, "a function without arguments, or None")
    return own or Parts()


def _checked_serving(serving: object, config: RunConfig, parts: Parts) -> ServingConfig:
    """Refuses a page that cannot be served, or on which nobody is asked.

    Raises:
        ConfigError: it is named.
    """
    own = optional("serving", serving, ServingConfig) or ServingConfig()
    if config.teacher.are_people and parts.teacher is None and config.reward == "learned":
        check_serving(own)
    elif given := changed(own):
        raise ConfigError(
            f"{option(given[0])} is of the page on which people label, and this run asks nobody "
            f"there; leave it out, or choose {option('teacher.name', 'human')}"
        )
    return own


def _usual_folder(config: ResolvedRun) -> Path:
    name = f"{config.env.replace('/', '_').replace(':', '_')}-{config.agent}-{config.reward}"
    return Path("runs") / f"{name}-seed{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
