from typing import Any

import numpy as np
import pytest

from prefrl.benchmark.report.curves import MODE_OF
from prefrl.benchmark.report.gathering import study_of
from prefrl.benchmark.report.study import Study
from prefrl.errors import DataError
from tests.benchmark.made_up import STEPS, reward_rows, rl_rows


def reward_study(rows: list[dict[str, Any]]) -> Study:
    return study_of(rows, MODE_OF["reward"])


def rl_study(rows: list[dict[str, Any]]) -> Study:
    return study_of(rows, MODE_OF["rl"])


def test_strategies_come_by_the_alphabet_after_uniform() -> None:
    study = reward_study(reward_rows({"volume": 0, "uniform": 0, "bald": 0}))
    assert study.strategies == ("uniform", "bald", "volume")
    assert study.strata == (("Hopper-v4", "oracle"), ("Reacher-v4", "oracle"))


def test_final_scores_are_those_of_the_largest_budget() -> None:
    rows = reward_rows({"uniform": 0}, num_seeds=2, envs=["Hopper-v4"])
    study = reward_study(rows[::-1])
    last = {row["seed"]: row["accuracy"] for row in rows if row["budget"] == 400}
    assert study.finals("uniform") == {("Hopper-v4", "oracle"): pytest.approx(last)}


def test_a_run_that_has_not_come_to_the_end_has_no_final_score() -> None:
    rows = reward_rows({"uniform": 0}, envs=["Hopper-v4"])
    rows = [row for row in rows if not (row["seed"] == 3 and row["budget"] == 400)]
    study = reward_study(rows)
    assert sorted(study.finals("uniform")["Hopper-v4", "oracle"]) == [0, 1, 2, 4]
    assert sorted(study.areas("uniform")["Hopper-v4", "oracle"]) == [0, 1, 2, 4]


def test_a_figure_that_is_not_finite_is_not_known() -> None:
    rows = reward_rows({"uniform": 0}, num_seeds=3, envs=["Hopper-v4"])
    for row in rows:
        if row["budget"] == 400:
            row["accuracy"] = (np.nan, np.inf, None)[row["seed"]]
    assert reward_study(rows).finals("uniform") == {}


def test_a_gap_within_a_curve_is_bridged_by_a_straight_line() -> None:
    rows = reward_rows({"uniform": 0}, num_seeds=1, envs=["Hopper-v4"], noise=0)
    whole = reward_study(rows).areas("uniform")
    rows[1]["accuracy"] = (rows[0]["accuracy"] + rows[2]["accuracy"]) / 2
    bridged = reward_study(rows).areas("uniform")
    rows[1]["accuracy"] = rows[1]["nll"] = None
    assert bridged != whole
    study = reward_study([row for row in rows if row["budget"] != 100])
    assert reward_study(rows).areas("uniform") == study.areas("uniform")


def test_returns_are_set_against_the_true_reward_whatever_their_sign() -> None:
    study = rl_study(rl_rows({"uniform": -0.3, "true reward": 0}, noise=0))
    assert study.scale.reference == "true reward"
    assert study.strategies == ("uniform",)
    for seeds in study.finals("uniform").values():
        assert list(seeds.values()) == pytest.approx([0.5] * 5)


def test_without_the_true_reward_returns_are_set_against_uniform() -> None:
    study = rl_study(rl_rows({"uniform": -0.3, "bald": -0.05}, noise=0, tops={"Hopper-v4": 10.0}))
    assert study.scale.reference == "uniform"
    assert list(study.finals("bald")["Hopper-v4", "oracle"].values()) == pytest.approx([1.5] * 5)


def test_without_either_one_environment_keeps_its_units_and_several_have_no_scale() -> None:
    one = rl_study(rl_rows({"bald": 0}, noise=0, tops={"Hopper-v4": 1_000.0}))
    assert list(one.finals("bald")["Hopper-v4", "oracle"].values()) == pytest.approx([800] * 5)
    assert rl_study(rl_rows({"bald": 0})).finals("bald") == {}


