"""Episodes, and the segments cut from them.

Axes: S segments, T steps of a segment, L steps of an episode, O observation dims, A action dims,
Q simulator-state dims.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Episode:
    """One rollout from reset to termination, truncation or the end of a phase.

    Args:
        observations: (L, O) float32, raw, each seen *before* the action of its row.
        actions: (L, A) float32, in the environment's own units (discrete ones one-hot).
        true_rewards: (L,) float32, the environment's own; never shown to the learner.
        sim_states: (L, Q) float64, the simulator state belonging to each observation, from which a
            clip is rendered later; Q is 0 where the environment offers none.
        is_complete: whether the environment itself ended it, so that its return counts.
    """

    observations: FloatArray
    actions: FloatArray
    true_rewards: FloatArray
    sim_states: NDArray[np.float64]
    is_complete: bool = True

    def __post_init__(self) -> None:
        length = len(self.observations)
        for name in ("observations", "actions", "sim_states"):
            array = getattr(self, name)
            if array.ndim != 2 or len(array) != length:
                raise DataError(f"{name} has shape {array.shape}; expected ({length}, dims)")
        if self.true_rewards.shape != (length,):
            raise DataError(
                f"true_rewards has shape {self.true_rewards.shape}; expected ({length},)"
            )
        if length == 0:
            raise DataError("an episode needs at least one step")

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def true_return(self) -> float:
        """Sum of the true rewards."""
        return float(self.true_rewards.sum(dtype=np.float64))


@dataclass(frozen=True)
class SegmentBatch:
    """S windows of T steps, none of which crosses an episode's end.

    Args:
        observations: (S, T, O) float32.
        actions: (S, T, A) float32.
        true_rewards: (S, T) float32.
        sim_states: (S, T, Q) float64; Q may be 0.
        episode: (S,) number of the episode, counted from the run's first.
        start: (S,) the episode's step at which the window begins.
    """

    observations: FloatArray
    actions: FloatArray
    true_rewards: FloatArray
    sim_states: NDArray[np.float64]
    episode: NDArray[np.int64]
    start: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.observations.shape[:2]
        if self.observations.ndim != 3 or self.actions.ndim != 3:
            raise DataError(
                f"observations {self.observations.shape} and actions {self.actions.shape} "
                "must be (segments, steps, dims)"
            )
        for name in ("actions", "sim_states"):
            if getattr(self, name).shape[:2] != shape:
                raise DataError(
                    f"{name} has shape {getattr(self, name).shape}; expected {shape} first"
                )
        if self.true_rewards.shape != shape:
            raise DataError(f"true_rewards has shape {self.true_rewards.shape}; expected {shape}")
        for name in ("episode", "start"):
            if getattr(self, name).shape != shape[:1]:
                raise DataError(
                    f"{name} has shape {getattr(self, name).shape}; expected {shape[:1]}"
                )

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def segment_length(self) -> int:
        """T."""
        return int(self.observations.shape[1])

    @property
    def true_returns(self) -> NDArray[np.float64]:
        """(S,) undiscounted sums of true reward."""
        returns: NDArray[np.float64] = self.true_rewards.sum(axis=1, dtype=np.float64)
        return returns

    def inputs(self) -> FloatArray:
        """(S, T, O + A) what a reward model is fed."""
        return np.concatenate([self.observations, self.actions], axis=-1)

    def __getitem__(self, index: Any) -> "SegmentBatch":
        """The chosen segments, as a batch; `index` is a slice, an index array or a mask."""
        if isinstance(index, (int, np.integer)):
            index = [index]
        return SegmentBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @staticmethod
    def concatenate(batches: Sequence["SegmentBatch"]) -> "SegmentBatch":
        """Joins batches of the same segment length along S."""
        return SegmentBatch(
            **{
                f.name: np.concatenate([getattr(batch, f.name) for batch in batches])
                for f in fields(SegmentBatch)
            }
        )


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
        return SegmentBatch(
            observations=np.stack([e.observations[cut] for e, cut in cuts]),
            actions=np.stack([e.actions[cut] for e, cut in cuts]),
            true_rewards=np.stack([e.true_rewards[cut] for e, cut in cuts]),
            sim_states=np.stack([e.sim_states[cut] for e, cut in cuts]),
            episode=which.astype(np.int64) + first + self.num_dropped,
            start=start.astype(np.int64),
        )

    def state(self) -> dict[str, Any]:
        """Everything needed to restore the store, as arrays and plain values."""
        kept = list(self.episodes)
        arrays = {
            name: np.concatenate([getattr(e, name) for e in kept]) if kept else np.zeros((0,))
            for name in ("observations", "actions", "true_rewards", "sim_states")
        }
        return {
            **arrays,
            "lengths": np.array([len(e) for e in kept], dtype=np.int64),
            "is_complete": np.array([e.is_complete for e in kept], dtype=bool),
            "num_dropped": self.num_dropped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts back what `state` returned."""
        self.episodes.clear()
        self.num_transitions = 0
        # Before any `add`: a store with a smaller bound drops, and counts, more of them.
        self.num_dropped = int(state["num_dropped"])
        cuts = np.cumsum(state["lengths"])[:-1]
        names = ("observations", "actions", "true_rewards", "sim_states")
        if len(state["lengths"]):
            # Copies, as a view would keep the whole run's array alive after its episode is dropped.
            parts = [[p.copy() for p in np.split(state[name], cuts)] for name in names]
            for obs, actions, rewards, states, is_complete in zip(
                *parts, state["is_complete"], strict=True
            ):
                self.add(Episode(obs, actions, rewards, states, bool(is_complete)))


def observation_embeddings(observations: FloatArray) -> FloatArray:
    """(S, T, O) -> (S, 2 O) where segments lie: their mean observation, and the last one."""
    return np.concatenate([observations.mean(1), observations[:, -1]], axis=1)
