"""Several objectives: one simulated teacher for each, who answers by its own true reward.

Axes: B queries, S segments, T steps, M objectives.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.config import TeacherSettings
from prefrl.errors import DataError
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.segments import SegmentBatch


class ObjectiveTeacher(Protocol):
    """Whoever answers queries that are each about one of M objectives."""

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Shows the present candidates before a session; returns metrics worth logging."""
        ...

    def answer(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        rng: np.random.Generator,
        objective: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Returns (B,) 1 left, 0 right, 0.5 tie, NaN skipped, by the objective of each query."""
        ...


def objectives_in_turns(
    num_before: int, num_queries: int, num_objectives: int
) -> NDArray[np.int64]:
    """Gives each query its objective: they take turns, by the queries' numbers.

    Args:
        num_before: queries put before these.
        num_queries: B.
        num_objectives: M.

    Returns:
        (B,) in 0..M-1.
    """
    return (num_before + np.arange(num_queries, dtype=np.int64)) % num_objectives


def by_objective(segments: SegmentBatch, objective: int) -> SegmentBatch:
    """Returns segments whose true reward is that of one objective.

    Raises:
        DataError: they were recorded with fewer objectives.
    """
    num = segments.objective_rewards.shape[2]
    if not 0 <= objective < num:
        raise DataError(
            f"a query is about objective {objective}, but segments have the true rewards of {num}"
        )
    return replace(segments, true_rewards=segments.objective_rewards[..., objective])


class ObjectiveTeachers:
    """Simulated teachers, one an objective, alike in how they fail.

    Args:
        names: of the M objectives, as metrics call them.
        settings: how each of them fails.
    """

    def __init__(self, names: Sequence[str], settings: TeacherSettings) -> None:
        self.names = tuple(names)
        self._teachers = [SyntheticTeacher(settings) for _ in names]

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Shows the pool to every teacher; returns what each says of it, under its name.

        Raises:
            DataError: as `SyntheticTeacher.observe`, or the pool lacks an objective.
        """
        metrics: dict[str, float] = {}
        for objective, (name, teacher) in enumerate(zip(self.names, self._teachers, strict=True)):
            said = teacher.observe(by_objective(pool, objective))
            metrics |= {f"{key}/{name}": value for key, value in said.items()}
        return metrics

    def answer(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        rng: np.random.Generator,
        objective: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Answers B queries, each by the teacher of its objective.

        Args:
            left: B segments.
            right: B segments, as long.
            rng: the stream that all teachers draw from, in the objectives' order.
            objective: (B,) which objective each query is about.

        Returns:
            (B,) 1 left, 0 right, 0.5 tie, NaN skipped.

        Raises:
            DataError: as `SyntheticTeacher.answer`, or segments lack an objective.
        """
        answers = np.full(len(left), np.nan)
        for number, teacher in enumerate(self._teachers):
            rows = np.flatnonzero(objective == number)
            if len(rows):
                sides = (by_objective(side[rows], number) for side in (left, right))
                answers[rows] = teacher.answer(*sides, rng=rng)
        return answers
