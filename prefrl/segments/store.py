"""`EpisodeStore`: the newest episodes of a run, from which segments are drawn.

Axes: S segments, T steps of a segment.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import generator, instance, listed, whole_number
from prefrl.errors import DataError, shown
from prefrl.segments.batch import SegmentBatch
from prefrl.segments.episode import FLAGS, ROWS, Episode
from prefrl.segments.stored import check_episodes
from prefrl.segments.windows import Windows

LARGEST = 2**31


@dataclass
class EpisodeStore:
    """Whole episodes within a bound on memory; the oldest go first.

    Args:
        max_transitions: the bound, in environment steps. One step of HalfCheetah takes about 240
            bytes with its simulator state, so a million steps need a quarter of a gigabyte.
    """

    max_transitions: int = 1_000_000
    episodes: deque[Episode] = field(default_factory=deque)
    num_transitions: int = 0
    num_dropped: int = 0

    def __post_init__(self) -> None:
        self.max_transitions = whole_number("max_transitions", self.max_transitions, least=1)

    def __len__(self) -> int:
        return len(self.episodes)

    def add(self, episode: Episode) -> None:
        """Keeps a copy of an episode, dropping the oldest ones where the bound is passed.

        A copy: its arrays may be views of what is written to again, or keep a whole run's alive.
        """
        instance("episode", episode, Episode)
        self.episodes.append(replace(episode, **{n: getattr(episode, n).copy() for n in ROWS}))
        self.num_transitions += len(episode)
        while self.num_transitions > self.max_transitions and len(self.episodes) > 1:
            self.num_transitions -= len(self.episodes.popleft())
            self.num_dropped += 1

    def sample(
        self,
        num_segments: int,
        segment_length: int,
        *,
        rng: np.random.Generator,
        max_newest: int | None = None,
        among: Collection[int] | None = None,
    ) -> SegmentBatch:
        """Draws windows uniformly over all positions at which one fits.

        An episode that the environment ended before it was as long as a segment is one window, as
        long as it is; one that the learner cut that short is none.

        Args:
            num_segments: S.
            segment_length: T.
            rng: the stream to draw from.
            max_newest: draw only from the newest episodes that together hold at most this many
                steps (at least one episode); None draws from all, and so does a number within
                which there is no window.
            among: draw only from episodes of these numbers, counted from the run's first; None
                draws from all.

        Returns:
            S segments, which are cut out where they are looked at; a window appears twice only
            where there are fewer windows than S.

        Raises:
            DataError: there is no window.
            ConfigError: a number is below 1.
        """
        num_segments = whole_number("num_segments", num_segments, least=1)
        if num_segments > LARGEST:
            raise DataError(f"num_segments is {shown(num_segments)}, beyond {LARGEST}")
        generator("rng", rng)
        first, windows = self._windows(segment_length, max_newest, among)
        ends = np.cumsum(windows)
        total = int(windows.sum())
        if total == 0:
            raise DataError(self._why_no_window(segment_length, among))
        drawn = rng.choice(total, size=num_segments, replace=total < num_segments)
        which = np.searchsorted(ends, drawn, side="right")
        start = drawn - (ends[which] - windows[which])
        which += first
        return Windows.of(
            list(self.episodes), which, start, segment_length, first_number=self.num_dropped
        )

    def num_windows(
        self,
        segment_length: int,
        *,
        max_newest: int | None = None,
        among: Collection[int] | None = None,
    ) -> int:
        """Counts the different windows that `sample` draws from.

        Args:
            segment_length: T.
            max_newest: as in `sample`.
            among: likewise.
        """
        return int(self._windows(segment_length, max_newest, among)[1].sum())

    def _windows(
        self, segment_length: int, max_newest: int | None, among: Collection[int] | None
    ) -> tuple[int, NDArray[np.int64]]:
        """Returns the first episode to draw from, and the windows of each from there on."""
        segment_length = whole_number("segment_length", segment_length, least=1)
        if segment_length > LARGEST:
            raise DataError(
                f"segment_length is {shown(segment_length)}; expected {LARGEST} at most"
            )
        windows = np.array([_num_windows(e, segment_length) for e in self.episodes], np.int64)
        if among is not None:
            numbers = np.array(listed("among", among, int, np.integer), np.int64)
            windows[~np.isin(self.num_dropped + np.arange(len(self)), numbers)] = 0
        first = 0
        if max_newest is not None:
            first = self._first_of_newest(whole_number("max_newest", max_newest, least=1))
        if not windows[first:].any():
            first = 0
        return first, windows[first:]

    def _why_no_window(self, segment_length: int, among: Collection[int] | None) -> str:
        if not self.episodes:
            return "the store holds no episodes yet; there is nothing to draw from"
        lengths = [
            len(episode)
            for number, episode in enumerate(self.episodes, self.num_dropped)
            if among is None or number in among
        ]
        if not lengths:
            return "the store holds none of the episodes that are to be drawn from"
        return (
            f"segment_length is {segment_length}, but the longest of the {len(lengths)} newest "
            f"episodes has {max(lengths)} steps, and none was ended by the environment; choose a "
            "shorter segment"
        )

    def newest(self, max_steps: int) -> "EpisodeStore":
        """Returns the newest whole episodes within a bound, at least one, under their numbers."""
        episodes = list(self.episodes)
        first = self._first_of_newest(whole_number("max_steps", max_steps))
        newest = EpisodeStore(self.max_transitions, num_dropped=self.num_dropped + first)
        for episode in episodes[first:]:
            newest.add(episode)
        return newest

    def _first_of_newest(self, max_steps: int) -> int:
        """Returns the index of the oldest of the newest episodes that fit into so many steps."""
        newest_first = np.cumsum([len(episode) for episode in reversed(self.episodes)])
        num_fitting = int(np.searchsorted(newest_first, max_steps, side="right"))
        return max(len(self.episodes) - max(num_fitting, 1), 0)

    def state(self) -> dict[str, Any]:
        """Returns everything needed to restore the store, as arrays and plain values."""
        episodes = list(self.episodes)
        arrays = {
            name: np.concatenate([getattr(e, name) for e in episodes])
            if episodes
            else np.zeros((0,))
            for name in ROWS
        }
        flags = {name: np.array([getattr(e, name) for e in episodes], dtype=bool) for name in FLAGS}
        return {
            **arrays,
            **flags,
            "lengths": np.array([len(e) for e in episodes], dtype=np.int64),
            "num_dropped": self.num_dropped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned.

        Raises:
            DataError: it is no state of a store; what does not fit is named.
        """
        check_episodes(state)
        self.episodes.clear()
        self.num_transitions = 0
        # Before any `add`: a store with a smaller bound drops, and counts, more of them.
        self.num_dropped = int(state["num_dropped"])
        ends = np.cumsum(state["lengths"])
        if len(ends) == 0:
            return
        parts: dict[str, Any] = {}
        for name in ROWS:
            extra = np.arange(1, len(ends) + 1) if name == "observations" else 0
            parts[name] = np.split(state[name], (ends + extra)[:-1])
        for i in range(len(ends)):
            own: dict[str, Any] = {name: parts[name][i] for name in ROWS}
            own |= {name: bool(state[name][i]) for name in FLAGS}
            self.add(Episode(**own))


def _num_windows(episode: Episode, segment_length: int) -> int:
    if len(episode) >= segment_length:
        return len(episode) - segment_length + 1
    return 1 if episode.is_complete else 0
