"""Everything a reward model says is a view of one function, whatever the model is made of."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prefrl.rewards import EnhancedRewardModel
from tests.rewards.small_model import make_model, rows

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}

SHAPES = st.fixed_dictionaries(
    {
        "num_reward_heads": st.integers(1, 4),
        "num_layers": st.integers(1, 3),
        "hidden_dim": st.sampled_from([4, 8]),
        "num_objectives": st.integers(1, 3),
        "shared_trunk": st.booleans(),
        "head_layer_norm": st.booleans(),
        "linear_part": st.booleans(),
        "segment_length": st.sampled_from([1, 7]),
    }
)
LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def model_of(shape: dict[str, Any], alpha: float, seed: int) -> EnhancedRewardModel:
    """A model whose bank holds eight segments and draws rewards by `alpha`."""
    model = make_model(seed, bank_size=8, bank_neighbours=2, observation_dim=3, **shape)
    segments = rows(8, 3, seed=5)
    with torch.no_grad():
        model.segment_spread.fill_(0.4)
        model.bank.add(
            model.embed(segments),
            torch.linspace(-2.0, 2.0, 8),
            keys=torch.arange(8),
            version=0,
            generator=torch.Generator().manual_seed(0),
        )
    model.bank_alpha.fill_(alpha)
    return model


def padded(lengths: list[int], filler: float) -> tuple[Tensor, Tensor]:
    """(S, T, D) segments of some lengths, with whatever behind their ends, and their mask."""
    steps = max(lengths) + 1
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    return rows(len(lengths), steps).masked_fill(~mask[..., None], filler), mask


@given(
    shape=SHAPES,
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
    lengths=LENGTHS,
    filler=st.sampled_from([0.0, 7.0, float("nan")]),
    is_weighted=st.booleans(),
    seed=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
@torch.no_grad()
def test_scores_rewards_and_the_frozen_reward_agree(
    shape, alpha, lengths, filler, is_weighted, seed
):
    model = model_of(shape, alpha, seed)
    weights = [0.5, -1.0, 2.0][: shape["num_objectives"]] if is_weighted else None
    segments, mask = padded(lengths, filler)
    outputs = model(segments, mask, weights)

    # Each objective's score is the sum of its rewards, in nats.
    heads = shape["num_reward_heads"]
    nats = model.segment_scores(segments, mask)
    by_objective = torch.stack(
        [
            model(segments, mask, one)["raw_rewards"].sum(1)
            for one in torch.eye(shape["num_objectives"]).tolist()
        ],
        dim=-1,
    )  # (S, K, M)
    std, mean = (
        tensor.view(heads, shape["num_objectives"])
        for tensor in (model.reward_std, model.reward_mean)
    )
    num_steps = torch.tensor(lengths)[:, None, None]
    torch.testing.assert_close(nats, by_objective * std + num_steps * mean, **CLOSE)

    # What queries see is that, combined; a segment beside itself is preferred half of the time.
    p_left = model.preference_probability(
        segments.numpy(), segments.numpy(), attention_mask=mask.numpy()
    )
    np.testing.assert_array_equal(p_left, 0.5)
    scored = model.score(segments.numpy(), weights, attention_mask=mask.numpy())
    combined = nats @ model.objective_weights(weights)
    np.testing.assert_allclose(scored, combined, **CLOSE)

    # What agents are given is the mean over heads, step by step.
    steps = segments[mask].numpy()
    reward = model.reward_function(weights)
    rewards, uncertainty = reward.with_uncertainty(steps[:, :3], steps[:, 3:])
    np.testing.assert_allclose(rewards, outputs["rewards"][mask][:, 0], **CLOSE)
    np.testing.assert_allclose(uncertainty, outputs["uncertainty"][mask][:, 0], **CLOSE)
    assert bool((outputs["raw_rewards"][~mask] == 0).all())

    # Embeddings are the mean features, and novelty is measured on features.
    features = (outputs["features"] * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    torch.testing.assert_close(model.embed(segments, mask), features, **CLOSE)
    novelty = model.bank.novelty(outputs["features"][mask])
    np.testing.assert_allclose(reward.novelty(steps[:, :3], steps[:, 3:]), novelty, atol=1e-4)


@given(shape=SHAPES, lengths=LENGTHS, alpha=st.sampled_from([0.0, 0.5]))
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_padding_changes_nothing_whatever_it_holds(shape, lengths, alpha):
    model = model_of(shape, alpha, 0)
    segments, mask = padded(lengths, float("nan"))
    alone = [segment[None, :length] for segment, length in zip(segments, lengths, strict=True)]
    for together, apart in (
        (model.segment_scores(segments, mask), [model.segment_scores(one) for one in alone]),
        (model.embed(segments, mask), [model.embed(one) for one in alone]),
        (model.linear_inputs(segments, mask), [model.linear_inputs(one) for one in alone]),
    ):
        torch.testing.assert_close(together, torch.cat(apart), **CLOSE)
    if not shape["shared_trunk"] and model.can_score_apart:
        own = segments[:, None].expand(-1, shape["num_reward_heads"], -1, -1)
        own_mask = mask[:, None].expand(-1, shape["num_reward_heads"], -1)
        scores = model.head_scores(own, own_mask)
        torch.testing.assert_close(scores, model.segment_scores(segments, mask), **CLOSE)


@torch.no_grad()
def test_a_mask_of_ones_gives_what_no_mask_gives():
    model, segments = make_model(num_objectives=2), rows(4, 6)
    torch.testing.assert_close(
        model.segment_scores(segments, torch.ones(4, 6)), model.segment_scores(segments)
    )


@torch.no_grad()
def test_the_bank_draws_scores_as_it_draws_rewards():
    plain, pulled = model_of({}, 0.0, 0), model_of({}, 0.5, 0)
    segments = rows(6, 4)
    moved = pulled.segment_scores(segments) - plain.segment_scores(segments)
    by_step = (pulled(segments)["rewards"] - plain(segments)["rewards"]).sum(1)
    torch.testing.assert_close(moved[..., 0], by_step * plain.reward_std, **CLOSE)
    assert moved.abs().min() > 0
