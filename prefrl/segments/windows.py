"""`Windows`: a batch of segments whose arrays are cut out of their episodes when looked at.

A pool is many times as large as what is chosen from it, and a choice looks at little of it at once.

Axes: S segments, T steps of a segment.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.segments.batch import SegmentBatch
from prefrl.segments.episode import ROWS, Episode

_ENDS = ("terminated", "truncated")


class Windows(SegmentBatch):
    """Windows of episodes that are whole batches to whoever looks at them.

    An array is cut when it is first looked at, and then stays: it may be written to, like any
    other batch's. Some of the windows (`windows[rows]`) share nothing but the episodes.
    """

    _episodes: Sequence[Episode]
    _which: NDArray[np.int64]
    _longest: int

    @staticmethod
    def of(
        episodes: Sequence[Episode],
        which: NDArray[np.int64],
        start: NDArray[np.int64],
        segment_length: int,
        *,
        first_number: int = 0,
    ) -> "Windows":
        """Marks windows without cutting them out.

        Args:
            episodes: that they are windows of.
            which: (S,) index of each window's episode.
            start: (S,) the episode's step at which it begins.
            segment_length: T; what an episode lacks is padding.
            first_number: of the first episode, counted from the run's first.
        """
        num_steps = np.array([len(episode) for episode in episodes], dtype=np.int64)[which]
        windows = object.__new__(Windows)  # The checks of a batch would have all arrays cut.
        windows.__dict__ |= {
            "episode": which.astype(np.int64) + first_number,
            "start": start.astype(np.int64),
            "length": np.minimum(num_steps - start, segment_length),
            "_episodes": episodes,
            "_which": which,
            "_longest": segment_length,
        }
        return windows

    def __getattr__(self, name: str) -> Any:
        """Cuts an array."""
        if "_which" not in self.__dict__ or name not in (*ROWS, *_ENDS):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        array = self._flags(name) if name in _ENDS else self._rows(name)
        self.__dict__[name] = array
        return array

    def __len__(self) -> int:
        return len(self.start)

    @property
    def segment_length(self) -> int:
        """T, the longest a window can be."""
        return self._longest if "_longest" in self.__dict__ else super().segment_length

    def __getitem__(self, index: Any) -> SegmentBatch:
        """Returns the chosen windows, cut out later; `index` is a slice, an array or a mask."""
        if "_which" not in self.__dict__:
            return super().__getitem__(index)
        if isinstance(index, (int, np.integer)):
            index = [index]
        some = object.__new__(Windows)
        some.__dict__ |= {name: self.__dict__[name] for name in ("_episodes", "_longest")}
        for name in ("episode", "start", "length", "_which"):
            some.__dict__[name] = self.__dict__[name][index]
        for name in (*ROWS, *_ENDS):
            if name in self.__dict__:  # Whatever it holds by now.
                some.__dict__[name] = self.__dict__[name][index]
        return some

    def cut_out(self) -> SegmentBatch:
        """Returns the windows as a plain batch, which keeps no episode alive."""
        return SegmentBatch(**{field.name: getattr(self, field.name) for field in fields(self)})

    def __reduce__(self) -> Any:
        """Copies and pickles the windows without the rest of their episodes."""
        return SegmentBatch, tuple(getattr(self, field.name) for field in fields(self))

    def _rows(self, name: str) -> NDArray[Any]:
        each = [getattr(episode, name) for episode in self._episodes]
        if not len(self):
            return np.zeros((0, self._longest, *each[0].shape[1:]), dtype=each[0].dtype)
        ends = (self.start + self.length).tolist()
        cut = [
            _padded(each[number][start:end], self._longest)
            for number, start, end in zip(
                self._which.tolist(), self.start.tolist(), ends, strict=True
            )
        ]
        return np.stack(cut)

    def _flags(self, name: str) -> NDArray[np.bool_]:
        num_steps = np.array([len(episode) for episode in self._episodes])[self._which]
        steps = self.start[:, None] + np.arange(self._longest)
        has_it = np.array([getattr(episode, name) for episode in self._episodes], dtype=bool)
        is_so: NDArray[np.bool_] = (steps == num_steps[:, None] - 1) & has_it[self._which][:, None]
        return is_so


def _padded(rows: NDArray[Any], num_rows: int) -> NDArray[Any]:
    if len(rows) == num_rows:
        return rows
    return np.pad(rows, [(0, num_rows - len(rows))] + [(0, 0)] * (rows.ndim - 1))
