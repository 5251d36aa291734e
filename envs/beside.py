"""`Beside`: what is kept of episodes beside their arrays, while they are recorded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym


class Beside(Protocol):
    """Keeps of N environments side by side what an `Episode` has no place for.

    Episodes go by the numbers that the store counts them by, from the run's first.
    """

    def keep_in(self, folder: Path, *, first: int, stop: int) -> None:
        """Keeps all from now on in a folder, too, and takes up what is there.

        Args:
            folder: of its own.
            first: number of the oldest episode that the store has.
            stop: number that its next one will have.

        Raises:
            StorageError: the folder cannot be used.
        """
        ...

    def take_up(self, folder: Path, *, first: int, stop: int) -> list[int]:
        """Takes up what a folder has of a run's episodes, and leaves the folder as it is.

        Args:
            folder: that of `keep_in`.
            first: number of the oldest episode that is wanted.
            stop: number of the newest one, and one more.

        Returns:
            the numbers of those whose files are damaged.

        Raises:
            StorageError: a file cannot be read.
        """
        ...

    @property
    def numbers(self) -> frozenset[int]:
        """Returns the numbers of the episodes that it has something of."""
        ...

    def begin(self, envs: Sequence[gym.Env[Any, Any]]) -> None:
        """Takes note that all environments were reset; of unfinished episodes nothing is left."""
        ...

    def end(self, env: int, number: int, *, oldest: int) -> None:
        """Takes note that an environment's present episode went to the store.

        The environment may have begun its next one by then.

        Args:
            env: number of the environment.
            number: of the episode.
            oldest: number of the oldest episode that the store still has.
        """
        ...

    def step(self) -> None:
        """Takes note that all environments were stepped, and those that ended were reset."""
        ...
