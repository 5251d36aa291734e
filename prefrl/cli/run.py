"""`prefrl run`: learn a task from preferences, or go on with a run."""

import dataclasses
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from prefrl.cli.parsing import ALIASES, parse
from prefrl.cli.result_text import result_text
from prefrl.config import ResolvedRun, RunConfig, ServingConfig, TeacherConfig, from_yaml
from prefrl.config.true_reward import OF_LEARNED_REWARDS, of_no_use, of_true_reward
from prefrl.errors import ConfigError, option
from prefrl.own_modules import check_is_elsewhere
from prefrl.records import run_folder


@dataclass(frozen=True)
class RunCommand:
    """Learn a task from preferences, or go on with a run.

    Args:
        settings: the run's settings; None means the environment's preset decides.
        out: the run folder, new or empty; runs/... by default.
        resume: go on with the run in this folder; its own settings hold. One that is finished is
            given more by `--steps` and `--budget`, both counted from its start.
        config: start from the settings in this file (a run's config.yaml reruns it exactly).
        wandb: log to this Weights & Biases project, too.
        serving: the page on which people label, with --teacher human.
    """

    settings: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    resume: Path | None = None
    config: Path | None = None
    wandb: str | None = None
    serving: Annotated[ServingConfig, tyro.conf.arg(name="")] = field(default_factory=ServingConfig)


_WITH_RESUME = {"resume", "steps", "budget", "wandb", "open", "no_open", *vars(ServingConfig())}


def run_command(words: list[str]) -> None:
    """Runs `prefrl run`."""
    command = _parsed(words)
    steps, budget = _more(words, command) if command.resume is not None else (None, None)
    from prefrl.runs.start import resume, run  # torch and its friends take seconds to import

    if command.resume is not None:
        result = resume(
            command.resume,
            steps=steps,
            budget=budget,
            wandb_project=command.wandb,
            serving=command.serving,
        )
    else:
        result = run(
            command.settings,
            out=command.out,
            wandb_project=command.wandb,
            serving=command.serving,
        )
    print(result_text(result.folder, result.summary))


def _more(words: list[str], command: RunCommand) -> tuple[int | None, int | None]:
    """Returns the steps and the answers that a finished run is given, None where none are.

    Raises:
        ConfigError: other settings are given.
    """
    if others := _typed(words) - _WITH_RESUME:
        raise ConfigError(
            f"--resume goes on with the run's own settings; only --steps and --budget go with it, "
            f"to give a finished run more, and what serves the page of people who label, not "
            f"{option(min(others))}"
        )
    has_budget = "budget" in _typed(words)
    return command.settings.steps, command.settings.budget if has_budget else None


def _parsed(words: list[str]) -> RunCommand:
    """Returns the command; its settings begin with those of a file, where one is given."""
    path = parse(_ConfigOnly, _config_words(words), prog="prefrl run").config
    start = from_yaml(path) if path is not None else RunConfig()
    command = parse(
        RunCommand,
        words,
        prog="prefrl run",
        default=RunCommand(settings=start),
        config=(tyro.conf.AvoidSubcommands,),
    )
    settings = _consistent(command.settings, start)
    if settings.reward == "true":
        for name in sorted(_typed(words)):
            if name.partition(".")[0] in (*OF_LEARNED_REWARDS, *ALIASES, "no_ease"):
                raise of_no_use(name)
        if start.reward != "true" or _is_of_a_run(start):
            settings = of_true_reward(settings)
    if path is not None and (path.parent / run_folder.METRICS).exists():
        # They are a run's, maybe somebody else's.
        for name in (settings.env, settings.strategy):
            check_is_elsewhere(name, path.parent)
    return dataclasses.replace(command, settings=settings)


def _typed(words: list[str]) -> set[str]:
    """Returns the names of the options among the words."""
    options = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    return {name.replace("-", "_") for name in options}


def _is_of_a_run(settings: RunConfig) -> bool:
    """Says whether settings are a run's config.yaml, which says what it made no use of, too."""
    try:
        ResolvedRun.of(settings)
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class _ConfigOnly:
    """The one option that must be known before the others, whose defaults it holds."""

    config: Path | None = None


def _config_words(words: list[str]) -> list[str]:
    for index, word in reversed(list(enumerate(words))):  # the last one holds
        if word == "--config":
            return words[index : index + 2]
        if word.startswith("--config="):
            return [word]
    return []


def _consistent(settings: RunConfig, start: RunConfig) -> RunConfig:
    """Gives another teacher or agent than the file's its own parameters, not the file's."""
    teacher = settings.teacher
    if teacher.name != start.teacher.name:
        own = {
            name: value
            for name, value in asdict(teacher).items()
            if value != getattr(start.teacher, name)
        }
        settings = dataclasses.replace(settings, teacher=TeacherConfig(**own))
    if settings.agent != start.agent and settings.agent_settings == start.agent_settings:
        settings = dataclasses.replace(settings, agent_settings={})
    return settings
