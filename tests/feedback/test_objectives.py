"""Queries about one of several objectives are answered by that objective's teacher."""

from dataclasses import replace

import numpy as np
import pytest

from prefrl.config import TeacherSettings
from prefrl.errors import DataError
from prefrl.feedback.objectives import ObjectiveTeachers, by_objective, objectives_in_turns
from prefrl.segments import SegmentBatch
from tests import linear_task


def segments(fast: list[float], calm: list[float]) -> SegmentBatch:
    """Segments of two steps, each with these true rewards at every step."""
    batch = linear_task.segments(len(fast), rng=np.random.default_rng(0), length=2)
    rewards = np.array([fast, calm], dtype=np.float32).T  # (S, 2)
    return replace(batch, objective_rewards=np.repeat(rewards[:, None], 2, axis=1))


@pytest.mark.parametrize(
    ("num_before", "num_objectives", "expected"),
    [(0, 2, [0, 1, 0, 1]), (3, 2, [1, 0, 1, 0]), (4, 3, [1, 2, 0, 1]), (7, 1, [0, 0, 0, 0])],
)
def test_objectives_take_turns_by_the_number_of_a_query(num_before, num_objectives, expected):
    assert objectives_in_turns(num_before, 4, num_objectives).tolist() == expected


def test_each_query_is_answered_by_the_returns_of_its_own_objective():
    left = segments([1, 1, 0, 2], [0, 0, 5, 5])
    right = segments([0, 0, 1, 2], [9, 9, 5, 4])
    teachers = ObjectiveTeachers(["fast", "calm"], TeacherSettings(name="oracle"))
    objective = np.array([0, 1, 0, 1])
    answers = teachers.answer(left, right, rng=np.random.default_rng(0), objective=objective)
    assert answers.tolist() == [1, 0, 0, 1]


def test_what_teachers_say_of_the_pool_goes_under_the_names_of_their_objectives():
    teachers = ObjectiveTeachers(["fast", "calm"], TeacherSettings(name="oracle"))
    said = teachers.observe(segments([1, 3], [5, 5]))
    assert said["segment_return_mean/fast"] == 4.0
    assert said["segment_return_std/calm"] == 0.0


def test_segments_without_the_objective_are_refused():
    plain = linear_task.segments(2, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match=r"about objective 1, but segments have .* of 0"):
        by_objective(plain, 1)
