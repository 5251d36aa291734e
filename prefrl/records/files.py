"""Writes files that are the whole old one or the whole new one; claims folders for a process."""

import contextlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from prefrl.errors import StorageError


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Writes a file that appears whole or not at all, and stays through a power failure.

    Args:
        path: the file; its folder exists.
        write: puts the content into the open binary file that it is given.

    Raises:
        StorageError: it could not be written: disk full, no permission, …; the old one is untouched
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"could not write {path}: {reason(error)}; what was there before is untouched"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # Not there: renamed, or never created.
            temporary.unlink()
    _sync_folder(path.parent)


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes as `write_atomically`, content that is there."""
    write_atomically(path, lambda file: file.write(content))


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes as `write_atomically`, text in UTF-8."""
    write_bytes_atomically(path, text.encode())


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what kills in the middle of `write_atomically` left behind, subfolders included.

    Args:
        folder: one that no other process writes into.
    """
    for path in Path(folder).rglob(".*.tmp"):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", path.name):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keeps other processes from working in a folder; a kill lets go of it, too.

    Raises:
        StorageError: another process works in it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"another process is at work in {folder}") from None
        except OSError:  # A file system without locks.
            pass
        yield
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Returns why the system refused, without the number and the path that `str` would add."""
    return error.strerror or str(error)


def _sync_folder(folder: Path) -> None:
    # The rename is done by now; a file system that cannot sync a folder is no reason to fail.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
