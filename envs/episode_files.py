"""`EpisodeFiles`: what is kept beside episodes, a file each, so that a run can be gone on with."""

from pathlib import Path

from prefrl.errors import StorageError
from prefrl.records.files import content_of, reason, write_bytes_atomically


class EpisodeFiles:
    """Keeps bytes of episodes in a folder, by the numbers that the store counts them by.

    Args:
        folder: made where it is missing; nothing else is in it.

    Raises:
        StorageError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(f"could not make {folder}: {reason(error)}") from error

    def take_up(self, *, first: int, stop: int) -> dict[int, bytes]:
        """Returns what is there of episodes `first` to `stop - 1`, and removes all else.

        A run that goes on from a checkpoint takes the steps after it once more, as other episodes.
        """
        found = {}
        for path in self.folder.glob("*.episode"):
            if path.stem.isdecimal() and first <= int(path.stem) < stop:
                found[int(path.stem)] = content_of(path)
            else:
                path.unlink()
        return found

    def write(self, number: int, content: bytes) -> None:
        """Keeps what belongs to an episode.

        Raises:
            StorageError: there is no room for it, say.
        """
        write_bytes_atomically(self._path(number), content)

    def remove(self, number: int) -> None:
        """Lets go of an episode."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.episode"