def test_an_environment_without_the_reference_is_left_out_of_the_scale() -> None:
    rows = rl_rows({"uniform": 0, "true reward": 0})
    rows = [r for r in rows if r["strategy"] == "uniform" or r["env"] == "Hopper-v4"]
    study = rl_study(rows)
    assert set(study.finals("uniform")) == {("Hopper-v4", "oracle")}


def test_policies_are_drawn_over_steps_and_reward_models_over_answers() -> None:
    np.testing.assert_array_equal(rl_study(rl_rows({"uniform": 0})).grid(), STEPS)
    rows = reward_rows({"uniform": 0}, budgets=(10, 20))
    np.testing.assert_array_equal(reward_study(rows).grid(), [10, 20])


def test_a_session_and_a_return_at_the_same_step_are_one_point_of_the_curve() -> None:
    told = {
        "mode": "rl",
        "cell": "c",
        "env": "Hopper-v4",
        "strategy": "duo",
        "teacher": "",
        "seed": 0,
    }
    rows: list[dict[str, Any]] = [
        {**told, "step": 100, "budget": 10, "true_return": 3.0, "accuracy": None},
        {**told, "step": 100, "budget": 20, "true_return": None, "accuracy": 0.7},
        {**told, "step": 200, "budget": 20, "true_return": 5.0},
        {**told, "step": 200, "budget": 20, "true_return": 6.0, "accuracy": 0.8},
    ]
    (curve,) = rl_study(rows).curves
    assert curve.x.tolist() == [100, 200]
    assert curve.measures["true_return"].tolist() == [3, 5]  # of training, as the rest of it
    assert curve.final == 6  # in evaluation
    assert curve.measures["accuracy"].tolist() == [0.7, 0.8]
    assert curve.budgets.tolist() == [20, 20]
    assert curve.answers == {20: 6.0}


def test_policies_without_steps_are_drawn_over_answers() -> None:
    rows = [{**row, "step": None} for row in rl_rows({"uniform": 0})]
    study = rl_study(rows)
    assert study.axis == "budget"
    np.testing.assert_array_equal(study.grid(), [step / 10 for step in STEPS])


def test_where_strata_end_apart_they_are_drawn_over_shares() -> None:
    rows = reward_rows({"uniform": 0}, envs=["Hopper-v4"], budgets=(10, 20))
    rows += reward_rows({"uniform": 0}, envs=["Reacher-v4"], budgets=(50, 100))
    study = reward_study(rows)
    np.testing.assert_array_equal(study.grid(), [0.5, 1])
    np.testing.assert_array_equal(study.grid(("Reacher-v4", "oracle")), [50, 100])


def test_a_long_curve_is_drawn_at_sixty_places() -> None:
    rows = reward_rows({"uniform": 0}, num_seeds=1, budgets=range(1, 500))
    assert len(reward_study(rows).grid()) == 60


def test_of_policies_with_budgets_of_their_own_the_largest_is_the_curve() -> None:
    rows = rl_rows({"uniform": 0}, num_seeds=1, tops={"Hopper-v4": 100.0}, noise=0)
    smaller = [
        {**row, "cell": "smaller", "budget": row["budget"] // 4, "true_return": 7.0} for row in rows
    ]
    (curve,) = rl_study([*smaller, *rows]).curves
    assert curve.measures["true_return"][-1] == pytest.approx(80)
    # Each budget is judged by the run that ended with it.
    assert curve.answers == {100: 7.0, 400: pytest.approx(80)}


def test_a_policy_with_fewer_answers_than_the_others_is_not_compared() -> None:
    rows = rl_rows({"uniform": 0, "bald": 0})
    for row in rows:
        if row["strategy"] == "bald":
            row["budget"] //= 2
    study = rl_study(rows)
    assert study.finals("bald") == {}
    assert study.finals("uniform") != {}


def test_two_cells_that_a_report_cannot_tell_apart_are_named() -> None:
    rows = reward_rows({"uniform": 0}, num_seeds=1, envs=["Hopper-v4"])
    again = [{**row, "cell": "again"} for row in rows]
    with pytest.raises(DataError, match=r"cells reward-Hopper-v4-uniform-oracle-0 and again have"):
        reward_study([*rows, *again])
