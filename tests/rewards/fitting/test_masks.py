"""Segments may be shorter than T: what stands behind their ends changes nothing."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards.fitting.answers import AnswerTensors, stride_of, thinned
from prefrl.segments import SegmentBatch
from tests import linear_task
from tests.rewards.small_model import assert_same, weights_of
from tests.rewards.small_trainer import make_trainer

STEPS = 30


def segments_of(lengths: list[int], *, filler: float, seed: int) -> SegmentBatch:
    rng, num = np.random.default_rng(seed), len(lengths)
    length = np.array(lengths)
    is_real = (np.arange(STEPS) < length[:, None])[..., None]

    def numbers(dims: int) -> Any:
        drawn = rng.standard_normal((num, STEPS, dims)).astype(np.float32)
        return np.where(is_real, drawn, np.float32(filler))

    observations, actions = (
        numbers(dims)
        for dims in (
            linear_task.OBSERVATION_DIM,
            linear_task.INPUT_DIM - linear_task.OBSERVATION_DIM,
        )
    )
    return SegmentBatch(
        observations=observations,
        actions=actions,
        true_rewards=np.where(is_real, observations, 0).sum(-1, dtype=np.float32),
        sim_states=np.zeros((num, STEPS, 0)),
        episode=np.arange(num),
        start=np.zeros(num, np.int64),
        length=length,
    )


def answers_of(lengths: list[int]) -> AnswerTensors:
    comparisons = dataset_of(lengths).split()[0]
    return AnswerTensors.of(comparisons, torch.ones(len(lengths), 3), torch.device("cpu"))


def dataset_of(lengths: list[int], *, filler: float = 0.0) -> PreferenceDataset:
    dataset = PreferenceDataset(validation_fraction=0.3)
    left, right = (segments_of(lengths, filler=filler, seed=seed) for seed in (0, 1))
    p_left = (left.true_returns > right.true_returns).astype(np.float64)
    dataset.add(left, right, p_left, session=0, rng=np.random.default_rng(0))
    return dataset


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"shared_trunk": False, "bootstrap": True, "contradictions": "drop"},
        {"linear_part": True, "contrastive": 0.1, "bank_alpha": 0.5, "calibration": 0.1},
        {"recipe": "plain", "scale_by_segment": True, "interval_coverage": 0.5},
    ],
)
@pytest.mark.filterwarnings("ignore:.*held-out answers are too few")
@settings(max_examples=4, deadline=None)
@given(lengths=st.lists(st.integers(1, STEPS), min_size=8, max_size=14))
def test_a_fit_is_the_same_whatever_padding_holds(config, lengths):
    fitted = []
    for filler in (0.0, float("nan")):
        trainer = make_trainer(max_updates=4, **config)
        dataset = dataset_of(lengths, filler=filler)
        metrics = [trainer.fit(dataset, session=session) for session in range(2)]
        scores = trainer.score_segments(dataset.left[0])
        embedded = trainer.embed_segments(dataset.left[0])
        fitted.append((metrics, weights_of(trainer.model), scores, embedded))
    for metrics, weights, scores, embedded in fitted[1:]:
        np.testing.assert_equal(metrics, fitted[0][0])
        assert_same(weights, fitted[0][1])
        np.testing.assert_array_equal(scores, fitted[0][2])
        np.testing.assert_array_equal(embedded, fitted[0][3])
        assert np.isfinite(scores).all()
        assert np.isfinite(embedded).all()


def test_where_all_segments_have_all_their_steps_there_is_no_mask():
    answers = AnswerTensors.of(
        dataset_of([STEPS] * 3).split()[0], torch.ones(3, 3), torch.device("cpu")
    )
    assert answers.mask is None
    assert answers.pair_mask is None
    assert answers.steps().shape == (6 * STEPS, linear_task.INPUT_DIM)


def test_steps_and_segments_without_their_padding():
    answers = AnswerTensors.of(
        dataset_of([2, 5, STEPS]).split()[0], torch.ones(3, 3), torch.device("cpu")
    )
    assert len(answers.steps()) == 2 * (2 + 5 + STEPS)
    segments, mask = answers.segments()
    assert mask is not None
    assert mask.sum(1).tolist() == [2, 2, 5, 5, STEPS, STEPS]
    assert bool((segments[~mask] == 0).all())
    some = answers.at([1])
    assert some.mask is not None
    assert some.mask.sum(1).tolist() == [5]


def test_a_gradient_step_looks_at_so_few_steps_that_the_shortest_segment_has_twelve():
    answers = answers_of([STEPS, 24, 29])
    config = make_trainer(step_stride=4).config
    assert stride_of(config, answers) == 2
    some, share = thinned(answers, 2, np.random.default_rng(0))
    assert isinstance(share, torch.Tensor)
    assert some.mask is not None
    kept = some.mask.sum(1)
    assert kept.min() >= 12
    torch.testing.assert_close(share[:, 0], kept / torch.tensor([30, 24, 29]))
    short = dataclasses.replace(answers, mask=torch.arange(STEPS) < torch.tensor([[9], [30], [30]]))
    assert stride_of(config, short) == 1


def test_what_a_fit_learns_of_short_segments_holds_for_long_ones():
    rng = np.random.default_rng(0)
    trainer = make_trainer(max_updates=120)
    trainer.fit(dataset_of(rng.integers(3, STEPS + 1, 200).tolist()), session=0)
    new = segments_of([STEPS] * 100, filler=0.0, seed=5)
    scores = trainer.score_segments(new).mean(1)
    assert np.corrcoef(scores, new.true_returns)[0, 1] > 0.9
