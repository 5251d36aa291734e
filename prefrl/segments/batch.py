"""`SegmentBatch`: windows of episodes, side by side.

Axes: S segments, T steps of a segment, O observation dims, A action dims, Q simulator-state dims,
M objectives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import array_of_numbers, floats, instance, numbers
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.segments.episode import FloatArray

# Steps of a pool that are looked at at once, where a copy of the whole would take much memory.
STEPS_AT_ONCE = 2**14


@dataclass(frozen=True)
class SegmentBatch:
    """S windows of up to T steps, none of which crosses an episode's end.

    A window shorter than T is padded with zeros at its end; `mask` tells its steps from padding.

    Args:
        observations: (S, T, O) float32.
        actions: (S, T, A) float32.
        true_rewards: (S, T) float32.
        sim_states: (S, T, Q) float64; Q may be 0.
        episode: (S,) number of the episode, counted from the run's first.
        start: (S,) the episode's step at which the window begins.
        length: (S,) steps of each window, from 1 to T; T by default.
        terminated: (S, T) the step ended its episode for good; nowhere by default.
        truncated: (S, T) the episode was cut after the step; nowhere by default.
        objective_rewards: (S, T, M) float32, the true reward of each objective; M is 0 by default.

    Raises:
        DataError: an array has another shape, or a length is out of range.
    """

    observations: FloatArray
    actions: FloatArray
    true_rewards: FloatArray
    sim_states: NDArray[np.float64]
    episode: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    terminated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    truncated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    objective_rewards: FloatArray = field(
        default_factory=lambda: np.zeros((0, 0, 0), dtype=np.float32)
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            kinds = "iu" if one.name in ("episode", "start", "length") else "fiub"
            array_of_numbers(one.name, getattr(self, one.name), kinds)
        if self.observations.ndim != 3 or self.actions.ndim != 3:
            raise DataError(
                f"observations {self.observations.shape} and actions {self.actions.shape} "
                "must be (segments, steps, dims)"
            )
        shape = self.observations.shape[:2]
        self._fill_in(shape)
        for name in ("actions", "sim_states", "objective_rewards"):
            if getattr(self, name).ndim != 3 or getattr(self, name).shape[:2] != shape:
                raise DataError(
                    f"{name} has shape {getattr(self, name).shape}; expected {shape} first"
                )
        for name in ("true_rewards", "terminated", "truncated"):
            if getattr(self, name).shape != shape:
                raise DataError(f"{name} has shape {getattr(self, name).shape}; expected {shape}")
        for name in ("episode", "start", "length"):
            if getattr(self, name).shape != shape[:1]:
                raise DataError(
                    f"{name} has shape {getattr(self, name).shape}; expected {shape[:1]}"
                )
        if len(self) and not (self.length.min() >= 1 and self.length.max() <= shape[1]):
            raise DataError(
                f"length goes from {self.length.min()} to {self.length.max()}; "
                f"expected 1 to {shape[1]}"
            )

    def _fill_in(self, shape: tuple[int, ...]) -> None:
        """Gives the fields that were left out the shape of the others."""
        defaults: dict[str, NDArray[Any]] = {
            "length": np.full(shape[:1], shape[-1], dtype=np.int64),
            "terminated": np.zeros(shape, dtype=bool),
            "truncated": np.zeros(shape, dtype=bool),
            "objective_rewards": np.zeros((*shape, 0), dtype=np.float32),
        }
        for name, default in defaults.items():
            if set(getattr(self, name).shape) == {0}:
                object.__setattr__(self, name, default)

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def segment_length(self) -> int:
        """T, the longest a window can be."""
        return int(self.observations.shape[1])

    @property
    def true_returns(self) -> NDArray[np.float64]:
        """(S,) undiscounted sums of true reward over each window's own steps."""
        rewards = self.true_rewards
        if not self.is_full:
            rewards = np.where(self.mask(), rewards, 0)
        returns: NDArray[np.float64] = rewards.sum(axis=1, dtype=np.float64)
        return returns

    @property
    def is_full(self) -> bool:
        """Every window has T steps: there is no padding."""
        return bool((self.length == self.segment_length).all())

    def mask(self) -> NDArray[np.bool_]:
        """Returns (S, T), True at a window's own steps and False at padding."""
        return np.arange(self.segment_length) < self.length[:, None]

    def shortened(self, length: NDArray[np.int64]) -> "SegmentBatch":
        """Returns the first steps of every window.

        Args:
            length: (S,) the most steps each window keeps; what lies behind becomes padding.
        """
        length = numbers("length", length, (len(self),), dtype=None)
        if length.dtype.kind not in "iu" or (length.size and length.min() < 1):
            raise DataError("length must hold whole numbers, 1 or more")
        length = np.minimum(self.length, length)
        if (length == self.length).all():
            return self
        is_kept = np.arange(self.segment_length) < length[:, None]
        cut = {
            f.name: np.where(
                is_kept.reshape(*is_kept.shape, *[1] * (array.ndim - 2)), array, 0
            ).astype(array.dtype)
            for f in fields(self)
            if (array := getattr(self, f.name)).ndim >= 2
        }
        return replace(self, **cut, length=length)

    def inputs(self) -> FloatArray:
        """Returns (S, T, O + A), what a reward model is fed; padding is zero."""
        return np.concatenate([self.observations, self.actions], axis=-1)

    def observation_embeddings(self) -> FloatArray:
        """Returns (S, 2 O), as the function of that name does."""
        length = None if self.is_full else self.length
        if not len(self):
            return observation_embeddings(self.observations, length)
        parts, ends = [], 0
        for part in self.in_parts():
            ends, first = ends + len(part), ends
            some = None if length is None else length[first:ends]
            parts.append(_embeddings(part.observations, some))
        return np.concatenate(parts)

    def in_parts(self, multiple: int = 1) -> Iterator["SegmentBatch"]:
        """Yields the segments in turns of some thousand steps each, for work on copies.

        Args:
            multiple: each but the last has a multiple of so many segments.
        """
        size = max(1, STEPS_AT_ONCE // (max(1, self.segment_length) * multiple)) * multiple
        for first in range(0, len(self), size):
            yield self[first : first + size]

    def cut_out(self) -> "SegmentBatch":
        """Returns the batch with nothing left to be cut out of its episodes: itself."""
        return self

    def __getitem__(self, index: Any) -> "SegmentBatch":
        """Returns the chosen segments as a batch; `index` is a slice, an index array or a mask."""
        if isinstance(index, (int, np.integer)):
            index = [index]
        return SegmentBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @staticmethod
    def concatenate(batches: Sequence["SegmentBatch"]) -> "SegmentBatch":
        """Joins batches of the same segment length along S."""
        if not isinstance(batches, Sequence) or not batches:
            raise ArgumentError(not_a("batches", batches, "a list of SegmentBatch objects"))
        first = instance("batches[0]", batches[0], SegmentBatch)
        for index, batch in enumerate(batches):
            instance(f"batches[{index}]", batch, SegmentBatch)
            for f in fields(SegmentBatch):
                shape, own = (getattr(one, f.name).shape[1:] for one in (first, batch))
                if own != shape:
                    raise DataError(
                        f"{f.name} of batches[{index}] is {own} a segment, of batches[0] {shape}"
                    )
        return SegmentBatch(
            **{
                f.name: np.concatenate([getattr(batch, f.name) for batch in batches])
                for f in fields(SegmentBatch)
            }
        )


def equally_long(left: SegmentBatch, right: SegmentBatch) -> tuple[SegmentBatch, SegmentBatch]:
    """Cuts both segments of every pair to the length of the shorter one.

    A score is a sum over steps: of segments of unequal length it would favour the longer one where
    rewards are above zero, and the shorter one where they are below.
    """
    instance("left", left, SegmentBatch)
    instance("right", right, SegmentBatch)
    if len(left) != len(right):
        raise DataError(f"there are {len(left)} left and {len(right)} right segments")
    return left.shortened(right.length), right.shortened(left.length)


def observation_embeddings(
    observations: FloatArray, length: NDArray[np.int64] | None = None
) -> FloatArray:
    """Concatenates each segment's mean and last observation, by which distances are measured.

    Args:
        observations: (S, T, O), zero at padding.
        length: (S,) steps of each segment; T by default.

    Returns:
        (S, 2 O).
    """
    observations = floats("observations", observations, ("segments", "steps", "dims"))
    if length is not None:
        length = numbers("length", length, (len(observations),), dtype=None)
        steps = observations.shape[1]
        is_range = length.dtype.kind in "iu" and ((length >= 1) & (length <= steps)).all()
        if not is_range:
            raise DataError(f"length must hold whole numbers from 1 to {steps}")
    if not observations.shape[1]:
        raise DataError("observations has no step")
    is_full = length is None or bool((length == observations.shape[1]).all())
    return _embeddings(observations, None if is_full else length)


def _embeddings(observations: FloatArray, length: NDArray[np.int64] | None) -> FloatArray:
    if length is None:
        return np.concatenate([observations.mean(1), observations[:, -1]], axis=1)
    mean = observations.sum(1) / length[:, None].astype(np.float32)
    last = observations[np.arange(len(length)), length - 1]
    return np.concatenate([mean, last], axis=1)
