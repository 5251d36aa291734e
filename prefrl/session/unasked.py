"""The queries that were put to the teacher; those that were not yet: their number, and draws.

Axes: N queries that were put, S segments, B queries.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.pairs import window_numbers, windows_of
from prefrl.queries.pairs import num_pairs, pair_numbers, pairs_numbered
from prefrl.segments import SegmentBatch


@dataclass(frozen=True)
class Asked:
    """The queries that were put.

    Args:
        windows: (N, 4) the two windows of each, as `prefrl.feedback.pairs` has them.
        objective: (N,) which objective each is about.
    """

    windows: NDArray[np.int64]
    objective: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.windows)

    def with_more(self, windows: NDArray[np.int64], objective: NDArray[np.int64]) -> "Asked":
        """Returns them with others."""
        return Asked(
            np.concatenate([self.windows, windows]), np.concatenate([self.objective, objective])
        )


def asked_up_to(dataset: PreferenceDataset, session: int) -> PreferenceDataset:
    """Returns the queries of sessions 0..session.

    They are all there are, unless the run was resumed from a checkpoint before its newest: the
    answers of the sessions that are to come again then wait in the file.
    """
    is_known = dataset.session <= session
    return dataset if is_known.all() else dataset.select(is_known)


def other_queries(dataset: PreferenceDataset, questions: Collection[int]) -> tuple[Asked, int]:
    """Returns the queries of a dataset that are none of these questions.

    Args:
        dataset: has answers.
        questions: their numbers.

    Returns:
        the queries, and how many of them were answered.
    """
    is_other = ~np.isin(dataset.question, list(questions))
    answered = dataset.question[is_other & ~np.isnan(dataset.p_left)]
    asked = Asked(dataset.window_pairs()[is_other], dataset.objective[is_other])
    return asked, len(np.unique(answered))


class Unasked:
    """Counts and draws the queries left about S segments, one of each pair for each objective.

    A query is a number, of its pair and its objective, so that none is ever listed for nothing.

    Args:
        segments: S of them, some of which may be the same window.
        asked: what was put before.
        num_objectives: M.
    """

    def __init__(self, segments: SegmentBatch, asked: Asked, num_objectives: int = 1) -> None:
        windows, self._rows = np.unique(window_numbers(windows_of(segments)), return_index=True)
        self._num_objectives = num_objectives
        self._total = num_pairs(len(windows)) * num_objectives
        sides = [window_numbers(asked.windows[:, side : side + 2]) for side in (0, 2)]
        found = np.sort([np.searchsorted(windows, side) for side in sides], axis=0).T
        is_here = np.logical_and(*(np.isin(side, windows) for side in sides)) & (
            found[:, 0] < found[:, 1]
        )
        pairs = pair_numbers(found[is_here], len(windows))
        self._asked = np.unique(pairs * num_objectives + asked.objective[is_here])

    def __len__(self) -> int:
        return self._total - len(self._asked)

    def drawn(
        self, num_queries: int, *, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draws queries uniformly, all different.

        Args:
            num_queries: B; all there are, in another order, where they are fewer.
            rng: draws them.

        Returns:
            (B, 2) rows of the segments, the smaller window first, and (B,) their objectives.
        """
        # So many that enough of them are new, even if every old one is among them.
        size = min(num_queries + len(self._asked), self._total)
        numbers = rng.choice(self._total, size=size, replace=False)
        numbers = numbers[~np.isin(numbers, self._asked)][:num_queries]
        pairs = pairs_numbered(numbers // self._num_objectives, len(self._rows))
        return self._rows[pairs], numbers % self._num_objectives
