import pytest

from prefrl.session.told_standing import state_by_answers


@pytest.mark.parametrize(
    ("num_told", "num_skips", "wanted", "is_nobody_left", "state"),
    [
        (0, 0, 1, False, "open"),
        (0, 0, 1, True, "open"),  # Whoever comes may answer it.
        (1, 0, 1, False, "answered"),
        (1, 0, 2, True, "open"),
        (0, 1, 1, False, "open"),
        (0, 1, 1, True, "skipped"),
        (0, 2, 1, False, "skipped"),
        (1, 1, 2, False, "open"),
        (1, 1, 2, True, "answered"),
        (1, 2, 2, False, "answered"),
        (2, 2, 2, False, "answered"),
    ],
)
def test_answers_and_skips_close_a_question_by_one_rule(
    num_told, num_skips, wanted, is_nobody_left, state
):
    found = state_by_answers(num_told, num_skips, wanted=wanted, is_nobody_left=is_nobody_left)
    assert found == state
