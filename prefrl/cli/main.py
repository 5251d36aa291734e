"""The command line: finds the command, and turns every error into one line and a status."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prefrl.cli.answers import answers_command
from prefrl.cli.bench import bench_command
from prefrl.cli.ending import (
    StopSignals,
    in_plain_lines,
    open_closed_streams,
    status_of,
    version_line,
)
from prefrl.cli.eval import eval_command
from prefrl.cli.label import label_command
from prefrl.cli.learn import learn_command
from prefrl.cli.report import report_command
from prefrl.cli.run import run_command
from prefrl.errors import ConfigError, choices, in_commands_words, shown
from prefrl.own_modules import found_from

USAGE = """usage: prefrl COMMAND [OPTIONS]

  run      learn a task from preferences:  prefrl run --env HalfCheetah-v4
  eval     evaluate a finished run:        prefrl eval RUN --video out.mp4
  label    ask people about a run:         prefrl label RUN, or prefrl label --data FILE.npz
  learn    fit recorded answers:           prefrl learn --data comparisons.npz --out DIR
  answers  answers of people, and files:   prefrl answers RUN
  bench    compare query strategies:       prefrl bench --strategies uniform entropy --out DIR
  report   make its report anew:           prefrl report DIR

prefrl COMMAND --help lists a command's options, prefrl --version the versions of what is
installed; with --debug, errors come with their traceback."""

COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "run": run_command,
    "eval": eval_command,
    "bench": bench_command,
    "report": report_command,
    "answers": answers_command,
    "label": label_command,
    "learn": learn_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the process's exit status, and never raises."""
    words = list(sys.argv[1:] if argv is None else argv)
    open_closed_streams()
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with in_plain_lines(is_debug=is_debug), in_commands_words(), StopSignals() as stop:
        try:
            status = _called(words)
            sys.stdout.flush()  # Here, where it is known what to do if nobody reads it any more.
        except BaseException as error:  # noqa: BLE001 - some errors of others are no Exception
            return status_of(error, is_debug=is_debug, stopped_by=stop.number)
    return status


def _called(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] == "--version":
        print(version_line())
        return 0
    if words[0] not in COMMANDS:
        raise ConfigError(f"unknown command {shown(words[0])}; {choices(words[0], COMMANDS)}")
    _check_working_folder()
    with found_from(words):
        COMMANDS[words[0]](words[1:])
    return 0


def _check_working_folder() -> None:
    """Refuses to work where there is no folder: libraries that torch loads would end the process.

    Raises:
        ConfigError: it was removed, or may not be looked at.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the working folder cannot be used: {error.strerror}; change to another"
        ) from None
