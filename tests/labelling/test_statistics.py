import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from prefrl.errors import DataError
from prefrl.labelling.statistics import (
    SWAPPED,
    AnnotatorStatistics,
    LabellingStatistics,
    Share,
    cohens_kappa,
    labelling_statistics,
    wilson,
)

NOTHING = Share(None, None, None, 0)


@dataclass(frozen=True)
class Row:
    question: int
    annotator: str
    said: str
    response_time_s: float | None = None
    answered_s: float | None = 0.0
    is_repeat_of: int | None = None


SAID = st.sampled_from(["left", "right", "tie", "skip"])
ROWS = st.lists(
    st.builds(
        Row,
        question=st.integers(0, 30),
        annotator=st.sampled_from(["ann", "ben", "cy"]),
        said=SAID,
        response_time_s=st.none() | st.floats(0, 300),
        answered_s=st.none() | st.floats(0, 1e5),
        is_repeat_of=st.none() | st.integers(0, 30),
    ),
    unique_by=lambda row: (row.question, row.annotator),
)


def of(said: Iterable[str], annotator: str = "ann") -> list[Row]:
    """Makes rows of new questions 0, 1, 2, ..."""
    return [Row(question, annotator, one) for question, one in enumerate(said)]


def twice(*pairs: tuple[str, str]) -> list[Row]:
    """Makes rows of questions that were answered and repeated, sides swapped."""
    first = [Row(number, "ann", one) for number, (one, _) in enumerate(pairs)]
    again = [
        Row(100 + number, "ann", one, is_repeat_of=number) for number, (_, one) in enumerate(pairs)
    ]
    return first + again


def ann(rows: Iterable[Row], p_left: dict[int, float] | None = None) -> AnnotatorStatistics:
    (found,) = labelling_statistics(rows, p_left=p_left).annotators
    return found


def test_of_nothing_nothing_is_said() -> None:
    assert labelling_statistics([]) == LabellingStatistics((), (), NOTHING, None, NOTHING)


def test_wilsons_interval_is_the_one_computed_by_hand() -> None:
    # 8 of 10, z = 1.95996: centre (0.8 + z^2 / 20) / (1 + z^2 / 10), and so on.
    found = wilson(8, 10)
    assert (found.share, found.num) == (0.8, 10)
    assert found.low == pytest.approx(0.49016, abs=1e-5)
    assert found.high == pytest.approx(0.94332, abs=1e-5)


@given(st.integers(1, 500), st.data())
def test_wilsons_interval_is_scipys_and_holds_the_share(of: int, data: st.DataObject) -> None:
    num = data.draw(st.integers(0, of))
    found, exact = wilson(num, of), binomtest(num, of).proportion_ci(method="wilson")
    assert found.low is not None
    assert found.share is not None
    assert found.high is not None
    assert [found.low, found.high] == pytest.approx([exact.low, exact.high])
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert found.low < found.high


def test_more_than_there_are_have_nothing() -> None:
    with pytest.raises(DataError, match="num is 3, of 2; expected 0 to 2"):
        wilson(3, 2)


def test_kappa_is_the_one_computed_by_hand() -> None:
    # Ten questions. They agree on 4 left, 2 right, 1 tie; ben says right to 2 that are left to ann,
    # left to 1 that is a tie to her. Ann: 6, 2, 2 of left, right, tie; ben: 5, 4, 1.
    # Chance: (6 * 5 + 2 * 4 + 2 * 1) / 100 = 0.4; kappa = (0.7 - 0.4) / 0.6.
    said = [("left", "left")] * 4 + [("right", "right")] * 2 + [("tie", "tie")]
    said += [("left", "right")] * 2 + [("tie", "left")]
    assert cohens_kappa(said) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("said", "kappa"),
    [
        ([], None),
        ([("left", "left")] * 3, None),  # chance alone makes them agree
        ([("left", "left"), ("right", "right")], 1.0),
        ([("left", "right"), ("right", "left")], -1.0),
        ([("left", "left"), ("left", "right"), ("right", "left"), ("right", "right")], 0.0),
        ([("left", "right")], 0.0),
    ],
)
def test_kappas_limits(said: list[tuple[str, str]], kappa: float | None) -> None:
    assert cohens_kappa(said) == kappa


