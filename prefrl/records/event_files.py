"""TensorBoard's event files, cut back to a checkpoint when a run goes on from it."""

import os
from pathlib import Path

from prefrl.errors import DataError, StorageError
from prefrl.records.files import reason

_NAMES = "events.out.tfevents.*"


class EventFiles:
    """The event files in a folder; each process that takes part in a run writes one of its own.

    What a killed run logged after its last checkpoint, the resumed one logs once more: it would
    stand in TensorBoard twice.

    Args:
        folder: where they are; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mark(self) -> dict[str, int]:
        """Returns the bytes of each file so far, by its name.

        Raises:
            StorageError: the disk refused.
        """
        try:
            files = [path for path in sorted(self._folder.glob(_NAMES)) if path.is_file()]
            return {path.name: path.stat().st_size for path in files}
        except OSError as error:
            raise StorageError(f"could not read {self._folder}: {reason(error)}") from error

    def cut_back(self, mark: object) -> None:
        """Removes what was written after a checkpoint.

        Files that somebody has removed, in part or whole, are nobody's loss but theirs.

        Args:
            mark: what `mark` returned when the checkpoint was made.

        Raises:
            DataError: it is no such mark.
            StorageError: the disk refused.
        """
        if not isinstance(mark, dict) or not all(type(size) is int for size in mark.values()):
            raise DataError("the sizes of TensorBoard's files are not sizes by name")
        try:
            for path in self._folder.glob(_NAMES):
                if path.is_symlink():  # What it leads to is not the run's.
                    path.unlink()
                elif not path.is_file():
                    continue
                elif path.name not in mark:
                    path.unlink()
                elif path.stat().st_size > (size := max(mark[path.name], 0)):
                    os.truncate(path, size)
        except OSError as error:
            raise StorageError(f"could not write into {self._folder}: {reason(error)}") from error
