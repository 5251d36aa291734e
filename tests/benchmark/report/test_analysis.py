from typing import Any

import numpy as np
import pytest

from prefrl.benchmark.report.analysis import Analysis, analyse
from prefrl.benchmark.report.answers import answers_needed
from prefrl.benchmark.report.curves import MODE_OF
from prefrl.benchmark.report.gathering import study_of
from prefrl.benchmark.report.numbers import digits_of, interval_text, plain_number
from prefrl.benchmark.report.statistics import Estimate
from prefrl.benchmark.report.verdicts import Verdict, paired_differences
from tests.benchmark.made_up import reward_rows, rl_rows

HOPPER, REACHER = ("Hopper-v4", "oracle"), ("Reacher-v4", "oracle")


def analysis_of(rows: list[dict[str, Any]]) -> Analysis:
    study = study_of(rows, MODE_OF[rows[0]["mode"]])
    return analyse(study, rng=np.random.default_rng(0))


def outcomes(analysis: Analysis, of: str = "final") -> dict[str, str]:
    return {verdict.strategy: verdict.outcome for verdict in analysis.verdicts[of]}


def estimate(value: float, low: float = np.nan, high: float = np.nan) -> Estimate:
    return Estimate(np.array(value), np.array(low), np.array(high))


@pytest.mark.parametrize("rows", [reward_rows, rl_rows])
def test_known_differences_are_supported_in_their_direction(rows: Any) -> None:
    skills = {"uniform": 0.0, "bald": 0.05, "duo": 0.1, "greedy": -0.05, "true reward": 0.0}
    if rows is reward_rows:
        del skills["true reward"]
    analysis = analysis_of(rows(skills))
    known = {"duo": "higher", "bald": "higher", "greedy": "lower"}
    assert outcomes(analysis) == outcomes(analysis, "area") == known
    assert analysis.ranking == ("duo", "bald", "uniform", "greedy")
    assert float(analysis.improvement["duo"].value) == 1
    assert float(analysis.improvement["greedy"].value) < 0.1


def test_the_difference_found_is_the_one_put_in() -> None:
    rows = rl_rows({"uniform": 0, "duo": 0.1, "true reward": 0})
    (verdict,) = analysis_of(rows).verdicts["final"]
    assert verdict.difference.low <= 0.1 <= verdict.difference.high
    assert float(verdict.difference.value) == pytest.approx(0.1, abs=0.02)


def test_strategies_that_differ_by_chance_alone_are_not_supported() -> None:
    names = ["uniform", "bald", "duo", "greedy", "volume"]
    analysis = analysis_of(reward_rows(dict.fromkeys(names, 0.0)))
    assert set(outcomes(analysis).values()) == {"unclear"}


def test_pairs_have_the_same_environment_teacher_and_seed() -> None:
    scores = {HOPPER: {0: 0.9, 1: 0.8, 7: 0.1}, REACHER: {0: 0.5}, ("Ant-v4", "oracle"): {0: 1.0}}
    baseline = {HOPPER: {1: 0.5, 0: 0.5, 2: 0.0}, REACHER: {5: 0.1}}
    differences = paired_differences(scores, baseline)
    assert list(differences) == [HOPPER]
    assert differences[HOPPER] == pytest.approx([0.4, 0.3])


def test_a_supported_difference_is_told_with_its_evidence() -> None:
    verdict = Verdict("duo", 12, 2, estimate(0.0312, 0.021, 0.0423), p=0.001, p_corrected=0.002)
    assert verdict.sentence == (
        "supported: higher than uniform by 0.031 "
        "(95% interval 0.021 to 0.042, Holm-corrected p = 0.002, n = 12)"
    )


def test_a_difference_that_is_not_supported_is_told_with_its_size() -> None:
    verdict = Verdict("duo", 12, 2, estimate(-0.01, -0.04, 0.021), p=0.2, p_corrected=0.4)
    assert verdict.sentence == (
        "not supported: 0.010 lower than uniform "
        "(95% interval \u22120.040 to 0.021, Holm-corrected p = 0.4, n = 12)"
    )
    same = Verdict("duo", 12, 2, estimate(0, 0, 0), p=1, p_corrected=1)
    assert same.sentence.startswith("not supported: the same as uniform (")


def test_a_small_p_does_not_outweigh_an_interval_around_zero() -> None:
    verdict = Verdict("duo", 12, 1, estimate(0.01, -0.001, 0.02), p=0.01, p_corrected=0.01)
    assert verdict.outcome == "unclear"


def test_a_difference_of_single_seeds_is_told_without_an_interval() -> None:
    rows = reward_rows({"uniform": 0, "duo": 0.1}, num_seeds=1, envs=[f"env{i}" for i in range(8)])
    (verdict,) = analysis_of(rows).verdicts["final"]
    assert verdict.outcome == "higher"
    assert verdict.sentence.endswith("(Holm-corrected p = 0.0078, n = 8)")


