"""The command line as users meet it: real processes, of which each starts in a few milliseconds.

A fork server imports prefrl once; every command then runs in a process of its own, forked from
it, with its own folder, output and environment variables. It can be killed like any other.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_S, state_of, wait_until

_SERVER = multiprocessing.get_context("forkserver")
# What a run imports on its way takes seconds, too.
_ON_THE_WAY = ["torch._dynamo", "torch.utils.tensorboard", "safetensors.torch"]
_SERVER.set_forkserver_preload(
    ["prefrl.runs.start", "prefrl.cli.main", "tests.own_envs", *_ON_THE_WAY, "tests.warmed_up"]
)
ROOT = Path(__file__).parents[1]
_numbers = itertools.count()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a process.

    Args:
        status: exit status; -9 where it was killed.
        out: its standard output.
        err: its standard error.
        files: what it was about to do with files of the folder, in order: "open PATH",
            "os.rename PATH" and so on, whether or not the system let it.
    """

    status: int
    out: str
    err: str
    files: list[str]

    @property
    def complaint(self) -> str:
        """The one line of complaint; there must be exactly one, and no traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("prefrl:")]
        assert len(lines) == 1, self.err
        return lines[0]


class Process:
    """A command that has been started."""

    def __init__(self, process: Any, output: Path) -> None:
        self._process = process
        self._output = output

    def _text(self, stream: str) -> str:
        return self._output.with_suffix(stream).read_text(encoding="utf-8")

    @property
    def files(self) -> list[str]:
        """Returns what it was about to do with files so far; see `Outcome`."""
        diary = self._output.with_suffix(".files")
        return self._text(".files").splitlines() if diary.exists() else []

    def kill(self) -> None:
        """Sends SIGKILL, which no process can catch."""
        self._process.kill()

    def interrupt(self) -> None:
        """Sends SIGINT, as Ctrl-C does."""
        os.kill(self._process.pid, signal.SIGINT)

    def go_on(self) -> None:
        """Waits until it has been stopped by a SIGSTOP, and lets it go on."""
        pid = self._process.pid
        wait_until(lambda: state_of(pid) == "T" or not self.is_alive)
        if self.is_alive:
            os.kill(pid, signal.SIGCONT)

    @property
    def is_alive(self) -> bool:
        """Says whether it still runs."""
        return bool(self._process.is_alive())

    def wait(self, timeout_s: float = PATIENCE_S) -> Outcome:
        """Waits for its end."""
        self._process.join(timeout_s)
        if self._process.is_alive():
            self.kill()
            raise TimeoutError(f"no end after {timeout_s} s: {self._text('.err')}")
        status = self._process.exitcode
        self._process.close()
        files = self._text(".files").splitlines()
        return Outcome(status, self._text(".out"), self._text(".err"), files)


def start(
    folder: Path,
    *words: object,
    environ: Mapping[str, str] | None = None,
    signal_at_file: tuple[int, signal.Signals] | None = None,
    before: Callable[[], object] | None = None,
) -> Process:
    """Starts `prefrl WORDS` in a folder.

    Args:
        folder: where it runs.
        words: the command line.
        environ: further environment variables.
        signal_at_file: right before the entry of that number in `Outcome.files` it sends itself
            that signal.
        before: called in the process, before the command; importable there.
    """
    output = folder.parent / f".{folder.name}-{next(_numbers)}"
    process = _SERVER.Process(
        target=_command,
        args=(folder, output, [str(word) for word in words], dict(environ or {})),
        kwargs={"signal_at_file": signal_at_file, "before": before},
    )
    with _path_to(ROOT):  # The first one starts the server, which looks for modules there.
        process.start()
    return Process(process, output)


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


def prefrl(folder: Path, *words: object, **options: Any) -> Outcome:
    """Runs `prefrl WORDS` in a folder, to its end; see `start`."""
    return start(folder, *words, **options).wait()


def _command(
    folder: Path,
    output: Path,
    words: list[str],
    environ: dict[str, str],
    *,
    signal_at_file: tuple[int, signal.Signals] | None,
    before: Callable[[], object] | None,
) -> None:
    for stream, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(_new_file(output.with_suffix(suffix)), stream)
    os.chdir(folder)
    os.environ.update(environ)
    from prefrl.cli.main import main

    _watch_files(folder, _new_file(output.with_suffix(".files")), signal_at_file)
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


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _watch_files(folder: Path, diary: int, at: tuple[int, signal.Signals] | None) -> None:
    count = itertools.count()
    number, sent = at or (-1, signal.SIGKILL)

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not details:
            return
        path = Path(os.fsdecode(details[0])) if isinstance(details[0], (str, bytes)) else None
        if path is None or folder not in (folder / path).parents:
            return
        if next(count) == number:
            os.kill(os.getpid(), sent)
        os.write(diary, f"{event} {(folder / path).relative_to(folder)}\n".encode())

    sys.addaudithook(watch)
