"""Losses that fitting minimises, and metrics of an ensemble's scores: plain functions.

Axes: B comparisons, S segments, K heads, F features, M bank entries.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Kumar et al. 2018 keep this width of their Laplacian kernel throughout.
MMCE_WIDTH = 0.4


def bradley_terry_nll(
    logits: Tensor, p_left: Tensor, head_mask: Tensor, error_rate: float = 0.0
) -> Tensor:
    """Returns the mean negative log-likelihood of the teachers' answers under each head.

    A head whose left segment outscores the right by `logits` expects "left" with probability
    sigmoid(logits): Christiano et al. 2017, eq. 1 and 2, with ties as soft targets (the paper drops
    incomparable pairs and shares ties equally) and each head on its own sample of the answers. With
    probability `error_rate` an answer is taken for a uniformly random one (section 2.2.3 there), so
    that no answer is impossible and a wrong one pulls with bounded force.

    Args:
        logits: (B, K) left score minus right score, in nats.
        p_left: (B,) answer in [0, 1]; 0.5 records a tie.
        head_mask: (B, K) how often, or how much, that comparison counts for that head.
        error_rate: share of random answers, in [0, 1).

    Returns:
        (K,) mean loss in nats; 0 for a head with no comparisons.
    """
    target = p_left[:, None].expand_as(logits)
    if error_rate == 0.0:
        nll = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        random = logits.new_tensor(math.log(error_rate / 2))
        meant = math.log1p(-error_rate)
        log_left = torch.logaddexp(random, meant + F.logsigmoid(logits))
        log_right = torch.logaddexp(random, meant + F.logsigmoid(-logits))
        nll = -(target * log_left + (1 - target) * log_right)
    total = head_mask.sum(0)
    return (nll * head_mask).sum(0) / total.where(total > 0, torch.ones_like(total))


def diversity_penalty(logits: Tensor) -> Tensor:
    """Falls as heads part ways: minus their variance in the probability of "left".

    Negative correlation learning (Liu and Yao 1999, eq. 4 to 6) on probabilities, which bounds it
    to [-1/4, 0]: heads cannot win by growing without end.

    Args:
        logits: (B, K).

    Returns:
        () minus the mean over comparisons of the population variance over heads.
    """
    return -torch.sigmoid(logits).var(-1, correction=0).mean()


def calibration_penalty(logits: Tensor, p_left: Tensor) -> Tensor:
    """Measures how far confidence is from correctness, by a kernel estimate with a gradient.

    MMCE of Kumar et al. 2018, eq. 6, of the probability averaged over heads; a tie counts as half
    correct.

    Args:
        logits: (B, K).
        p_left: (B,) answer in [0, 1].

    Returns:
        () at least 0.
    """
    p = torch.sigmoid(logits).mean(-1)
    confidence = torch.maximum(p, 1 - p)
    correct = torch.where(p >= 0.5, p_left, 1 - p_left)
    gap = correct - confidence
    kernel = torch.exp(-(confidence[:, None] - confidence[None, :]).abs() / MMCE_WIDTH)
    # The square root has no gradient at 0.
    return ((gap[:, None] * gap[None, :] * kernel).mean()).clamp(min=1e-12).sqrt()


def contrastive_loss(
    embeddings: Tensor,
    values: Tensor,
    bank_embeddings: Tensor,
    bank_values: Tensor,
    *,
    temperature: float = 0.1,
) -> Tensor:
    """Pulls embeddings towards those of segments that were worth as much.

    InfoNCE (van den Oord et al. 2018) with soft positives: our choice, not in a paper. Entry j is
    wanted as a neighbour of segment i in proportion to exp(-|v_i - v_j| / h), h the mean absolute
    difference.

    Args:
        embeddings: (S, F).
        values: (S,) reward a step; no gradient flows into it.
        bank_embeddings: (M, F) of the present weights.
        bank_values: (M,).
        temperature: of the cosine similarities.

    Returns:
        () mean cross-entropy in nats between wanted and actual neighbours.
    """
    cosine = F.normalize(embeddings, dim=-1) @ F.normalize(bank_embeddings, dim=-1).T
    difference = (values[:, None] - bank_values[None, :]).abs().detach()
    wanted = torch.softmax(-difference / difference.mean().clamp(min=1e-6), dim=-1)
    return -(wanted * F.log_softmax(cosine / temperature, dim=-1)).sum(-1).mean()


def head_correlation(scores: Tensor) -> float:
    """Measures how alike heads rank segments.

    Args:
        scores: (S, K) each head's score.

    Returns:
        mean Pearson correlation over pairs of heads; 1.0 where heads have collapsed onto one, NaN
        with a single head, fewer than two segments, or heads that say the same of everything.
    """
    centred = scores.double() - scores.double().mean(0)
    length = centred.norm(dim=0)
    num = scores.shape[1]
    if num < 2 or len(scores) < 2 or bool((length <= 1e-12).any()):
        return float("nan")
    table = (centred / length).T @ (centred / length)
    return float((table.sum() - num) / (num * (num - 1)))


def head_std(scores: Tensor) -> float:
    """Measures how far apart heads see segments, beyond what no comparison tells.

    Args:
        scores: (S, K) each head's score, in nats.

    Returns:
        in nats, the root mean square over segments and heads of what is left of a score without
        its head's mean and without the heads' mean; 0.0 where heads have collapsed onto one, NaN
        with a single head or fewer than two segments.
    """
    if scores.shape[1] < 2 or len(scores) < 2:
        return float("nan")
    centred = scores.double() - scores.double().mean(0)
    return float((centred - centred.mean(1, keepdim=True)).square().mean().sqrt())


def preference_accuracy(logits: Tensor, p_left: Tensor) -> float:
    """Returns the share of decisive answers that the sign of `logits` predicts.

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
