import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import Comparisons
from prefrl.rewards import EnhancedRewardModel
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import FittingLoss
from prefrl.rewards.fitting.crossfit import (
    NUM_FOLDS,
    connected_groups,
    cross_fit,
    folds_of,
    score_std,
)
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of

PAIRS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20)


def numbered(pairs: list[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def is_same_group(groups: NDArray[np.int64]) -> list[list[bool]]:
    """Returns the comparisons that are together, whatever their group is called."""
    together: list[list[bool]] = (groups[:, None] == groups[None, :]).tolist()
    return together


def union_find(pairs: list[tuple[int, int]]) -> NDArray[np.int64]:
    """The textbook way to the groups."""
    parent = list(range(16))

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for left, right in pairs:
        parent[root(left)] = root(right)
    return np.array([root(left) for left, _ in pairs], dtype=np.int64)


class TestConnectedGroups:
    def test_a_chain_is_one_group_in_whatever_order_its_links_come(self):
        links = [(5, 1), (3, 4), (0, 3), (1, 4), (2, 5)]
        assert len(set(connected_groups(numbered(links)).tolist())) == 1

    def test_a_long_chain_is_one_group(self):
        order = np.random.default_rng(0).permutation(200)
        chain = np.stack([order[:-1], order[1:]], axis=1)
        assert len(set(connected_groups(chain).tolist())) == 1

    def test_separate_pairs_are_groups_of_their_own(self):
        assert connected_groups(numbered([(0, 1), (5, 2), (3, 4)])).tolist() == [0, 2, 3]

    def test_a_web_is_one_group_and_a_pair_beside_it_another(self):
        groups = connected_groups(numbered([(0, 1), (1, 2), (2, 0), (7, 8), (2, 3)]))
        assert groups.tolist() == [0, 0, 0, 7, 0]

    def test_no_comparisons_have_no_groups(self):
        assert connected_groups(numbered([])).tolist() == []

    @given(pairs=PAIRS)
    def test_it_agrees_with_union_find(self, pairs):
        assert is_same_group(connected_groups(numbered(pairs))) == is_same_group(union_find(pairs))


class TestFoldsOf:
    def test_separate_comparisons_are_spread_evenly(self):
        folds = folds_of(np.arange(44).reshape(22, 2), rng=np.random.default_rng(0))
        assert sorted(np.bincount(folds, minlength=NUM_FOLDS).tolist()) == [5, 5, 6, 6]

    @given(pairs=PAIRS, seed=st.integers(0, 100))
    def test_groups_stay_whole_where_there_are_enough_and_all_folds_are_used(self, pairs, seed):
        folds = folds_of(numbered(pairs), rng=np.random.default_rng(seed))
        assert folds.shape == (len(pairs),)
        groups = connected_groups(numbered(pairs))
        num_groups = len(set(groups.tolist()))
        if num_groups >= NUM_FOLDS:
            assert set(folds.tolist()) == set(range(NUM_FOLDS))
            assert len(set(zip(groups.tolist(), folds.tolist(), strict=True))) == num_groups
        else:
            assert len(set(folds.tolist())) == min(len(pairs), NUM_FOLDS)

    def test_one_web_is_split_into_single_comparisons(self):
        chain = np.stack([np.arange(13), np.arange(1, 14)], axis=1)
        folds = folds_of(chain, rng=np.random.default_rng(0))
        assert sorted(np.bincount(folds, minlength=NUM_FOLDS).tolist()) == [3, 3, 3, 4]

    def test_the_draw_decides_and_nothing_else(self):
        segments = np.arange(80).reshape(40, 2)
        first, again, other = (
            folds_of(segments, rng=np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other


def task(num: int, *, length: int = 5) -> tuple[EnhancedRewardModel, AnswerTensors, Comparisons]:
    """A small model that has seen nothing, and the oracle's answers on the linear task."""
    rng = np.random.default_rng(0)
    left, right = (linear_task.segments(num, rng=rng, length=length) for _ in range(2))
    answers = linear_task.oracle(left, right).astype(np.float32)
    comparisons = Comparisons(left.inputs(), right.inputs(), answers)
    model = EnhancedRewardModel(
        linear_task.INPUT_DIM, hidden_dim=16, num_layers=1, segment_length=length
    )
    both = np.concatenate([comparisons.left, comparisons.right])
    model.set_input_statistics(torch.from_numpy(both))
    return (
        model,
        AnswerTensors.of(comparisons, torch.ones(num, 3), torch.device("cpu")),
        comparisons,
    )


def predicted(
    model: EnhancedRewardModel,
    answers: AnswerTensors,
    segments: NDArray[np.int64],
    **settings: Any,
) -> NDArray[np.float64]:
    config = RewardConfig(**{"max_updates": 40, "batch_size": 16, **settings}).decided()
    return cross_fit(
        model,
        answers,
        segments,
        FittingLoss(config, error_rate=0.1, l2=1.0),
        rng=np.random.default_rng(1),
        generator=torch.Generator().manual_seed(2),
    ).logits


class TestScoreSpread:
    def test_it_is_the_standard_deviation_over_segments_by_hand(self):
        # 2 segments, 2 heads: one says -1 and 1, the other -7 and 7: sqrt((1 + 49) / 2).
        scores = torch.tensor([[-1.0, -7.0], [1.0, 7.0]])
        assert score_std(scores) == pytest.approx(5.0)

    def test_a_constant_reward_for_being_there_does_not_count(self):
        scores = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        assert score_std(scores + 5.0) == pytest.approx(score_std(scores), rel=1e-5)


class TestCrossFit:
    # Clipping looks at the gradient as a whole: where it bites, it must not carry answers across.
    @pytest.mark.parametrize("max_grad_norm", [1.0, 0.01, float("inf")])
    def test_an_answer_never_influences_its_own_prediction_but_does_those_of_others(
        self, max_grad_norm
    ):
        model, answers, comparisons = task(24)
        segments = comparisons.segment_numbers()
        settings = {"max_grad_norm": max_grad_norm, "max_updates": 10}
        before = predicted(model, answers, segments, **settings)
        folds = folds_of(segments, rng=np.random.default_rng(1))
        for row in (0, 23):
            p_left = answers.p_left.clone()
            p_left[row] = 1 - p_left[row]
            other = dataclasses.replace(answers, p_left=p_left)
            after = predicted(model, other, segments, **settings)
            has_moved = after != before
            assert not has_moved[folds == folds[row]].any()
            assert has_moved[folds != folds[row]].all()

    def test_an_answer_says_nothing_of_others_about_the_same_segment(self):
        model, answers, comparisons = task(24)
        segments = comparisons.segment_numbers()
        segments[9] = segments[3]  # the two are in one group, and so in one fold
        before = predicted(model, answers, segments)
        p_left = answers.p_left.clone()
        p_left[3] = 1 - p_left[3]
        after = predicted(model, dataclasses.replace(answers, p_left=p_left), segments)
        assert after[9] == before[9]

    def test_a_linear_reward_is_predicted(self):
        model, answers, comparisons = task(120)
        logits = predicted(model, answers, comparisons.segment_numbers(), max_updates=80)
        assert logits.dtype == np.float64
        assert ((logits > 0) == (comparisons.p_left > 0.5)).mean() > 0.75

    def test_random_answers_are_not_predicted(self):
        model, answers, comparisons = task(120)
        coins = torch.from_numpy(np.random.default_rng(3).integers(0, 2, 120).astype(np.float32))
        guessed = dataclasses.replace(answers, p_left=coins)
        logits = predicted(model, guessed, comparisons.segment_numbers(), max_updates=80)
        assert ((logits > 0) == (coins.numpy() > 0.5)).mean() < 0.65

    def test_long_segments_are_predicted_from_some_of_their_steps(self):
        model, answers, comparisons = task(60, length=30)
        logits = predicted(model, answers, comparisons.segment_numbers())
        assert ((logits > 0) == (comparisons.p_left > 0.5)).mean() > 0.65

    def test_it_repeats_and_leaves_the_model_and_the_answers_as_they_were(self):
        model, answers, comparisons = task(20)
        before, pairs = weights_of(model), answers.pairs.clone()
        p_left, weights = answers.p_left.clone(), answers.weights.clone()
        first = predicted(model, answers, comparisons.segment_numbers())
        again = predicted(model, answers, comparisons.segment_numbers())
        np.testing.assert_array_equal(first, again)
        assert_same(before, weights_of(model))
        assert not model.training
        for old, new in zip(
            (pairs, p_left, weights), (answers.pairs, answers.p_left, answers.weights), strict=True
        ):
            assert torch.equal(old, new)

    def test_the_weights_of_the_answers_and_the_extra_penalties_do_not_matter(self):
        model, answers, comparisons = task(20)
        segments = comparisons.segment_numbers()
        hidden = dataclasses.replace(answers, weights=torch.zeros(20, 3))
        np.testing.assert_array_equal(
            predicted(model, hidden, segments, diversity=1.0, calibration=1.0, contrastive=1.0),
            predicted(model, answers, segments),
        )

    @pytest.mark.parametrize("num", [1, 3])
    def test_fewer_answers_than_folds_give_finite_predictions(self, num):
        model, answers, comparisons = task(num)
        logits = predicted(model, answers, comparisons.segment_numbers())
        assert logits.shape == (num,)
        assert np.isfinite(logits).all()
