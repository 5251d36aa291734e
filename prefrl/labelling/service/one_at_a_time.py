"""A folder has one service at a time, so that its link is that of the service that is there."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.labelling.service.link_file import NAME, Links, read_links
from prefrl.records.files import reason

LOCK = ".labelling.lock"
_HANDOVER_S = 10.0
_LOOK_S = 0.05


@contextlib.contextmanager
def only_service(folder: Path, *, takes_over: bool) -> Iterator[None]:
    """Makes this process the folder's service; a kill lets go of the folder, too.

    Args:
        folder: that of `labelling.json`.
        takes_over: a service that is there already is told to end, and waited for.

    Raises:
        StorageError: the folder cannot be used, or has a service that stays.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"could not work in {folder}: {reason(error)}") from None
    try:
        until_s = time.monotonic() + (_HANDOVER_S if takes_over else 0.0)
        is_told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise StorageError(_taken(folder)) from None
            except OSError:  # A file system without locks.
                break
            if not is_told:
                is_told = _told_to_end(os.pread(lock, 200, 0))
            time.sleep(_LOOK_S)
        os.truncate(lock, 0)
        os.pwrite(lock, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def links_of_running(folder: Path) -> Links | None:
    """Returns the links of the service that a folder has now; None: it has none.

    Raises:
        StorageError: the folder cannot be used.
    """
    try:
        with only_service(folder, takes_over=False):
            return None
    except StorageError:
        links = read_links(folder)
        if links is None:
            raise
        return links


def _told_to_end(holder: bytes) -> bool:
    """Tells the process that holds the lock to end; only on this machine is its number known."""
    host, _, number = holder.decode(errors="replace").strip().rpartition(" ")
    if host != socket.gethostname() or not number.isdigit():
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(number), signal.SIGTERM)
    return True


def _taken(folder: Path) -> str:
    links = read_links(folder)
    where = f", at {links.public_url or links.url}" if links else ""
    return f"{folder} has a labelling service already{where}; its links are in {folder / NAME}"
