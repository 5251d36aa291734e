"""Metrics of a fit, and warnings about it.

Axes: B answers, K heads.
"""

import warnings

import numpy as np
import torch

from prefrl.feedback.dataset import Comparisons
from prefrl.rewards.calibration.probabilities import report
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import answer_logits
from prefrl.rewards.fitting.losses import (
    bradley_terry_nll,
    head_correlation,
    head_std,
    preference_accuracy,
)
from prefrl.rewards.model.network import RewardNetwork

# Heads that rank segments alike and lie less far apart than this, in nats, are one head: no
# probability that they predict differs by more than about half of it. Correlation alone does not
# tell: where segments differ by many nats it is all but 1, however useful the difference between
# heads still is; and heads that tell nothing apart are close, but not alike.
ALIKE, COLLAPSED = 0.999, 0.01
# Fewer answers than this say nothing about the teacher or the heads.
ENOUGH_TO_JUDGE = 8


@torch.no_grad()
def fit_metrics(
    model: RewardNetwork, train: AnswerTensors, held: AnswerTensors
) -> dict[str, float]:
    """Returns losses in nats, accuracies as shares, and how alike heads are; NaN without answers.

    Args:
        model: as fitted.
        train: the answers it was fitted to.
        held: answers it was not fitted to.
    """
    metrics: dict[str, float] = {}
    for name, answers in (("train", train), ("holdout", held)):
        if len(answers) == 0:
            metrics |= {f"reward_{name}_loss": np.nan, f"reward_{name}_accuracy": np.nan}
            continue
        logits = answer_logits(model, answers)
        loss = bradley_terry_nll(logits, answers.p_left, torch.ones_like(logits)).mean()
        metrics[f"reward_{name}_loss"] = float(loss)
        # What the mean over normalised heads, the reward that is used, would answer.
        std = model.reward_std.view(model.config.num_reward_heads, -1).mean(1)
        metrics[f"reward_{name}_accuracy"] = preference_accuracy(
            (logits / std).mean(-1), answers.p_left
        )
        if name == "holdout":
            calibration = report(
                logits.double().cpu().numpy(),
                answers.p_left.double().cpu().numpy(),
                temperature=float(model.temperature),
            )
            metrics |= {
                "reward_holdout_nll": calibration.nll,
                "reward_holdout_ece": calibration.ece,
            }
    scores = model.segment_scores(*train.segments()).mean(-1)
    metrics["reward_head_correlation"] = correlation = head_correlation(scores.cpu())
    metrics["reward_head_spread"] = apart = head_std(scores.cpu())
    metrics["reward_temperature"] = float(model.temperature)
    if correlation > ALIKE and apart < COLLAPSED and len(train) >= ENOUGH_TO_JUDGE:
        warnings.warn(
            f"the reward ensemble's heads have collapsed onto one (they are "
            f"{apart:.4f} nats apart): their disagreement says nothing; switch "
            "reward_model.anchored or reward_model.bootstrap on",
            stacklevel=4,
        )
    return metrics


def warn_of_odd_answers(train_set: Comparisons) -> None:
    """Warns of what is wrong with answers from which little can be learned."""
    if len(train_set) < ENOUGH_TO_JUDGE:
        return
    p_left, first = train_set.p_left, train_set.left[:1, :1]
    if (train_set.left == first).all() and (train_set.right == first).all():
        what = "all segments hold the same numbers: there is nothing to tell them apart by"
    elif (p_left == 0.5).all():
        what = "every answer is a tie: there is nothing to learn but that all segments are alike"
    elif (p_left > 0.5).all() or (p_left < 0.5).all():
        side = "left" if p_left[0] > 0.5 else "right"
        what = f"every answer is {side}: the teacher seems to press one key, whatever is shown"
    else:
        return
    warnings.warn(what, stacklevel=4)
