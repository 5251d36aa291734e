import numpy as np
import pytest

from lab.ease import (
    ARMS,
    ENVS,
    TEACHERS,
    TOTALS,
    Row,
    compared,
    interval,
    questions_to_reach,
    summary,
)

QUESTIONS = np.array([40.0, 80.0, 120.0])


def test_a_curve_reaches_a_height_between_two_sessions() -> None:
    accuracy = np.array([0.6, 0.8, 0.9])
    assert questions_to_reach(0.5, accuracy, QUESTIONS) == 40
    assert questions_to_reach(0.7, accuracy, QUESTIONS) == pytest.approx(60)
    assert questions_to_reach(0.85, accuracy, QUESTIONS) == pytest.approx(100)
    assert questions_to_reach(0.95, accuracy, QUESTIONS) is None


def test_the_share_of_questions_is_that_of_the_mean_curves() -> None:
    plain = np.array([[0.5, 0.7, 0.9], [0.7, 0.7, 0.7]])  # on average 0.6, 0.7, 0.8
    ease = np.array([[0.6, 0.8, 0.8], [0.6, 0.8, 0.8]])
    assert compared(plain, ease, QUESTIONS) == pytest.approx(80 / 120)
    assert compared(plain, ease - 0.5, QUESTIONS) == 1.0  # It does not get there.


def test_an_interval_is_students() -> None:
    mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2.0
    assert high - mean == pytest.approx(4.3027 / 3**0.5, abs=1e-4)
    assert mean - low == pytest.approx(high - mean)


def test_rows_are_summed_up_seed_by_seed() -> None:
    rows = [
        Row(env, teacher, arm, seed, total, (total // 4) * (1 + (arm == "ease")) + seed, 0, 0.8)
        for env in ENVS
        for teacher in TEACHERS
        for arm in ARMS
        for seed in range(3)
        for total in TOTALS
    ]
    first = summary(rows)[0]
    # Of 190 questions that were chosen 47 are decisive, with ease twice as many.
    assert first["questions_per_decisive_answer"] == pytest.approx(
        {"plain": 190 / 47, "ease": 190 / 94}
    )
    assert first["cost_ratio"] == pytest.approx([0.5, 0.5, 0.5])
    assert first["questions_at_equal_accuracy"] == [1.0, 1.0, 1.0]
    assert first["accuracy_difference"] == [(0.0, 0.0, 0.0)] * (len(TOTALS) - 1)
