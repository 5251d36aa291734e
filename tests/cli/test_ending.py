"""Whatever ends a command, it becomes one line and a status; `--debug` shows where it came from."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import NoReturn

import gymnasium
import pytest

from prefrl.__main__ import main as process_main
from prefrl.cli.main import COMMANDS, main
from prefrl.errors import ConfigError, DataError, option
from tests.command_line import ROOT
from tests.waiting import PATIENCE_S


class Panic(BaseException):
    """An error of a library written in another language: no Exception."""


def raising(error: BaseException):
    """A command that ends with an error."""

    def command(words: list[str]) -> NoReturn:
        raise error

    return command


def ended_with(error: BaseException, monkeypatch, capsys, *more: str) -> tuple[int, str]:
    """Status and stderr of a command that ends with an error."""
    monkeypatch.setitem(COMMANDS, "report", raising(error))
    status = main(["report", *more])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("steps are odd"), 2, "prefrl: steps are odd"),
        (DataError("two\n lines"), 2, "prefrl: two lines"),
        (DataError(), 2, "prefrl: DataError"),
        (MemoryError(), 1, "prefrl: this machine has not enough memory for that: MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "prefrl: this machine has"),
        (PermissionError(13, "Permission denied", "a b"), 1, "prefrl: a b cannot be used: Perm"),
        (ImportError("libx.so: failed to map segment"), 1, "prefrl: this machine has not enough"),
        (OSError(28, "No space left on device"), 1, "prefrl: the system refused to read or write"),
        (SystemExit(0), 1, "prefrl: something that was called ended the process, with 0"),
        (ConfigError("a\x1b[31m\x00\udcff"), 2, "prefrl: a\\x1b[31m\\x00\\udcff"),
    ],
)
def test_what_can_be_said_is_said_in_a_line(error, status, said, monkeypatch, capsys):
    ended, text = ended_with(error, monkeypatch, capsys)
    assert ended == status
    assert text.startswith(said)
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        *(ZeroDivisionError("float\ndivision"), RecursionError("deep"), KeyError("seed")),
        *(UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), OSError("odd"), Panic("rust")),
        *(ImportError("no libtorch"), StopIteration(), ValueError("x" * 10_000), EOFError()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_was_not_foreseen_asks_for_a_report_with_versions(error, monkeypatch, capsys):
    status, text = ended_with(error, monkeypatch, capsys)
    assert status == 1
    assert text.startswith(f"prefrl: an error that was not foreseen, {type(error).__name__}")
    for name in ("prefrl", "python", "torch", "gymnasium", "stable-baselines3", "numpy"):
        assert f" {name} " in text
    assert text.endswith("--debug shows the traceback\n")
    assert text.count("\n") == 1
    assert len(text) < 2_000


@pytest.mark.parametrize("error", [ConfigError("mine"), ZeroDivisionError("theirs")])
def test_with_debug_before_or_after_the_command_the_traceback_comes_first(
    error, monkeypatch, capsys
):
    monkeypatch.setitem(COMMANDS, "report", raising(error))
    for words in (["--debug", "report"], ["report", "--debug"]):
        assert main(words) in (1, 2)
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[-1].startswith("prefrl: ")


def test_ctrl_c_is_130(monkeypatch, capsys):
    status, text = ended_with(KeyboardInterrupt("stopped; go on"), monkeypatch, capsys)
    assert (status, text) == (130, "\nprefrl: stopped; go on\n")


@pytest.fixture
def heard():
    """Signals that are not ignored, as they are where the tests run under nohup."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


STOPS = (signal.SIGTERM, signal.SIGHUP)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_what_asks_a_process_to_stop_is_as_good_as_ctrl_c_even_if_it_asks_twice(
    name, status, monkeypatch, capsys
):
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def stopped(_):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            signal.raise_signal(number)  # while it ends
            raise KeyboardInterrupt("stopped; go on") from None

    monkeypatch.setitem(COMMANDS, "run", stopped)
    assert main(["run"]) == status
    assert capsys.readouterr().err == "\nprefrl: stopped; go on\n"
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("heard")
def test_a_stop_that_somebody_swallows_is_heard_when_it_is_asked_for_again(monkeypatch):
    monkeypatch.setattr("prefrl.cli.ending._ONE_ASKING_S", 0.0)

    def stopped(_):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setitem(COMMANDS, "run", stopped)
    assert main(["run"]) == 0


