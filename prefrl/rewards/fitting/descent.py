"""Gradient descent of an ensemble on answers: the one loop that all fits share.

Axes: B answers.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from prefrl.config import ResolvedReward
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import FittingLoss, answer_logits, loss_of
from prefrl.rewards.fitting.losses import bradley_terry_nll
from prefrl.rewards.fitting.prior import regularised
from prefrl.rewards.model.network import RewardNetwork

# Gradient steps between looks at the held-out loss.
CHECK_EVERY = 10
# Christiano et al. 2017, section 2.2.3, keep the held-out loss this many times the training loss.
LOSS_RATIOS = (1.1, 1.5)
_L2_STEP, _L2_RANGE = 1.3, 100.0


def descend(
    model: RewardNetwork,
    answers: AnswerTensors,
    minimised: FittingLoss,
    *,
    rng: np.random.Generator,
    held: AnswerTensors | None = None,
) -> int:
    """Runs AdamW with warm-up, cool-down, clipping, early stopping and, on request, adapting l2.

    Args:
        model: changed in place; left in evaluation mode.
        answers: to fit to.
        minimised: the loss.
        rng: draws minibatches.
        held: fitting stops when the loss on these has found no new best for `patience` checks;
            None or none of them: after `max_updates`.

    Returns:
        number of gradient steps.
    """
    config, num = minimised.config, len(answers)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    shrunk, l2 = regularised(model), minimised.l2
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
        loss = loss_of(model, answers, rows, minimised, rng)
        if l2:
            anchors: Sequence[Tensor | float] = minimised.anchors or (0.0,) * len(shrunk)
            gaps = [w - anchor for w, anchor in zip(shrunk, anchors, strict=True)]
            loss = loss + 0.5 * l2 / num * torch.stack([gap.square().sum() for gap in gaps]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        update += 1
        if watched is not None and update % CHECK_EVERY == 0:
            held_loss = mean_loss(model, watched, minimised.error_rate)
            checks_since_best = 0 if held_loss < best - 1e-3 else checks_since_best + 1
            best = min(best, held_loss)
            if config.adapt_l2:
                train_loss = mean_loss(model, answers, minimised.error_rate)
                l2 = adapted_l2(l2, held_loss / max(train_loss, 1e-9), start=minimised.l2)
    model.eval()
    return update


def learning_rate(config: ResolvedReward, update: int, num_updates: int) -> float:
    """Returns the rate of one gradient step: rising at first, falling to nothing at the end.

    Args:
        config: with its recipe's decisions.
        update: steps made before.
        num_updates: steps in all.
    """
    rate = min(1.0, (update + 1) / (config.warmup_updates + 1)) * config.learning_rate
    if config.cooldown:
        rate *= min(1.0, (1 - update / num_updates) / config.cooldown)
    return rate


def adapted_l2(l2: float, loss_ratio: float, *, start: float) -> float:
    """Strengthens the prior where the held-out loss runs away, and weakens it where it does not.

    Christiano et al. 2017, section 2.2.3: mean losses compared, their ratio kept in 1.1 to 1.5.
    """
    low, high = LOSS_RATIOS
    step = _L2_STEP if loss_ratio > high else 1 / _L2_STEP if loss_ratio < low else 1.0
    start = max(start, 1e-3)
    return min(max(max(l2, 1e-3) * step, start / _L2_RANGE), start * _L2_RANGE)


@torch.no_grad()
def mean_loss(model: RewardNetwork, answers: AnswerTensors, error_rate: float) -> float:
    """Returns the mean NLL over answers and heads, dropout off, every answer counted once."""
    was_training = model.training
    model.eval()
    logits = answer_logits(model, answers)
    loss = bradley_terry_nll(logits, answers.p_left, torch.ones_like(logits), error_rate)
    model.train(was_training)
    return float(loss.mean())
