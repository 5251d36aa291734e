"""The command line: finds the command, and turns every error into one line and a status."""

import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from prefrl.cli.answers import answers_command
from prefrl.cli.bench import bench_command
from prefrl.cli.eval import eval_command
from prefrl.cli.learn import learn_command
from prefrl.cli.report import report_command
from prefrl.cli.run import run_command
from prefrl.errors import ConfigError, PrefrlError, in_commands_words, one_line
from prefrl.own_modules import found_from

USAGE = """usage: prefrl COMMAND [OPTIONS]

  run      learn a task from preferences:  prefrl run --env HalfCheetah-v4
  eval     evaluate a finished run:        prefrl eval RUN --video out.mp4
  learn    fit recorded answers:           prefrl learn --data comparisons.npz --out DIR
  answers  merge files of answers:         prefrl answers merge A.npz B.npz --out C.npz
  bench    compare query strategies:       prefrl bench --strategies uniform entropy --out DIR
  report   make its report anew:           prefrl report DIR

prefrl COMMAND --help lists a command's options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the process's exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[list[str]], None]] = {
        "run": run_command,
        "eval": eval_command,
        "bench": bench_command,
        "report": report_command,
        "answers": answers_command,
        "learn": learn_command,
    }
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    try:
        if words[0] not in commands:
            raise ConfigError(f"unknown command {words[0]!r}; choose from {', '.join(commands)}")
        with warnings.catch_warnings(), in_commands_words(), found_from(words):
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            threading.excepthook = _show_thread_error
            commands[words[0]](words[1:])
    except PrefrlError as error:
        print(f"prefrl: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\nprefrl: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Warning | str, *_: Any) -> None:
    # Where in the code it was raised is of no use to whoever types a command.
    print(f"warning: {one_line(str(message))}", file=sys.stderr)


def _show_thread_error(failed: threading.ExceptHookArgs) -> None:
    # TensorBoard writes in a thread, and hands a full disk on to the main one, which says so.
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)
