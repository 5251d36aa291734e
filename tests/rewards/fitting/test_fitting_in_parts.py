"""Gradient steps that leave something out, or take it in parts, differ by rounding alone."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.rewards import EnhancedRewardModel
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import FittingLoss, comparison_logits, loss_of, seen_logits
from prefrl.rewards.model import network as model_module
from tests.rewards.small_model import SHAPES, make_model, rows

INDEPENDENT = [shape for shape in SHAPES if not shape["shared_trunk"]]
WEIGHTS = {
    "a bootstrap sample": torch.tensor([[1.0, 0, 2], [0, 1, 1], [3, 0, 1], [0, 0, 1], [1, 1, 0]]),
    "all of them": torch.ones(5, 3),
    "one member sees none": torch.tensor([[1.0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]]),
    "none of them": torch.zeros(5, 3),
}


def gradients(model: EnhancedRewardModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_close(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, gradient in left.items():
        torch.testing.assert_close(gradient, right[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("num_objectives", [1, 2])
@pytest.mark.parametrize("settings", INDEPENDENT)
def test_members_are_asked_for_what_they_see_and_learn_the_same(settings, num_objectives, weights):
    model = make_model(num_objectives=num_objectives, **settings)
    pairs, asked = rows(5, 2, 4), torch.tensor([0, 1, 0, 1, 0]) % num_objectives
    everything = comparison_logits(model, pairs, asked)
    seen = seen_logits(model, AnswerTensors(pairs, torch.ones(5), asked, weights))
    is_seen = weights > 0
    torch.testing.assert_close(seen[is_seen], everything[is_seen])
    assert seen.isfinite().all()
    assert_close(
        gradients(model, (seen * weights).square().sum()),
        gradients(model, (everything * weights).square().sum()),
    )


@pytest.mark.parametrize("settings", SHAPES)
def test_the_loss_is_the_same_whether_or_not_unseen_answers_are_left_out(settings, monkeypatch):
    model = make_model(**settings)
    p_left = torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0])
    asked = torch.zeros(5, dtype=torch.int64)
    answers = AnswerTensors(rows(5, 2, 4), p_left, asked, WEIGHTS["a bootstrap sample"])
    objective = FittingLoss(RewardConfig(recipe="plain").decided(), error_rate=0.1, l2=0.0)
    order = [4, 2, 0, 1]
    apart = loss_of(model, answers, order, objective, np.random.default_rng(0))
    with_apart = gradients(model, apart)
    monkeypatch.setattr(EnhancedRewardModel, "can_score_apart", False)
    whole = loss_of(model, answers, order, objective, np.random.default_rng(0))
    torch.testing.assert_close(apart, whole)
    assert_close(with_apart, gradients(model, whole))


def test_penalties_that_ask_every_member_are_given_every_logit():
    model = make_model(**INDEPENDENT[0])
    asked = torch.zeros(5, dtype=torch.int64)
    answers = AnswerTensors(rows(5, 2, 4), torch.ones(5), asked, WEIGHTS["a bootstrap sample"])
    config = RewardConfig(recipe="plain", diversity=0.5).decided()
    order = [0, 1, 2, 3, 4]
    draws = np.random.default_rng(0)
    penalised = loss_of(model, answers, order, FittingLoss(config, 0.0, 0.0), draws)
    plain = dataclasses.replace(config, diversity=0.0)
    nll = loss_of(model, answers, order, FittingLoss(plain, 0.0, 0.0), draws)
    p_left = torch.sigmoid(comparison_logits(model, answers.pairs, asked))
    expected = -0.5 * p_left.var(-1, correction=0).mean()
    torch.testing.assert_close(penalised - nll, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", SHAPES)
def test_segments_taken_a_few_at_a_time_score_as_all_of_them(settings, monkeypatch):
    model = make_model(**settings)
    segments = rows(7, 2, 4)
    whole = model.segment_scores(segments)
    monkeypatch.setattr(model_module, "CACHED_NUMBERS", 3 * 4 * 3 * 8)  # three segments
    in_parts = model.segment_scores(segments)
    assert in_parts.shape == (7, 2, 3, 1)
    torch.testing.assert_close(in_parts, whole)
    assert_close(gradients(model, in_parts.sum()), gradients(model, whole.sum()))


@pytest.mark.parametrize("num_objectives", [1, 2])
@pytest.mark.parametrize("settings", SHAPES)
def test_a_score_is_the_sum_of_the_rewards_of_the_steps(settings, num_objectives):
    model = make_model(num_objectives=num_objectives, **settings)
    segments = rows(6, 4)
    by_step = torch.stack([model.segment_scores(segments[:, [t]]) for t in range(4)])
    torch.testing.assert_close(model.segment_scores(segments), by_step.sum(0))
    combined = model.segment_scores(segments) @ model.objective_weights()
    torch.testing.assert_close(combined, model.head_rewards(segments).sum(1))


def test_dropout_draws_for_all_segments_at_once(monkeypatch):
    model = make_model(dropout=0.5).train()
    segments = rows(6, 4)

    def scores() -> Tensor:
        model.set_dropout_generator(torch.Generator().manual_seed(0))
        return model.segment_scores(segments)

    whole = scores()
    monkeypatch.setattr(model_module, "CACHED_NUMBERS", 1)
    assert torch.equal(scores(), whole)


def test_no_segments_have_no_scores():
    assert make_model().segment_scores(rows(0, 2, 4)).shape == (0, 2, 3, 1)
