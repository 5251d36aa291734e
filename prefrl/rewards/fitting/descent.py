"""Gradient descent of an ensemble on answers: the one loop that all fits share.

Axes: B answers, T steps, D input dims, K heads, F folds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import Comparisons
from prefrl.rewards.fitting.losses import (
    bradley_terry_nll,
    calibration_penalty,
    contrastive_loss,
    diversity_penalty,
)
from prefrl.rewards.model.ensemble import EnhancedRewardModel

# Gradient steps between looks at the held-out loss.
CHECK_EVERY = 10
# Christiano et al. 2017, section 2.2.3, keep the held-out loss this many times the training loss.
LOSS_RATIOS = (1.1, 1.5)
_L2_STEP, _L2_RANGE = 1.3, 100.0
# Bank entries that a gradient step contrasts its segments with.
NUM_CONTRASTED = 64
# Steps of a segment that a gradient step looks at, at least: so few say little of jerky motions.
MIN_STEPS = 12


@dataclass(frozen=True)
class Answers:
    """Comparisons on the model's device.

    Args:
        pairs: (B, 2, T, D) left and right segments.
        p_left: (B,) answers.
        objective: (B,) which of the M objectives each is about.
        weights: (B, K) how much each counts for each head; 0 hides it.
    """

    pairs: Tensor
    p_left: Tensor
    objective: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.p_left)

    @staticmethod
    def of(comparisons: Comparisons, weights: Tensor, device: torch.device) -> "Answers":
        """Moves comparisons over."""
        pairs = np.stack([comparisons.left, comparisons.right], axis=1)
        return Answers(
            torch.from_numpy(pairs).to(device),
            torch.from_numpy(comparisons.p_left).to(device),
            torch.from_numpy(comparisons.objective).to(device),
            weights.to(device),
        )


@dataclass(frozen=True)
class Objective:
    """What a fit minimises besides the surprise at the answers.

    Args:
        config: the settings.
        error_rate: share of answers taken for random ones.
        l2: precision of the weights' prior, in answers; 1 / l2 is a weight's prior variance.
        contrast: draws (S, T, D) segments from the bank; None where nothing is contrasted.
        anchors: where the prior draws the `regularised` weights to; none of them means to zero.
    """

    config: RewardConfig
    error_rate: float
    l2: float
    contrast: Callable[[np.random.Generator], Tensor] | None = None
    anchors: tuple[Tensor, ...] = ()


def comparison_logits(
    model: EnhancedRewardModel, pairs: Tensor, objective: Tensor | None = None
) -> Tensor:
    """(B, 2, T, D) -> (B, K) left score minus right score, in nats.

    The score is the *sum* of rewards over a segment, as in Christiano et al. 2017, eq. 1.

    Args:
        model: the ensemble.
        pairs: left and right segments.
        objective: (B,) which objective each is compared by; None combines them in equal shares.
    """
    scores = model.segment_scores(pairs)  # (B, 2, K, M)
    logits = scores[:, 0] - scores[:, 1]
    if model.config.num_objectives == 1:
        return logits[..., 0]
    if objective is None:
        return logits @ model.objective_weights()
    return logits.take_along_dim(objective[:, None, None], 2)[..., 0]


def seen_logits(
    model: EnhancedRewardModel, pairs: Tensor, objective: Tensor, weights: Tensor
) -> Tensor:
    """`comparison_logits` for members that each see a sample: what does not count is left out.

    Args:
        model: an ensemble that `can_score_apart`.
        pairs: (B, 2, T, D) left and right segments.
        objective: (B,) which objective each is compared by.
        weights: (B, K) how much each comparison counts for each head.

    Returns:
        (B, K) logits; where a weight is 0 they are computed or 0.
    """
    is_hidden = weights == 0
    num = max(1, int((~is_hidden).sum(0).max()))
    # (n, K) rows of each head: those it sees, then others up to the number that all have.
    rows = is_hidden.byte().argsort(dim=0, stable=True)[:num]
    own = pairs[rows].transpose(1, 2).flatten(0, 1)  # (2 n, K, T, D)
    scores = model.head_scores(own).unflatten(0, (num, 2))  # (n, 2, K, M)
    logits = scores[:, 0] - scores[:, 1]
    logits = logits.take_along_dim(objective[rows][..., None], 2)[..., 0]
    return torch.zeros_like(weights).scatter(0, rows, logits)


def regularised(model: EnhancedRewardModel) -> list[nn.Parameter]:
    """The weights that the prior shrinks: all but biases and a norm's scale."""
    named = model.named_parameters()
    return [p for name, p in named if name.endswith((".weight", "head_out"))]