def test_under_nohup_a_closed_terminal_stops_nothing(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setitem(COMMANDS, "run", lambda _: signal.raise_signal(signal.SIGHUP))
        assert main(["run"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_a_command_forks_ends_by_a_signal_as_ever(monkeypatch):
    ends, fork = [], multiprocessing.get_context("fork")
    is_there = fork.Event()

    def wait():
        is_there.set()
        while True:
            time.sleep(0.01)

    def forks(_):
        child = fork.Process(target=wait)
        child.start()
        # Python forgets a signal that comes while it forks.
        assert is_there.wait(PATIENCE_S)
        child.terminate()
        child.join(PATIENCE_S)
        ends.append(child.exitcode)

    monkeypatch.setitem(COMMANDS, "run", forks)
    assert main(["run"]) == 0
    assert ends == [-signal.SIGTERM]


def test_ctrl_c_while_a_command_is_loaded_or_once_more_while_it_ends_shows_no_traceback(
    monkeypatch, capsys
):
    # The package's attribute of that name is the function.
    module = sys.modules["prefrl.cli.main"]
    monkeypatch.setattr(module, "main", lambda: raising(KeyboardInterrupt())([]))
    before = signal.getsignal(signal.SIGINT)
    try:
        assert process_main() == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # no exception any more
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == ""


def test_what_fails_beside_the_command_is_a_warning_of_a_line(monkeypatch, capsys):
    class Unclean:
        def __del__(self):
            raise ValueError("never\nmade")

    def command(words: list[str]) -> None:
        warnings.simplefilter("always")
        warnings.warn("two\nlines", stacklevel=1)
        gymnasium.logger.warn("It shares an object.")
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        Unclean()

    monkeypatch.setitem(COMMANDS, "report", command)
    before = threading.excepthook, sys.unraisablehook
    assert main(["report"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: two lines",
        "warning: It shares an object.",
        "warning: a thread failed: ZeroDivisionError: division by zero",
        "warning: ignored: ValueError: never made",
    ]
    assert before == (threading.excepthook, sys.unraisablehook)


def test_errors_speak_of_options_only_while_a_command_runs(capsys):
    assert main(["run", "--steps", "0"]) == 2
    assert capsys.readouterr().err == "prefrl: --steps is 0; expected 1 or more\n"
    assert option("steps") == "steps"


def prefrl(words, **options):
    """A process of its own."""
    command = [sys.executable, "-m", "prefrl", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environ", {})}
    return subprocess.run(command, env=environ, capture_output=True, check=False, **options)


def test_the_version_is_said_without_importing_what_it_is_of():
    code = (
        "import sys; from prefrl.cli.main import main; main(['--version']); "
        "print({*sys.modules} & {'torch', 'numpy', 'gymnasium'})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line, imported = found.stdout.splitlines()
    assert line.startswith("prefrl ")
    for name in ("python", "torch", "gymnasium", "stable-baselines3", "mujoco"):
        assert f"{name} " in line
    assert imported == "set()"


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_a_reader_who_leaves_gets_no_traceback(words):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "prefrl", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with os.fdopen(write, "wb") as broken:
        ended = subprocess.run(
            command, env=environ, stdout=broken, stderr=subprocess.PIPE, check=False
        )
    assert ended.stderr == b""
    assert ended.returncode == 141


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_bytes_that_are_no_text_are_shown_in_any_locale(locale, tmp_path):
    environ = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in ([b"run", b"--config", b"\xff\xe9"], [b"\xff"], [b"run", b"--\xff", b"\xc3\xa9"]):
        ended = prefrl(words, environ=environ, cwd=tmp_path)
        assert ended.returncode == 2
        assert ended.stderr.count(b"\n") == 1
        assert ended.stderr.startswith(b"prefrl: ")


def test_a_line_that_nobody_can_be_told_is_no_error(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert main(["bogus"]) == 2


class Full(io.StringIO):
    """A stream that can take nothing more, as a full disk or a terminal that was closed."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_ends_no_command(monkeypatch):
    def command(words: list[str]) -> None:
        print("0 steps", file=sys.stderr, flush=True)
        warnings.simplefilter("always")
        warnings.warn("odd", stacklevel=1)

    monkeypatch.setitem(COMMANDS, "report", command)
    full = Full()
    monkeypatch.setattr(sys, "stderr", full)
    assert main(["report"]) == 0
    assert main(["bogus"]) == 2
    assert sys.stderr is full


def test_a_removed_working_folder_is_said_to_be_gone(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["report", "x"]) == 2
    assert capsys.readouterr().err == (
        "prefrl: the working folder cannot be used: No such file or directory; change to another\n"
    )


@pytest.mark.parametrize(
    ("closed", "status", "said"),
    [
        ("--version <&- >&- 2>&-", 0, ""),
        ("run --steps 0 2>&-", 2, ""),  # and not on stdout, which programs read
        ("--version >/dev/full", 1, "prefrl: the system refused to read or write: No space left"),
    ],
)
def test_closed_and_full_streams_make_no_file_a_stream_and_no_error_a_bug(closed, status, said):
    # Whatever was opened next would have the number of a closed stream otherwise.
    code = (
        "import os, sys; from prefrl.cli.main import main; status = main(); "
        "first = os.open(os.devnull, os.O_RDONLY); os._exit(status if first > 2 else 99)"
    )
    command = f'exec "{sys.executable}" -c "{code}" {closed}'
    ended = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == (1 if said else 0)
