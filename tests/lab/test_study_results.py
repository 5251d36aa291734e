"""Numbers read out of a study, beside those computed by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lab.studies import Cell, Target
from lab.study_results import (
    Results,
    curves_at,
    detectable,
    difference,
    iqm_of,
    mean_of,
    share_of,
)
from prefrl.errors import DataError, StorageError
from tests.lab.made_up_study import finish, study


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Of seeds 5 and 6: true 40 and 60, learned 30 and 50 at the end; PPO twice as slow."""
    made_up = study(tmp_path)
    finish(made_up, Cell("quick", "true", 5), [10, 20, 30, 40])
    finish(made_up, Cell("quick", "true", 6), [30, 40, 50, 60])
    finish(made_up, Cell("quick", "8", 5), [0, 10, 20, 30], steps_per_s=8)
    finish(made_up, Cell("quick", "8", 6), [20, 30, 40, 50], steps_per_s=12.5)
    finish(made_up, Cell("beside", "true", 5), [1, 2, 3, 4], steps_per_s=5)
    finish(made_up, Cell("beside", "8", 5), [1, 2, 3, 4], steps_per_s=50)
    return Results(made_up)


def test_the_area_is_the_mean_height_from_the_first_evaluation_to_the_last(results):
    # (10 + 20) / 2, (20 + 30) / 2 and (30 + 40) / 2 over thirds of the way.
    np.testing.assert_allclose(results.areas("quick", "true"), [25, 45])
    np.testing.assert_allclose(results.areas("quick", "8"), [15, 35])


def test_an_areas_share_is_one_of_means_and_of_several_tasks_their_mean():
    of_one = share_of([np.array([15.0, 35.0])], [np.array([25.0, 45.0])])
    assert of_one.value == pytest.approx(25 / 35)
    of_two = share_of(
        [np.array([15.0, 35.0]), np.array([9.0])], [np.array([25.0, 45.0]), np.array([10.0])]
    )
    assert of_two.value == pytest.approx((25 / 35 + 0.9) / 2)
    # Of two seeds a side, each resample has one, the other or both: 15 / 45 is the lowest.
    assert of_one.low == pytest.approx(15 / 45)
    assert of_one.high == pytest.approx(35 / 25)


def test_equal_computing_time_is_what_the_other_rows_runs_took_on_average(results):
    # 400 steps at 8 and at 12.5 a second are 50 and 32 s; PPO had 2 at 40 s and 3 at 60 s.
    assert results.cpu_limit_s("beside", "true") == pytest.approx(40)
    np.testing.assert_allclose(results.at_limit("beside", "true"), [2])
    assert results.cpu_limit_s("beside", "8") == pytest.approx(41)


def test_between_evaluations_a_run_is_read_off_a_straight_line(tmp_path):
    made_up = study(tmp_path)
    finish(made_up, Cell("quick", "true", 5), [0, 0, 0, 0], steps_per_s=8)
    finish(made_up, Cell("beside", "true", 5), [10, 20, 30, 40], steps_per_s=5)
    np.testing.assert_allclose(Results(made_up).at_limit("beside", "true"), [25])  # at 50 s


def test_a_run_that_ended_before_the_others_time_is_left_out(results):
    # 400 steps at 50 a second end after 8 s, before 41 s.
    assert len(results.of("beside", "8")) == 1
    assert len(results.at_limit("beside", "8")) == 0


def test_a_curve_over_answers_takes_the_last_evaluation_at_each_number(tmp_path):
    made_up, cell = study(tmp_path), Cell("quick", "8", 5)
    finish(made_up, cell, [1, 2, 3, 4])
    (run,) = Results(made_up).of("quick", "8")
    asked: Any = {**run.curve, "num_answers": np.array([0.0, 4.0, 4.0, 8.0])}
    run = type(run)(run.seed, run.final, asked, run.summary)
    band = curves_at([run], "num_answers", np.array([0.0, 4.0, 8.0, 9.0]))
    np.testing.assert_allclose(band.value, [1, 3, 4, math.nan])


def test_before_the_first_session_no_answer_counts(tmp_path):
    made_up, cell = study(tmp_path), Cell("quick", "8", 5)
    curve = [
        {"step": 100, "cpu_s": 1.0, "eval_true_return": 1.0, "eval_learned_return": None},
        {"step": 200, "cpu_s": 2.0, "eval_true_return": 2.0, "num_answers": 8},
    ]
    finish(made_up, cell, [1], curve=curve)
    (run,) = Results(made_up).of("quick", "8")
    np.testing.assert_array_equal(run.curve["num_answers"], [0, 8])


