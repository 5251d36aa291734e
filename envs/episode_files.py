"""`EpisodeFiles`: what is kept beside episodes, a file each, for whoever shows them later."""

from collections.abc import Callable, Iterator
from pathlib import Path

from prefrl.errors import StorageError
from prefrl.records.files import content_of, reason, write_bytes_atomically

_SUFFIX = ".episode"


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

    def keep_sound(self, take_up: Callable[..., list[int]], *, first: int, stop: int) -> None:
        """Has what is there taken up, and removes the rest: damaged files, and other episodes.

        A run that goes on from a checkpoint takes the steps after it once more, as other episodes.

        Args:
            take_up: that of a `Beside`.
            first: number of the oldest episode that is wanted.
            stop: number of the newest one, and one more.
        """
        own = set(_paths(self.folder, first=first, stop=stop).values())
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path not in own:
                path.unlink()
        for number in take_up(self.folder, first=first, stop=stop):
            self.remove(number)  # Nothing that cannot be missed.

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
        return self.folder / f"{number:09d}{_SUFFIX}"


def episodes_in(folder: Path, *, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of what a folder has of episodes `first` to `stop - 1`, in order.

    Raises:
        StorageError: a file cannot be read.
    """
    for number, path in sorted(_paths(folder, first=first, stop=stop).items()):
        try:
            content = content_of(path)
        except OSError as error:
            raise StorageError(f"could not read {path}: {reason(error)}") from error
        yield number, content


def _paths(folder: Path, *, first: int, stop: int) -> dict[int, Path]:
    found = {int(p.stem): p for p in folder.glob(f"*{_SUFFIX}") if p.stem.isdecimal()}
    return {number: path for number, path in found.items() if first <= number < stop}
