"""The end of a command: whatever ended it becomes one line and a status."""

import contextlib
import errno
import math
import os
import re
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from prefrl.cli.parsing import HelpShown
from prefrl.errors import PrefrlError, printable, with_type
from prefrl.records.versions import version_of

REFUSED = 2
FAILED = 1
STOPPED = 128  # as shells count: this and the signal's number
READER_LEFT = 141

# Torch has no type for it on the CPU, and one on the GPU that is not imported here; a library that
# does not fit is no MemoryError either.
_OUT_OF_MEMORY = re.compile(
    "allocate memory|not enough memory|out of memory|failed to map segment|can't start new thread",
    re.IGNORECASE,
)
# What the system may refuse to whatever is done, so that no file is named: stdout may be one, too.
_REFUSED_BY_SYSTEM = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EBADF),
)
# A service is stopped, a job has had its time, a terminal is closed. Windows has no SIGHUP.
_ASKING_TO_STOP = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_ONE_ASKING_S = 1.0  # `timeout` and terminals send the signal twice
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_REPORTED = ("prefrl", "torch", "gymnasium", "stable-baselines3", "numpy")
_SHOWN = ("torch", "gymnasium", "stable-baselines3", "mujoco")


def version_line() -> str:
    """Returns the versions of prefrl and of what it stands on, without importing any of it."""
    return f"prefrl {version_of('prefrl') or 'unknown'} ({_python()}, {_versions(*_SHOWN)})"


class StopSignals:
    """Makes SIGTERM and SIGHUP stop what runs in its `with` block as Ctrl-C does.

    What is ignored, as under nohup, stays so. Processes that are forked meanwhile end by these
    signals as ever.
    """

    number: int = signal.SIGINT
    """The signal that has stopped it, where one has."""

    def __enter__(self) -> "StopSignals":
        self._process, self._last_s = os.getpid(), -math.inf
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # Others may set no handlers.
            for number in _ASKING_TO_STOP:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: object) -> None:
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now_s = time.monotonic()
        if now_s - self._last_s > _ONE_ASKING_S:
            self.number, self._last_s = number, now_s
            raise KeyboardInterrupt


def status_of(error: BaseException, *, is_debug: bool, stopped_by: int = signal.SIGINT) -> int:
    """Says on stderr, in one line, what ended a command; returns the process's exit status.

    Args:
        error: what ended it.
        is_debug: shows the traceback before the line.
        stopped_by: the signal behind a KeyboardInterrupt.
    """
    if isinstance(error, HelpShown):
        return 0
    if isinstance(error, BrokenPipeError) and _reader_left():
        return READER_LEFT  # As `head` does: whoever read along has what they wanted.
    if is_debug:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        _say("")
        _say(f"prefrl: {printable(str(error)) or 'stopped'}")
        return STOPPED + stopped_by
    _say(f"prefrl: {printable(_said(error))}")
    return REFUSED if isinstance(error, PrefrlError) else FAILED


def _said(error: BaseException) -> str:
    if isinstance(error, PrefrlError):
        return str(error) or type(error).__name__
    if isinstance(error, MemoryError) or (
        isinstance(error, (RuntimeError, ImportError, OSError))
        and _OUT_OF_MEMORY.search(str(error))
    ):
        return f"this machine has not enough memory for that: {with_type(error)}"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}"
    if isinstance(error, OSError) and error.errno in _REFUSED_BY_SYSTEM:
        return f"the system refused to read or write: {error.strerror}"
    if isinstance(error, SystemExit):
        return f"something that was called ended the process, with {error.code!r}"
    return (
        f"an error that was not foreseen, {with_type(error)}; please report it, with what you "
        f"typed and {_python()}, {_versions(*_REPORTED)}; --debug shows the traceback"
    )


def open_closed_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr, so that no file of a run becomes one.

    The system gives the next file that is opened the lowest free number; metrics.jsonl would be
    number 2, and get what libraries complain of.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    # Python has none where it found them closed; print would take stdout for stderr then.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


@contextlib.contextmanager
def in_plain_lines(*, is_debug: bool) -> Iterator[None]:
    """Shows warnings, and what fails beside the command, in a line each.

    Args:
        is_debug: leaves failures of threads and destructors their tracebacks.
    """
    before = threading.excepthook, sys.unraisablehook, sys.stderr
    sys.stderr = cast(TextIO, _Unheard(sys.stderr))
    # A path may hold bytes that are no text, and a terminal may know no letters but ASCII's.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not is_debug:
        say_failures_in_lines()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            yield
    finally:
        threading.excepthook, sys.unraisablehook, sys.stderr = before


def say_failures_in_lines() -> None:
    """Shows from now on what fails in threads, destructors and at exit in a line each."""
    threading.excepthook = _show_thread_error
    sys.unraisablehook = _show_unraisable


class _Unheard:
    """A stream that drops what nobody can be told: no run ends because its log does.

    Args:
        stream: where it is shown, for as long as that works.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text, or nothing: its terminal was closed, its disk is full."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what was written, as far as that can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Says whether it is a terminal; a closed stream is none."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _show_warning(message: Warning | str, *_: Any) -> None:
    # Where in the code it was raised is of no use to whoever types a command. Gymnasium colours
    # its warnings, and says of each that it is one.
    said = _COLOUR.sub("", str(message)).removeprefix("WARN: ")
    _say(f"warning: {printable(said)}")


def _show_thread_error(failed: threading.ExceptHookArgs) -> None:
    # TensorBoard writes in a thread, and hands a full disk on to the main one, which says so.
    if not issubclass(failed.exc_type, OSError) and failed.exc_value is not None:
        _say(f"warning: a thread failed: {printable(with_type(failed.exc_value))}")


def _show_unraisable(ignored: Any) -> None:
    if ignored.exc_value is not None:
        _say(f"warning: ignored: {printable(with_type(ignored.exc_value))}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _reader_left() -> bool:
    """Says whether nobody reads stdout any more; if so, nothing more is written to it."""
    try:
        stdout = sys.stdout.fileno()
        watched = select.poll()
        watched.register(stdout, 0)
        if not any(event & select.POLLERR for _, event in watched.poll(0)):
            return False
        # So that Python does not try once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    except (AttributeError, OSError, ValueError):  # Windows has no poll, a test no descriptor.
        return False
    return True


def _python() -> str:
    return f"python {'.'.join(map(str, sys.version_info[:3]))}"


def _versions(*packages: str) -> str:
    return ", ".join(f"{name} {version_of(name) or 'unknown'}" for name in packages)