def stride_of(config: RewardConfig, answers: Answers) -> int:
    """Returns every how many-th step of a segment a gradient step looks at."""
    return max(1, min(config.step_stride, answers.pairs.shape[2] // MIN_STEPS))


def thinned(pairs: Tensor, stride: int, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Every `stride`-th step of all segments, from a random first one.

    Robots move smoothly: neighbouring steps say nearly the same, so that a sum over some of them,
    grown by the share they are, stands for the sum over all in a fraction of the time.

    Returns:
        (B, 2, t, D) a view of the (B, 2, T, D) pairs, and t / T.
    """
    if stride == 1:
        return pairs, 1.0
    some = pairs[:, :, rng.integers(stride) :: stride]
    return some, some.shape[2] / pairs.shape[2]


def loss_of(
    model: EnhancedRewardModel,
    answers: Answers,
    rows: list[int],
    objective: Objective,
    rng: np.random.Generator,
) -> Tensor:
    """L_preference + lambda L_diversity + gamma L_calibration + mu L_contrastive, over all heads.

    The first is the mean surprise of each head; the prior on the weights is added by `descend`.
    """
    config = objective.config
    pairs, share = thinned(answers.pairs, stride_of(config, answers), rng)
    pairs, p_left, weights = pairs[rows], answers.p_left[rows], answers.weights[rows]
    asked = answers.objective[rows]
    if model.can_score_apart and not (config.diversity or config.calibration):
        logits = seen_logits(model, pairs, asked, weights)
    else:
        logits = comparison_logits(model, pairs, asked)
    logits = logits / share
    loss = bradley_terry_nll(logits, p_left, weights, objective.error_rate).sum()
    if config.diversity:
        loss = loss + config.diversity * diversity_penalty(logits)
    is_seen = (weights > 0).any(1)  # an answer hidden from all heads says nothing here either
    if config.calibration and bool(is_seen.any()):
        loss = loss + config.calibration * calibration_penalty(logits[is_seen], p_left[is_seen])
    if config.contrastive and objective.contrast is not None:
        entries = objective.contrast(rng)
        segments = pairs.flatten(0, 1)
        with torch.no_grad():
            values, entry_values = (
                # A step, as segments may have been thinned.
                model.segment_scores(batch).flatten(1).mean(1) / batch.shape[1]
                for batch in (segments, entries)
            )
        loss = loss + config.contrastive * contrastive_loss(
            model.embed(segments), values, model.embed(entries), entry_values
        )
    return loss


def descend(
    model: EnhancedRewardModel,
    answers: Answers,
    objective: Objective,
    *,
    rng: np.random.Generator,
    held: Answers | None = None,
) -> int:
    """AdamW with warm-up, cool-down, clipping, early stopping and, on request, an adapting prior.

    Args:
        model: changed in place; left in evaluation mode.
        answers: to fit to.
        objective: what is minimised.
        rng: draws minibatches.
        held: fitting stops when the loss on these has found no new best for `patience` checks;
            None or none of them: after `max_updates`.

    Returns:
        number of gradient steps.
    """
    config, num = objective.config, len(answers)
    assert config.learning_rate and config.patience and config.cooldown is not None
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    shrunk, l2 = regularised(model), objective.l2
    watched = held if held is not None and len(held) else None
    updates_an_epoch = math.ceil(num / config.batch_size)  # the last batch may be a small one
    max_updates = max(config.max_updates, math.ceil(config.min_epochs * updates_an_epoch))
    best, checks_since_best, update = float("inf"), 0, 0
    order: list[int] = []
    model.train()
    while update < max_updates and checks_since_best < config.patience:
        if not order:
            order = rng.permutation(num).tolist()
        rows, order = order[: config.batch_size], order[config.batch_size :]
        optimizer.param_groups[0]["lr"] = learning_rate(config, update, max_updates)
        loss = loss_of(model, answers, rows, objective, rng)
        if l2:
            anchors: Sequence[Tensor | float] = objective.anchors or (0.0,) * len(shrunk)
            gaps = [w - anchor for w, anchor in zip(shrunk, anchors, strict=True)]
            loss = loss + 0.5 * l2 / num * torch.stack([gap.square().sum() for gap in gaps]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        update += 1
        if watched is not None and update % CHECK_EVERY == 0:
            held_loss = mean_loss(model, watched, objective.error_rate)
            checks_since_best = 0 if held_loss < best - 1e-3 else checks_since_best + 1
            best = min(best, held_loss)
            if config.adapt_l2:
                train_loss = mean_loss(model, answers, objective.error_rate)
                l2 = adapted_l2(l2, held_loss / max(train_loss, 1e-9), start=objective.l2)
    model.eval()
    return update


def learning_rate(config: RewardConfig, update: int, num_updates: int) -> float:
    """The rate of one gradient step: rising at first, falling to nothing at the end.

    Args:
        config: with its recipe's decisions.
        update: steps made before.
        num_updates: steps in all.
    """
    assert config.learning_rate is not None
    rate = min(1.0, (update + 1) / (config.warmup_updates + 1)) * config.learning_rate
    if config.cooldown:
        rate *= min(1.0, (1 - update / num_updates) / config.cooldown)
    return rate


def adapted_l2(l2: float, loss_ratio: float, *, start: float) -> float:
    """A stronger prior where the held-out loss runs away, a weaker one where it does not.

    Christiano et al. 2017, section 2.2.3: mean losses compared, their ratio kept in 1.1 to 1.5.
    """
    low, high = LOSS_RATIOS
    step = _L2_STEP if loss_ratio > high else 1 / _L2_STEP if loss_ratio < low else 1.0
    start = max(start, 1e-3)
    return min(max(max(l2, 1e-3) * step, start / _L2_RANGE), start * _L2_RANGE)


@torch.no_grad()
def mean_loss(model: EnhancedRewardModel, answers: Answers, error_rate: float) -> float:
    """Mean surprise over answers and heads, dropout off, every answer counted once."""
    was_training = model.training
    model.eval()
    logits = comparison_logits(model, answers.pairs, answers.objective)
    loss = bradley_terry_nll(logits, answers.p_left, torch.ones_like(logits), error_rate)
    model.train(was_training)
    return float(loss.mean())
