"""Writes files that are the whole old one or the whole new one; claims folders for a process."""

import contextlib
import errno
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from prefrl.errors import StorageError, with_type

# Else a pipe is waited for; Windows has neither.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MOST_BYTES = 2**29  # of a file that is read as a whole; archives are not
_LONGEST_NAME = 50  # characters, of up to 4 bytes each, beside the 14 of what is in the making


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Writes a file that appears whole or not at all, and stays through a power failure.

    Args:
        path: the file; its folder exists.
        write: puts the content into the open binary file that it is given.

    Raises:
        StorageError: it could not be written: disk full, no permission, …; the old one is untouched
    """
    path = Path(path)
    if not path.name:
        raise StorageError(f"could not write {path}: it is a folder")
    temporary = beside(path)
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


def copy_file(source: Path, target: Path) -> None:
    """Writes as `write_atomically` what is in another file, of whatever size.

    Raises:
        StorageError: it could not be read, or the copy not be written.
    """
    try:
        file = opened(source)
    except OSError as error:
        raise StorageError(f"could not read {source}: {reason(error)}") from error
    with file:
        write_atomically(target, lambda copy: shutil.copyfileobj(file, copy))


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what kills in the middle of `write_atomically` left behind, subfolders included.

    Args:
        folder: one that no other process writes into.
    """
    for path in Path(folder).rglob(".*.tmp"):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Says whether a file is one that a kill in the middle of a write left behind."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", path.name) is not None


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
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"could not work in {folder}: {reason(error)}") from None
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


def is_claimed(folder: Path) -> bool:
    """Tells whether another process, or another part of this one, works in a folder."""
    try:
        with claimed(folder):
            return False
    except StorageError:
        return True


def reason(error: OSError | ValueError) -> str:
    """Returns why the system refused, without the number and the path that `str` would add."""
    if isinstance(error, UnicodeError):
        return "its name holds bytes that are no text"
    return getattr(error, "strerror", None) or with_type(error)


def opened(path: str | os.PathLike[str]) -> BufferedReader:
    """Opens a file to read.

    What waits for somebody to write, or never ends, is no file: a pipe, a socket, a device.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: the path holds a NUL.
    """
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no file, but a pipe or a device")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def content_of(path: str | os.PathLike[str]) -> bytes:
    """Returns all that is in a file.

    Raises:
        OSError: it cannot be read, is no file, or is larger than any that is read as a whole.
        ValueError: the path holds a NUL.
    """
    with opened(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has {size} bytes, and is read up to {_MOST_BYTES}")
        return file.read(_MOST_BYTES)


def is_there(path: Path) -> bool:
    """Says whether there is a file or a folder.

    Raises:
        StorageError: that cannot be known: the path is too long, leads in a circle, may not be
            looked at, or is none.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from None
    return True


def check_new_file(path: Path) -> None:
    """Makes sure that a file can be written, before there is anything to write.

    Raises:
        StorageError: it cannot: a folder is in its place, there is none to put it in, ...
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}")
        if not os.path.lexists(path):
            try_to_write(path)
        try_to_write(beside(path))
    except (OSError, ValueError) as error:
        raise StorageError(f"could not write {path}: {reason(error)}") from None


def beside(path: Path) -> Path:
    """Returns a name for what becomes that file; it is no longer than file systems allow."""
    return path.with_name(f".{path.name[:_LONGEST_NAME]}.{uuid.uuid4().hex[:8]}.tmp")


def try_to_write(path: Path) -> None:
    """Makes a file that is not there, and removes it.

    Raises:
        OSError: it cannot be made.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    path.unlink()


def _sync_folder(folder: Path) -> None:
    # The rename is done by now; a file system that cannot sync a folder is no reason to fail.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
