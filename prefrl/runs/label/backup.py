"""Copies of what people were asked and have said."""

import contextlib
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.records import run_folder
from prefrl.records.files import check_new_file, is_there
from prefrl.runs.serving import check_installed, open_store, read_serving


def backup(folder: Path, path: Path, *, database: str | None = None) -> int:
    """Copies a folder's database into a new SQLite file, as it is at this moment.

    Whoever answers meanwhile is not held up, and what they say is in the copy or not, as a whole.

    Args:
        folder: of a run, or of answers about recorded data.
        path: the new file.
        database: URL of the folder's database, where that has a password.

    Returns:
        how many answers there are.

    Raises:
        PrefrlError: the folder has no questions, the database cannot be reached, or the file is
            there already or cannot be written.
    """
    check_installed()
    from prefrl.labelling.store import LabelStore

    kept = read_serving(folder)
    if not is_there(folder):
        raise StorageError(f"there is no folder {folder}")
    if kept is None:
        raise StorageError(
            f"{folder} has asked no people anything: there is no {run_folder.SERVING} in it"
        )
    if is_there(path) or path.is_symlink():
        raise StorageError(f"{path} is there already; choose another name for the backup")
    check_new_file(path)
    with contextlib.closing(open_store(folder, database, kept=kept)) as store:
        store.backup(path)
    with contextlib.closing(LabelStore(path)) as copy:
        return len(copy.answers())
