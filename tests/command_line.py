"""The command line as users meet it: real processes, of which each starts in a few milliseconds.

A fork server imports prefrl once; every command then runs in a process of its own, forked from
it, with its own folder, output and environment variables. It can be killed like any other.
"""

import contextlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
# What a run imports on its way takes seconds, too.
_ON_THE_WAY = ["torch._dynamo", "torch.utils.tensorboard", "matplotlib.backends.backend_agg"]
_SERVER.set_forkserver_preload(["prefrl.runs", "prefrl.cli", "tests.own_envs", *_ON_THE_WAY])
ROOT = Path(__file__).parents[1]
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What a process left behind.

    Args:
        status: exit status; -9 where it was killed.
        out: its standard output.
        err: its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of complaint; there must be exactly one, and no traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("prefrl:")]
        assert len(lines) == 1, self.err
        return lines[0]


class Process:
    """A command that has been started."""

    def __init__(self, process: Any, out: Path, err: Path) -> None:
        self._process = process
        self._out, self._err = out, err

    def kill(self) -> None:
        """Sends SIGKILL, which no process can catch."""
        self._process.kill()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return bool(self._process.is_alive())

    def wait(self, timeout_s: float = TIMEOUT_S) -> Outcome:
        """Waits for its end."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            self.kill()
            raise TimeoutError(f"no end after {timeout_s} s: {self._err.read_text()}")
        outcome = Outcome(self._process.exitcode, self._out.read_text(), self._err.read_text())
        self._process.close()
        return outcome


def start(
    folder: Path,
    *words: object,
    environ: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Process:
    """Starts `prefrl WORDS` in a folder.

    Args:
        folder: where it runs; its output is kept there, too.
        words: the command line.
        environ: further environment variables.
        before: called in the process, before the command; a function of a module.
    """
    number = len(list(folder.glob(".process-*.out")))
    out, err = folder / f".process-{number}.out", folder / f".process-{number}.err"
    process = _SERVER.Process(
        target=_command,
        args=(folder, [str(word) for word in words], dict(environ or {}), before, (out, err)),
    )
    with _path_to(ROOT):  # The first one starts the server, which looks for modules there.
        process.start()
    return Process(process, out, err)


@contextlib.contextmanager
def _path_to(folder: Path) -> Iterator[None]:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def prefrl(folder: Path, *words: object, environ: Mapping[str, str] | None = None) -> Outcome:
    """Runs `prefrl WORDS` in a folder, to its end."""
    return start(folder, *words, environ=environ).wait()


def _command(
    folder: Path,
    words: list[str],
    environ: dict[str, str],
    before: Callable[[], None] | None,
    output: tuple[Path, Path],
) -> None:
    for stream, path in zip((1, 2), output, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.update(environ)
    from prefrl.cli import main

    if before is not None:
        before()
    status: Any = 1
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as Python itself does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(status)
