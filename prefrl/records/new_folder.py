"""Folders that are there only once they hold something."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.records.files import reason


@contextlib.contextmanager
def new_folder(folder: Path, *, is_worth_keeping: Callable[[], bool]) -> Iterator[None]:
    """Makes a folder that goes again where what is done in it fails and leaves nothing.

    Args:
        folder: new, or empty; the folders that it lies in are made, too, and go with it.
        is_worth_keeping: tells, where something has failed, if the folder holds anything.

    Raises:
        StorageError: it could not be made.
    """
    # Of os.path, as names too long for a file system are no reason to fail here.
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    has_been_made = False
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"could not make {folder}: {reason(error)}") from None
        has_been_made = True
        yield
    except Exception:
        if not is_worth_keeping():
            if has_been_made:
                _empty(folder)
            for path in made:
                with contextlib.suppress(OSError):  # Never made, or others use it by now.
                    path.rmdir()
        raise


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