@given(st.lists(st.tuples(SAID, SAID), min_size=1))
def test_kappa_is_at_most_one_whoever_comes_first_and_whichever_side_is_left(
    said: list[tuple[str, str]],
) -> None:
    kappa = cohens_kappa(said)
    turned = cohens_kappa([(other, one) for one, other in said])
    swapped = cohens_kappa([(SWAPPED[one], SWAPPED[other]) for one, other in said])
    if kappa is None:
        assert turned is swapped is None
    else:
        assert -1 <= kappa <= 1
        assert [turned, swapped] == pytest.approx([kappa, kappa])


def test_ties_are_answers_and_skips_are_none() -> None:
    found = ann(of(["left", "right", "left", "tie", "skip"]))
    assert (found.num_answers, found.num_ties, found.num_skips, found.num_repeats) == (4, 1, 1, 0)
    assert found.left_share == wilson(2, 3)


def test_a_repeat_agrees_where_the_other_side_is_named() -> None:
    rows = twice(("left", "right"), ("right", "left"), ("tie", "tie"), ("left", "left"))
    found = ann(rows)
    assert found.num_answers == found.num_repeats == 4
    assert found.self_agreement == wilson(3, 4)
    assert found.self_agreement_decisive == wilson(2, 3)


def test_a_tie_and_a_side_disagree_and_a_skip_does_not_count() -> None:
    found = ann(twice(("left", "tie"), ("tie", "right"), ("skip", "left"), ("left", "skip")))
    assert found.self_agreement == wilson(0, 2)
    assert found.self_agreement_decisive == NOTHING


def test_a_repeat_of_what_was_taken_back_or_of_somebody_elses_answer_says_nothing() -> None:
    rows = [Row(0, "ben", "left"), Row(1, "ann", "right", is_repeat_of=0)]
    found = labelling_statistics(rows).annotators[0]
    assert (found.annotator, found.num_repeats) == ("ann", 1)
    assert found.self_agreement == NOTHING


def test_who_always_says_left_leans_to_it_by_repeats_too() -> None:
    found = ann(twice(*[("left", "left")] * 5, ("right", "right"), ("left", "right")))
    assert found.left_share_of_same_side == wilson(5, 6)
    assert found.left_share == wilson(6, 7)


@given(st.lists(st.tuples(SAID, SAID), max_size=20))
def test_repeats_in_which_first_and_second_change_places_say_the_same(
    pairs: list[tuple[str, str]],
) -> None:
    one, other = ann_or_none(pairs), ann_or_none([(again, first) for first, again in pairs])
    assert one == other


def ann_or_none(pairs: list[tuple[str, str]]) -> tuple[Share, ...]:
    """Returns what repeats say."""
    if not pairs:
        return ()
    found = ann(twice(*pairs))
    return found.self_agreement, found.self_agreement_decisive, found.left_share_of_same_side


def test_pace_leaves_pauses_out() -> None:
    # 3 s, then gaps of 4 and 5 s; an hour's pause; 6 s again and a skip that takes 2 s.
    times = [(1000.0, 3.0), (1004.0, 3.5), (1009.0, 2.5), (5000.0, 6.0)]
    rows = [Row(number, "ann", "left", took_s, at_s) for number, (at_s, took_s) in enumerate(times)]
    rows.append(Row(9, "ann", "skip", 2.0, 5002.0))
    found = ann(rows)
    assert found.active_s == 3 + 4 + 5 + 6 + 2
    assert found.answers_per_hour == pytest.approx(3600 * 4 / 20)
    assert found.median_response_time_s == 3.25  # of 2.5, 3, 3.5, 6: skips are apart


def test_when_an_answer_was_given_need_not_be_known() -> None:
    rows = [Row(0, "ann", "left", 3.0, 10.0), Row(1, "ann", "left", 5.0, None)]
    assert (ann(rows).active_s, ann(rows).median_response_time_s) == (3.0, 4.0)


def test_a_share_of_votes_is_nobodys_answer() -> None:
    assert labelling_statistics([Row(0, "crowd", "")]) == labelling_statistics([])


