"""`EpisodeStore`: the newest episodes of a run, from which segments are drawn.

Axes: S segments, T steps of a segment.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefrl.errors import DataError
from prefrl.segments.batch import SegmentBatch
from prefrl.segments.episode import FLAGS, ROWS, Episode


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
        if self.max_transitions < 1:
            raise ValueError(f"max_transitions is {self.max_transitions}; expected 1 or more")

    def __len__(self) -> int:
        return len(self.episodes)

    def add(self, episode: Episode) -> None:
        """Keeps an episode, dropping the oldest ones where the bound is passed."""
        self.episodes.append(episode)
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
    ) -> SegmentBatch:
        """Draws windows uniformly over all positions at which one fits.

        Args:
            num_segments: S.
            segment_length: T.
            rng: the stream to draw from.
            max_newest: draw only from the newest episodes that together hold at most this many
                steps (at least one episode); None draws from all, and so does a number within
                which no episode is as long as a segment.

        Returns:
            S segments; a window appears twice only where there are fewer windows than S.

        Raises:
            DataError: no episode is as long as a segment, or a number is below 1.
        """
        if num_segments < 1 or segment_length < 1:
            raise DataError(
                f"num_segments is {num_segments} and segment_length {segment_length}; "
                "expected 1 or more of each"
            )
        episodes = list(self.episodes)
        first = 0
        if max_newest is not None:
            newest_first = np.cumsum([len(episode) for episode in reversed(episodes)])
            keep = int(np.searchsorted(newest_first, max_newest, side="right"))
            first = len(episodes) - max(keep, 1)
            if all(len(episode) < segment_length for episode in episodes[first:]):
                first = 0
        chosen = episodes[first:]
        windows = np.array([max(0, len(e) - segment_length + 1) for e in chosen], dtype=np.int64)
        ends = np.cumsum(windows)
        total = int(ends[-1]) if len(ends) else 0
        if total == 0:
            if not episodes:
                raise DataError("the store holds no episodes yet; there is nothing to draw from")
            longest = max(len(e) for e in chosen)
            raise DataError(
                f"segment_length is {segment_length}, but the longest of the {len(chosen)} newest "
                f"episodes has {longest} steps; choose a shorter segment"
            )
        drawn = rng.choice(total, size=num_segments, replace=total < num_segments)
        which = np.searchsorted(ends, drawn, side="right")
        start = drawn - (ends[which] - windows[which])
        cuts = [
            (chosen[e], slice(s, s + segment_length)) for e, s in zip(which, start, strict=True)
        ]
        is_last = (start + segment_length == [len(e) for e, _ in cuts])[:, None] & (
            np.arange(segment_length) == segment_length - 1
        )  # (S, T)
        return SegmentBatch(
            **{name: np.stack([getattr(e, name)[cut] for e, cut in cuts]) for name in ROWS},
            terminated=is_last & np.array([e.terminated for e, _ in cuts])[:, None],
            truncated=is_last & np.array([e.truncated for e, _ in cuts])[:, None],
            episode=which.astype(np.int64) + first + self.num_dropped,
            start=start.astype(np.int64),
        )

    def state(self) -> dict[str, Any]:
        """Everything needed to restore the store, as arrays and plain values."""
        kept = list(self.episodes)
        arrays = {
            name: np.concatenate([getattr(e, name) for e in kept]) if kept else np.zeros((0,))
            for name in ROWS
        }
        flags = {name: np.array([getattr(e, name) for e in kept], dtype=bool) for name in FLAGS}
        return {
            **arrays,
            **flags,
            "lengths": np.array([len(e) for e in kept], dtype=np.int64),
            "num_dropped": self.num_dropped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
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
            # Copies, as a view would keep the whole run's array alive after its episode is dropped.
            parts[name] = [p.copy() for p in np.split(state[name], (ends + extra)[:-1])]
        for i in range(len(ends)):
            own: dict[str, Any] = {name: parts[name][i] for name in ROWS}
            own |= {name: bool(state[name][i]) for name in FLAGS}
            self.add(Episode(**own))
