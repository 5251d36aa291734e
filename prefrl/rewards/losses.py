"""What fitting minimises, and what reports measure: plain functions.

Axes: B comparisons, K heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def bradley_terry_nll(logits: Tensor, p_left: Tensor, head_mask: Tensor) -> Tensor:
    """How surprised each head is by the teachers' answers.

    A head whose left segment outscores the right by `logits` expects "left" with probability
    sigmoid(logits): Christiano et al. 2017, eq. 1 and 2, with ties as soft targets (the paper drops
    incomparable pairs and shares ties equally) and each head on its own bootstrap sample.

    Args:
        logits: (B, K) left score minus right score, in nats.
        p_left: (B,) answer in [0, 1]; 0.5 records a tie.
        head_mask: (B, K) how often the head's bootstrap sample holds that comparison.

    Returns:
        (K,) mean loss in nats; 0 for a head with no comparisons.
    """
    target = p_left[:, None].expand_as(logits)
    surprise = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (surprise * head_mask).sum(0) / head_mask.sum(0).clamp(min=1.0)


def preference_accuracy(logits: Tensor, p_left: Tensor) -> float:
    """Share of decisive answers that the sign of `logits` predicts.

    Args:
        logits: (B,) left score minus right score.
        p_left: (B,) answer; ties are left out.

    Returns:
        a share in [0, 1], a logit of 0 counting half; NaN without decisive answers.
    """
    decisive = p_left != 0.5
    if not bool(decisive.any()):
        return float("nan")
    # -1, 0 or 1: the signs differ, nothing was predicted, the signs agree.
    agrees = torch.sign(logits[decisive]) * torch.sign(p_left[decisive] - 0.5)
    return float((agrees.to(torch.float64).mean() + 1) / 2)
