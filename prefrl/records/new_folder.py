"""Folders that are there only once they hold something."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.records.files import beside, claimed, is_leftover, reason, try_to_write


@contextlib.contextmanager
def new_folder(
    folder: Path,
    *,
    is_worth_keeping: Callable[[], bool],
    instead: str | None = None,
    free: Collection[str] = (),
) -> Iterator[None]:
    """Makes a folder that goes again where what is done in it fails and leaves nothing.

    Meanwhile no other process can work in it, and what others have put there stays.

    Args:
        folder: new, or empty; the folders that it lies in are made, too, and go with it.
        is_worth_keeping: tells, where something has failed, if the folder holds anything.
        instead: what to do where it is in use; None: the caller looks.
        free: names of files that may be in it, as they will be written over.

    Raises:
        StorageError: it could not be made, or is in use.
    """
    # Of os.path, as names too long for a file system are no reason to fail here.
    made = missing(folder)
    try:
        if made and ".." in folder.parts[len(made[-1].parts) :]:
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {made[-1]}")
        folder.mkdir(parents=True, exist_ok=True)
        try_to_write(beside(folder / "any"))
    except (OSError, ValueError) as error:
        remove(made)
        raise StorageError(f"could not make {folder}: {reason(error)}") from None
    with claimed(folder):
        # Somebody may have begun, and ended, since it was found empty.
        if instead is not None and _is_in_use(folder, free):
            raise StorageError(_in_use(folder, instead))
        try:
            yield
        except Exception:
            if not is_worth_keeping():
                _empty(folder)
                remove(made)
            raise


def missing(folder: Path) -> list[Path]:
    """Returns those of a folder and the folders that it lies in that are not there, it first."""
    return [path for path in (folder, *folder.parents) if not _is_in_the_way(path)]


def remove(folders: Iterable[Path]) -> None:
    """Removes folders that are empty."""
    for path in folders:
        with contextlib.suppress(OSError):  # Never made, or others use it by now.
            path.rmdir()


def check_new_folder(folder: Path, *, instead: str, free: Collection[str] = ()) -> None:
    """Makes sure that a folder is new or empty and can be written into, before there is anything.

    Args:
        folder: the folder.
        instead: what to do where it is in use.
        free: names of files that may be in it, as they will be written over.

    Raises:
        StorageError: it is in use, or cannot be made or written into.
    """
    try:
        in_use = any(
            _is_in_use(Path(one), free) for one in (folder, os.path.realpath(folder))
        )  # new/../old
    except (OSError, ValueError) as error:
        raise StorageError(f"could not make {folder}: {reason(error)}") from None
    if in_use:
        raise StorageError(_in_use(folder, instead))
    with (
        contextlib.suppress(_Tried),
        new_folder(folder, is_worth_keeping=lambda: any(folder.iterdir())),
    ):
        raise _Tried


class _Tried(Exception):
    """A folder could be made; it is not needed yet."""


def _in_use(folder: Path, instead: str) -> str:
    return f"the output folder {folder} is in use; {instead}"


def _is_in_use(folder: Path, free: Collection[str]) -> bool:
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        return True
    return not all(is_leftover(path) or path.name in free for path in folder.iterdir())


def _is_in_the_way(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # no path at all
        return False


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