def test_too_few_pairs_are_said_to_be_too_few() -> None:
    analysis = analysis_of(reward_rows({"uniform": 0, "duo": 0.1}, num_seeds=3, envs=["Ant-v4"]))
    (verdict,) = analysis.verdicts["final"]
    assert verdict.sentence == ("too few pairs to tell (n = 3; at least 6 are needed for p < 0.05)")


def test_more_strategies_need_more_pairs() -> None:
    skills = {"uniform": 0, "duo": 0.1, "bald": 0.1, "greedy": -0.1}
    analysis = analysis_of(reward_rows(skills, num_seeds=3))
    assert {verdict.sentence for verdict in analysis.verdicts["final"]} == {
        "too few pairs to tell (n = 6; at least 7 are needed for p < 0.05 in 3 tests)"
    }


def test_few_pairs_that_passed_the_correction_behind_others_are_enough() -> None:
    verdict = Verdict("duo", 6, 3, estimate(0.03, 0.02, 0.04), p=0.0312, p_corrected=0.0312)
    assert verdict.outcome == "higher"


def test_what_differs_by_environment_is_told_for_each() -> None:
    rows = reward_rows({"uniform": 0, "duo": 0}, num_seeds=6, noise=0)
    for row in rows:
        if row["strategy"] == "duo":
            row["accuracy"] += 0.1 if row["env"] == "Hopper-v4" else -0.02
    gaps = analysis_of(rows).gaps
    assert list(gaps) == ["duo"]
    assert gaps["duo"][HOPPER] == pytest.approx([0.1] * 6)
    assert gaps["duo"][REACHER] == pytest.approx([-0.02] * 6)


def test_without_uniform_nothing_is_compared() -> None:
    analysis = analysis_of(reward_rows({"duo": 0.1, "bald": 0}))
    assert analysis.verdicts == {"final": [], "area": []}
    assert not analysis.improvement
    assert not analysis.answers


def test_the_answers_needed_are_read_off_the_means() -> None:
    rows = reward_rows({"uniform": 0, "duo": 0, "greedy": 0}, num_seeds=2, envs=["Hopper-v4"])
    heights = {
        "uniform": {50: 0.5, 100: 0.6, 200: 0.65, 400: 0.7},
        "duo": {50: 0.5, 100: 0.6, 200: 0.8, 400: 0.9},
        "greedy": {50: 0.5, 100: 0.5, 200: 0.6, 400: 0.69},
    }
    for row in rows:
        off = 0.05 if row["seed"] else -0.05
        row["accuracy"] = heights[row["strategy"]][row["budget"]] + off
    answers = answers_needed(study_of(rows, MODE_OF["reward"]), HOPPER)
    assert answers is not None
    assert answers.budget == 400
    assert answers.target == pytest.approx(0.7)
    assert answers.least == 50
    assert answers.needed == {"uniform": 400, "duo": pytest.approx(150), "greedy": None}


def test_one_budget_says_nothing_of_the_answers_needed() -> None:
    rows = reward_rows({"uniform": 0, "duo": 0.1}, budgets=(100,))
    assert answers_needed(study_of(rows, MODE_OF["reward"]), HOPPER) is None
    assert analysis_of(rl_rows({"uniform": 0, "duo": 0.1})).answers == {}


def test_answers_that_a_teacher_skipped_make_no_smaller_budget() -> None:
    rows = rl_rows({"uniform": 0, "duo": 0.1})
    for row in rows:
        row["budget"] -= row["seed"] if row["budget"] == 400 else 0
    assert analysis_of(rows).answers == {}


def test_all_strata_together_are_drawn_where_each_has_figures() -> None:
    rows = reward_rows({"uniform": 0}, envs=["Hopper-v4"], budgets=(50, 100, 200))
    rows += reward_rows({"uniform": 0}, envs=["Reacher-v4"], budgets=(100, 200))
    band = analysis_of(rows).by_strategy["uniform"]
    np.testing.assert_array_equal(band.x, [50, 100, 200])
    np.testing.assert_array_equal(np.isfinite(band.height.value), [False, True, True])


def test_figures_are_as_exact_as_their_interval_is_worth() -> None:
    assert digits_of([estimate(0.5, 0.4, 0.6)]) == 2
    assert digits_of([estimate(0.5, 0.4, 0.6), estimate(500, 400, 600)]) == 0
    assert digits_of([estimate(0.5)]) is None
    assert plain_number(0.12345, 2) == "0.12"
    assert plain_number(-0.001, 2) == "0.00"
    assert [plain_number(v) for v in (0, 0.08431, 12.34, 12_345)] == [
        "0",
        "0.0843",
        "12.3",
        "12,345",
    ]
    assert interval_text(estimate(0.5, -0.1, 0.6), 1) == "\u22120.1 to 0.6"
