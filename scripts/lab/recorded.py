"""Recorded answers in the interchange layout, split into parts to train on and to test on.

Axes: N comparisons, T steps, O observation dims, A action dims.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import load_comparisons
from prefrl.segments import SegmentBatch

# Without a split of its own, a file is cut into so many parts, each of them tested on once a seed.
NUM_FOLDS = 5

RowIndices = NDArray[np.int64]


@dataclass(frozen=True)
class Recorded:
    """A file of comparisons.

    Args:
        comparisons: N of them.
    """

    comparisons: PreferenceDataset

    def __len__(self) -> int:
        return len(self.comparisons)

    @property
    def p_left(self) -> NDArray[np.float64]:
        """(N,) 1 left, 0 right, 0.5 tie, NaN without an answer."""
        return self.comparisons.p_left

    @property
    def segment_length(self) -> int:
        """T."""
        return self.comparisons.pairs.segment_length

    @property
    def input_dim(self) -> int:
        """O + A."""
        return sum(self.comparisons.steps[name].shape[1] for name in ("observations", "actions"))

    @property
    def votes(self) -> NDArray[np.int64] | None:
        """(N, 3) how many said left, right, equal; None where they were not recorded."""
        names = ("votes_left", "votes_right", "votes_equal")
        if not any(self.comparisons.has(name) for name in names):
            return None
        return np.stack([getattr(self.comparisons, name) for name in names], axis=1)

    @property
    def group(self) -> NDArray[np.int64] | None:
        """(N,) comparisons of one group are trained or tested on together; None: no groups."""
        if not self.comparisons.has("group"):
            return None
        return np.unique(self.comparisons.group, return_inverse=True)[1].reshape(-1)

    @property
    def is_test(self) -> NDArray[np.bool_] | None:
        """(N,) the file's own split; None where it has none."""
        return self.comparisons.is_validation if self.comparisons.has("is_validation") else None

    def segments(self, rows: RowIndices, side: int) -> SegmentBatch:
        """Returns the left (0) or right (1) segments of some comparisons."""
        return (self.comparisons.left, self.comparisons.right)[side][0][rows]

    def vote_share(self) -> NDArray[np.float64]:
        """Returns (N,) the share of votes for left, an equal one counting half; NaN without votes.

        Raises:
            DataError: votes were not recorded.
        """
        votes = self.votes
        if votes is None:
            raise DataError("this file holds no votes")
        left, _, equal = votes.T
        total = votes.sum(1)
        share = (left + 0.5 * equal) / np.maximum(total, 1)
        return np.where(total > 0, share, np.nan)

    def human_ceiling(self) -> float | None:
        """Returns how often one decisive voter agrees with the majority of the others.

        Every voter is held against the rest in turn; where the rest are evenly split they say
        nothing. None where votes were not recorded.
        """
        votes = self.votes
        if votes is None:
            return None
        left, right = votes[:, 0], votes[:, 1]
        # One who said left is left out: the others are left - 1 against right; and likewise right.
        lead_left, lead_right = left - 1 - right, right - 1 - left
        agree = (left * (lead_left > 0)).sum() + (right * (lead_right > 0)).sum()
        decided = (left * (lead_left != 0)).sum() + (right * (lead_right != 0)).sum()
        return float(agree / decided) if decided else None

    def splits(self, *, rng: np.random.Generator) -> Iterator[tuple[RowIndices, RowIndices]]:
        """Yields rows to train on and rows to test on, training rows in random order.

        The file's own split once; else each of five parts tested on once, parts made of whole
        groups where there are groups.

        Raises:
            DataError: there is nothing to train on, or nothing to test on.
        """
        answered = ~np.isnan(self.p_left)
        if (own := self.is_test) is not None:
            in_test = [own]
        else:
            group = self.group
            group = np.arange(len(self)) if group is None else group
            groups = np.unique(group[answered])
            # Fewer groups than folds: each is tested on once.
            parts = np.array_split(rng.permutation(groups), min(NUM_FOLDS, max(len(groups), 1)))
            in_test = [np.isin(group, part) for part in parts]
        for is_test in in_test:
            train, test = np.flatnonzero(answered & ~is_test), np.flatnonzero(answered & is_test)
            if not len(train) or not len(test):
                raise DataError(
                    f"{len(train)} answers are left to train on and {len(test)} to test on; "
                    "expected 1 or more of each"
                )
            yield rng.permutation(train), test


def load(path: Path) -> Recorded:
    """Reads a file in the interchange layout.

    Raises:
        StorageError: the file is missing, damaged, or something else; it is named.
    """
    return Recorded(load_comparisons(path))