def test_means_leave_no_seed_out_and_interquartile_means_a_quarter_at_each_end():
    values = np.array([0.0, 10.0, 20.0, 100.0])
    assert mean_of(values).value == 32.5
    assert iqm_of(values).value == 15
    assert mean_of(values).low < 32.5 < mean_of(values).high
    assert np.isnan(mean_of(np.array([1.0])).low)


def test_intervals_of_many_seeds_are_those_of_the_normal_distribution():
    rng = np.random.default_rng(1)
    left, right = rng.normal(5, 2, size=400), rng.normal(3, 2, size=400)
    estimate = difference(left, right)
    assert estimate.value == pytest.approx(left.mean() - right.mean())
    half = 1.96 * math.sqrt(left.var() / 400 + right.var() / 400)
    assert estimate.low == pytest.approx(estimate.value - half, abs=0.03)
    assert estimate.high == pytest.approx(estimate.value + half, abs=0.03)


def test_the_difference_that_could_have_shown_is_found_by_four_of_five_t_tests():
    left, right = np.array([1.0, 3.0]), np.array([0.0, 2.0, 4.0])
    # Squares 2 and 8 over three degrees of freedom.
    t = stats.t(18)
    by_hand = (t.ppf(0.975) + t.ppf(0.8)) * math.sqrt(10 / 3 * (1 / 10 + 1 / 10))
    shown = detectable(left, right, (10, 10))
    assert shown == pytest.approx(by_hand)
    rng = np.random.default_rng(0)
    scatter = math.sqrt(10 / 3)
    draws = rng.normal(0, scatter, (2, 10, 4_000))
    p = stats.ttest_ind(draws[0] + shown, draws[1]).pvalue
    assert float((p < 0.05).mean()) == pytest.approx(0.8, abs=0.03)
    assert math.isnan(detectable(left[:1], right[:1], (10, 10)))


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ({"at_least": 1.0}, 40),
        ({"at_least": 1.0, "statistic": "iqm"}, 40),
        ({"at_least": 1.0, "measure": "share_of_true"}, 40 / 50),
        ({"at_most": 1.0, "measure": "overhead"}, 41 / 40 - 1),
        ({"at_least": 1.0, "statistic": "seeds", "height": 40.0}, 1 / 2),
        # By then seed 5 has had one evaluation, of 0, and seed 6 three.
        ({"at_least": 1.0, "statistic": "seeds", "height": 20.0, "within_s": 24.0}, 1 / 2),
        ({"at_least": 1.0, "measure": "over_row", "other": "beside"}, None),
    ],
)
def test_targets_are_measured_as_they_say(results, target, value):
    found = results.value_of(Target("quick", "8", **target))
    assert found == (None if value is None else pytest.approx(value))


def test_a_target_beside_another_agent_is_the_difference_at_equal_computing_time(results):
    target = Target("quick", "true", measure="over_row", other="beside", at_least=0.0)
    assert results.value_of(target) == pytest.approx(50 - 2)


def test_results_of_other_settings_are_refused_by_name(tmp_path):
    made_up, cell = study(tmp_path), Cell("quick", "true", 5)
    finish(made_up, cell, [1, 2, 3, 4], words=["--env", "Hopper-v4"])
    with pytest.raises(DataError, match=r"quick-true-seed5.json was made with other settings"):
        Results(made_up)


def test_results_of_other_presets_are_not_put_into_one_arm(tmp_path):
    made_up = study(tmp_path)
    finish(made_up, Cell("quick", "true", 5), [1, 2, 3, 4])
    finish(made_up, Cell("quick", "true", 6), [1, 2, 3, 4], settings="of another preset")
    with pytest.raises(DataError, match=r"seed6.json was made with other presets than .*seed5"):
        Results(made_up)


def test_a_damaged_result_is_refused_by_name(tmp_path):
    made_up, cell = study(tmp_path), Cell("quick", "true", 5)
    finish(made_up, cell, [1, 2, 3, 4], curve=None)
    with pytest.raises(StorageError, match=r"quick-true-seed5.json is damaged: .*curve"):
        Results(made_up)
