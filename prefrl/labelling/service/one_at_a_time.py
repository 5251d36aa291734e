"""A folder has one service at a time, so that its link is that of the service that is there."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.labelling.service.link_file import Links, read_links
from prefrl.records import run_folder
from prefrl.records.files import reason

LOCK = ".labelling.lock"
_HANDOVER_S = 30.0
_LOOK_S = 0.05
# A service that is there at so many looks in a row stays: it is not one that was killed just now.
_NUM_PROBES = 6


@contextlib.contextmanager
def only_service(folder: Path, *, takes_over: bool) -> Iterator[None]:
    """Makes this process the folder's service; a kill lets go of the folder, too.

    Args:
        folder: that of `labelling.json`.
        takes_over: a service that is there already is told to end, and waited for.

    Raises:
        StorageError: the folder cannot be used, or has a service that stays.
    """
    with _opened(folder) as lock:
        until_s = time.monotonic() + _HANDOVER_S
        num_held = 0
        while not _locked(lock, is_shared=False):
            # Whoever only looks shares the lock, and is done soon, however busy the machine is; a
            # service that has just taken it has written its own number into the file by the second
            # look.
            num_held = 0 if _locked(lock, is_shared=True) else num_held + 1
            stays = num_held >= _NUM_PROBES and not takes_over
            if stays or time.monotonic() >= until_s:
                raise StorageError(_taken(folder))
            if takes_over and num_held == 2:
                _tell_to_end(os.pread(lock, 200, 0))
            time.sleep(_LOOK_S)
        os.truncate(lock, 0)
        os.pwrite(lock, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            os.truncate(lock, 0)


def links_of_running(folder: Path) -> Links | None:
    """Returns the links of the service that a folder has now; None: it has none.

    Raises:
        StorageError: the folder cannot be used, or its service has not said yet where it is.
    """
    with _opened(folder) as lock:
        if _locked(lock, is_shared=True):
            return None
    links = read_links(folder)
    if links is None:
        raise StorageError(_taken(folder))
    return links


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"could not work in {folder}: {reason(error)}") from None
    try:
        yield lock
    finally:
        os.close(lock)  # and with it what is locked


def _locked(lock: int, *, is_shared: bool) -> bool:
    """Takes the lock if it is free; says whether it did."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # A file system without locks.
        return True
    return True


def _tell_to_end(holder: bytes) -> None:
    """Tells the process that holds the lock to end; only on this machine is its number known."""
    host, _, number = holder.decode(errors="replace").strip().rpartition(" ")
    if host == socket.gethostname() and number.isdigit():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(number), signal.SIGTERM)


def _taken(folder: Path) -> str:
    links = read_links(folder)
    where = f", at {links.public_url or links.url}" if links else ""
    path = folder / run_folder.LABELLING
    return f"{folder} has a labelling service already{where}; its links are in {path}"
