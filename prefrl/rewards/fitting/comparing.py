"""Score differences of compared segments, and the loss that a fit minimises.

Axes: B answers, S segments, T steps, D input dims, K heads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prefrl.config import ResolvedReward
from prefrl.rewards.fitting.answers import AnswerTensors, stride_of, thinned
from prefrl.rewards.fitting.losses import (
    bradley_terry_nll,
    calibration_penalty,
    contrastive_loss,
    diversity_penalty,
)
from prefrl.rewards.model.network import RewardNetwork

# Bank entries that a gradient step contrasts its segments with.
NUM_CONTRASTED = 64


@dataclass(frozen=True)
class FittingLoss:
    """The settings of the loss that a fit minimises.

    Args:
        config: weights of its parts.
        error_rate: share of answers taken for random ones.
        l2: precision of the weights' prior, in answers; 1 / l2 is a weight's prior variance.
        contrast: draws (S, T, D) segments from the bank, with their mask; None where nothing is
            contrasted.
        anchors: where the prior draws the `regularised` weights to; none of them means to zero.
    """

    config: ResolvedReward
    error_rate: float
    l2: float
    contrast: Callable[[np.random.Generator], tuple[Tensor, Tensor | None]] | None = None
    anchors: tuple[Tensor, ...] = ()


def comparison_logits(
    model: RewardNetwork,
    pairs: Tensor,
    objective: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Computes (B, K) left score minus right score, in nats.

    The score is the *sum* of rewards over a segment, as in Christiano et al. 2017, eq. 1.

    Args:
        model: the ensemble.
        pairs: (B, 2, T, D) left and right segments.
        objective: (B,) which objective each is compared by; None combines them in equal shares.
        mask: (B, T) False at the padding of both segments; None: there is none.
    """
    pair_mask = None if mask is None else mask[:, None].expand(-1, 2, -1)
    scores = model.segment_scores(pairs, pair_mask)  # (B, 2, K, M)
    logits = scores[:, 0] - scores[:, 1]
    if model.config.num_objectives == 1:
        return logits[..., 0]
    if objective is None:
        return logits @ model.objective_weights()
    return logits.take_along_dim(objective[:, None, None], 2)[..., 0]


def answer_logits(model: RewardNetwork, answers: AnswerTensors) -> Tensor:
    """Returns the `comparison_logits` (B, K) of answers, each by the objective it is about."""
    return comparison_logits(model, answers.pairs, answers.objective, answers.mask)


def seen_logits(model: RewardNetwork, answers: AnswerTensors) -> Tensor:
    """Computes `answer_logits` for members that each see a sample: the rest is left out.

    Args:
        model: an ensemble that `can_score_apart`.
        answers: their weights say what each member sees.

    Returns:
        (B, K) logits; where a weight is 0 they are computed or 0.
    """
    is_hidden = answers.weights == 0
    num = max(1, int((~is_hidden).sum(0).max()))
    # (n, K) rows of each head: those it sees, then others up to the number that all have.
    rows = is_hidden.byte().argsort(dim=0, stable=True)[:num]
    own = answers.pairs[rows].transpose(1, 2).flatten(0, 1)  # (2 n, K, T, D)
    mask = None
    if answers.mask is not None:
        mask = answers.mask[rows].repeat_interleave(2, dim=0)  # (2 n, K, T)
    scores = model.head_scores(own, mask).unflatten(0, (num, 2))  # (n, 2, K, M)
    logits = scores[:, 0] - scores[:, 1]
    logits = logits.take_along_dim(answers.objective[rows][..., None], 2)[..., 0]
    return torch.zeros_like(answers.weights).scatter(0, rows, logits)


def loss_of(
    model: RewardNetwork,
    answers: AnswerTensors,
    rows: list[int],
    loss: FittingLoss,
    rng: np.random.Generator,
) -> Tensor:
    """Sums L_preference + lambda L_diversity + gamma L_calibration + mu L_contrastive over heads.

    The first is the mean NLL of each head; the prior on the weights is added by `descend`.
    """
    config = loss.config
    some, share = thinned(answers, stride_of(config, answers), rng)
    seen = some.at(rows)
    # These two take all heads together, so every head must say something of every answer.
    if model.can_score_apart and not (config.diversity or config.calibration):
        logits = seen_logits(model, seen)
    else:
        logits = answer_logits(model, seen)
    logits = logits / (share[rows] if isinstance(share, Tensor) else share)
    total = bradley_terry_nll(logits, seen.p_left, seen.weights, loss.error_rate).sum()
    if config.diversity:
        total = total + config.diversity * diversity_penalty(logits)
    is_seen = (seen.weights > 0).any(1)  # an answer hidden from all heads says nothing here either
    if config.calibration and bool(is_seen.any()):
        penalty = calibration_penalty(logits[is_seen], seen.p_left[is_seen])
        total = total + config.calibration * penalty
    if config.contrastive and loss.contrast is not None:
        total = total + config.contrastive * _contrast(model, seen.segments(), loss.contrast(rng))
    return total


def _contrast(
    model: RewardNetwork,
    segments: tuple[Tensor, Tensor | None],
    entries: tuple[Tensor, Tensor | None],
) -> Tensor:
    """Contrasts segments with entries of the bank, by their rewards a step."""
    with torch.no_grad():
        values, entry_values = (
            # A step, as segments may have been thinned.
            model.segment_scores(batch, mask).flatten(1).mean(1)
            / (batch.shape[1] if mask is None else mask.sum(1))
            for batch, mask in (segments, entries)
        )
    return contrastive_loss(model.embed(*segments), values, model.embed(*entries), entry_values)
