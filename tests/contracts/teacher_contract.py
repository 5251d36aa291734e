"""What every teacher must keep to: inherit `TeacherContract` and provide `make_teacher`."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import ArrayLike

from prefrl.feedback.protocols import Teacher
from prefrl.segments import SegmentBatch


def segments_earning(true_rewards: ArrayLike) -> SegmentBatch:
    """Segments with the given (S, T) true rewards; everything else about them is arbitrary."""
    rewards = np.asarray(true_rewards, dtype=np.float32)
    num_segments, segment_length = rewards.shape
    steps = np.arange(rewards.size, dtype=np.float32).reshape(num_segments, segment_length, 1)
    return SegmentBatch(
        observations=np.concatenate([steps, -steps], axis=2),
        actions=np.sin(steps),
        true_rewards=rewards,
        sim_states=np.zeros((num_segments, segment_length, 0)),
        episode=np.arange(num_segments, dtype=np.int64),
        start=np.zeros(num_segments, dtype=np.int64),
    )


def global_generator_key() -> list[int]:
    """The state that NumPy's global generator is in."""
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return [*state["key"].tolist(), state["pos"]]


class TeacherContract:
    """The conformance suite of the `Teacher` protocol.

    A subclass overrides the fixture `make_teacher`, which returns a function that builds a new
    teacher that has seen nothing yet.
    """

    @pytest.fixture
    def make_teacher(self) -> Callable[[], Teacher]:
        raise NotImplementedError

    @pytest.fixture
    def pool(self) -> SegmentBatch:
        """(40, 6) rewards of both signs, equal segments among them."""
        rewards = np.random.default_rng(0).integers(-3, 5, size=(40, 6)) / 2
        rewards[-4:] = rewards[:4]
        return segments_earning(rewards)

    @pytest.fixture
    def queries(self, pool: SegmentBatch) -> tuple[SegmentBatch, SegmentBatch]:
        """100 pairs from the pool, left and right."""
        index = np.random.default_rng(1).integers(len(pool), size=(2, 100))
        return pool[index[0]], pool[index[1]]

    def test_every_answer_is_left_right_tie_or_skip(self, make_teacher, pool, queries):
        teacher = make_teacher()
        teacher.observe(pool)
        answers = teacher.answer(*queries, rng=np.random.default_rng(0))
        assert answers.shape == (100,)
        assert answers.dtype == np.float64
        assert set(answers[~np.isnan(answers)]) <= {0.0, 0.5, 1.0}

    def test_the_same_stream_gives_the_same_answers(self, make_teacher, pool, queries):
        answers = []
        for _ in range(2):
            teacher = make_teacher()
            teacher.observe(pool)
            answers.append(teacher.answer(*queries, rng=np.random.default_rng(5)))
        np.testing.assert_array_equal(answers[0], answers[1])

    def test_no_queries_get_no_answers(self, make_teacher, pool):
        teacher = make_teacher()
        teacher.observe(pool)
        answers = teacher.answer(pool[:0], pool[:0], rng=np.random.default_rng(0))
        assert answers.shape == (0,)
        assert answers.dtype == np.float64

    def test_what_it_is_shown_stays_as_it_is(self, make_teacher, pool, queries):
        batches = (pool, *queries)
        before = [{f.name: getattr(b, f.name).copy() for f in fields(b)} for b in batches]
        teacher = make_teacher()
        teacher.observe(pool)
        teacher.answer(*queries, rng=np.random.default_rng(0))
        for batch, arrays in zip(batches, before, strict=True):
            for name, array in arrays.items():
                np.testing.assert_array_equal(getattr(batch, name), array)

    def test_the_global_generator_is_not_drawn_from(self, make_teacher, pool, queries):
        before = global_generator_key()
        teacher = make_teacher()
        teacher.observe(pool)
        teacher.answer(*queries, rng=np.random.default_rng(0))
        assert global_generator_key() == before

    def test_what_observing_reports_are_finite_named_figures(self, make_teacher, pool):
        figures = make_teacher().observe(pool)
        for name, value in figures.items():
            assert isinstance(name, str)
            assert type(value) is float
            assert np.isfinite(value), name

    def test_observing_the_same_pool_again_changes_nothing(self, make_teacher, pool, queries):
        once, twice = make_teacher(), make_teacher()
        assert once.observe(pool) == twice.observe(pool) == twice.observe(pool)
        np.testing.assert_array_equal(
            once.answer(*queries, rng=np.random.default_rng(2)),
            twice.answer(*queries, rng=np.random.default_rng(2)),
        )

    def test_a_pool_of_one_segment_can_be_observed(self, make_teacher, pool):
        teacher = make_teacher()
        assert np.isfinite(list(teacher.observe(pool[:1]).values())).all()
        assert teacher.answer(pool[:1], pool[:1], rng=np.random.default_rng(0)).shape == (1,)