def test_an_answer_of_which_no_time_is_known_does_not_make_the_pace_faster() -> None:
    rows = [Row(0, "ann", "left", None, 10.0), Row(1, "ann", "left", None, 14.0)]
    found = ann(rows)
    assert (found.active_s, found.answers_per_hour) == (4.0, 900.0)
    assert found.median_response_time_s is None
    alone = ann([replace(rows[0], response_time_s=math.nan)])
    assert (alone.active_s, alone.answers_per_hour) == (0.0, None)


def test_an_answer_after_a_pause_takes_two_minutes_at_most() -> None:
    assert ann([Row(0, "ann", "left", 9_000.0, 10_000.0)]).active_s == 120.0


def test_a_prediction_counts_for_new_decisive_answers() -> None:
    rows = [*of(["left", "right", "left", "tie", "skip", "left"])]
    rows += [Row(50, "ann", "right", is_repeat_of=0)]
    p_left = {0: 0.9, 1: 0.7, 2: 0.5, 3: 0.9, 4: 0.9, 50: 0.1}
    found = labelling_statistics(rows, p_left=p_left)
    assert found.model_agreement == found.annotators[0].model_agreement == wilson(1, 2)


def test_a_prediction_that_is_no_probability_is_refused() -> None:
    for p in (math.nan, 1.5):
        with pytest.raises(DataError, match=f"p_left of question 3 is {p}; expected 0 to 1"):
            labelling_statistics([], p_left={3: p})


def test_annotators_agree_where_questions_overlap() -> None:
    rows = of(["left", "left", "right", "skip", "tie"], "ann")
    rows += of(["left", "right", "right", "left"], "ben")
    rows += [Row(2, "cy", "right"), Row(77, "cy", "left", is_repeat_of=0)]
    found = labelling_statistics(rows)
    ab, ac, bc = found.pairs
    assert (ab.annotators, ac.annotators, bc.annotators) == (
        ("ann", "ben"),
        ("ann", "cy"),
        ("ben", "cy"),
    )
    # Questions 0 to 2; chance (2 * 1 + 1 * 2) / 9, kappa (2/3 - 4/9) / (5/9).
    assert (ab.agreement, ab.num_skipped) == (wilson(2, 3), 1)
    assert ab.kappa == pytest.approx(0.4)
    assert (ac.agreement, ac.kappa) == (wilson(1, 1), None)
    # Pooled: chance (4/9 * 3 + 1 + 1) / 5 = 2/3, agreement 4/5.
    assert found.agreement == wilson(4, 5)
    assert found.kappa == pytest.approx((4 / 5 - 2 / 3) / (1 / 3))


def test_a_pair_that_shares_skips_only_has_no_kappa() -> None:
    found = labelling_statistics([Row(0, "ann", "skip"), Row(0, "ben", "left")])
    (pair,) = found.pairs
    assert (pair.agreement, pair.kappa, pair.num_skipped) == (NOTHING, None, 1)
    assert (found.agreement, found.kappa) == (NOTHING, None)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_all_of_it_is_json(
    rows: list[Row], shuffler: Any
) -> None:
    found = labelling_statistics(rows)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    again = labelling_statistics(shuffled)
    times = [row.answered_s for row in rows if row.answered_s is not None]
    if len(set(times)) == len(times):  # else which was first is not known
        assert again == found
    # The strict way, in which NaN is refused.
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["kappa"] == found.kappa
    for one in found.annotators:
        mine = [row for row in rows if row.annotator == one.annotator]
        assert one.num_answers + one.num_skips + one.num_repeats == len(mine)
        assert 0 <= one.active_s <= 120 * len(mine)
        assert one.left_share.num == one.num_answers - one.num_ties


def test_an_answer_that_there_is_not_is_refused() -> None:
    with pytest.raises(DataError, match="ann said 'both' of question 0; expected left, right, tie"):
        labelling_statistics(of(["both"]))


def test_a_question_answered_twice_by_one_is_refused() -> None:
    with pytest.raises(DataError, match="ann answers question 0 twice"):
        labelling_statistics(of(["left"]) + of(["right"]))
