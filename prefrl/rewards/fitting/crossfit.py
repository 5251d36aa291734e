"""Predictions of answers by models that never saw them.

Axes: B answers, T steps, D input dims, F folds.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefrl.config.reward import PENALTIES
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import FittingLoss, answer_logits
from prefrl.rewards.fitting.descent import descend
from prefrl.rewards.model.network import RewardNetwork

NUM_FOLDS = 4
# Robots move smoothly: every few steps tell the members nearly as much, in a fraction of the time.
MAX_STEPS = 12


@dataclasses.dataclass(frozen=True)
class CrossFitted:
    """The predictions of models that each left out a fold.

    Args:
        logits: (B,) left minus right in nats, by the model that has not seen the answer.
        folds: (B,) the fold that each answer is in.
        score_std: of the models, as `score_std` has it.
    """

    logits: NDArray[np.float64]
    folds: NDArray[np.int64]
    score_std: float


def score_std(scores: Tensor) -> float:
    """Measures how far apart a model's scores lie: the unit in which it speaks.

    Args:
        scores: (S, ...) of S segments, by whatever heads and objectives.

    Returns:
        standard deviation over segments in nats, the root mean square of those of all heads.
    """
    return float(scores.var(0, correction=0).mean().sqrt())


def connected_groups(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Maps (B, 2) numbers of the compared segments -> (B,) group of each comparison.

    Comparisons that share a segment, directly or through others, are in one group: a model that
    has seen one of them has seen part of the rest.
    """
    label = np.arange(int(segments.max()) + 1 if len(segments) else 0)
    while True:
        smallest = label[segments].min(1)
        before = label.copy()
        np.minimum.at(label, segments[:, 0], smallest)
        np.minimum.at(label, segments[:, 1], smallest)
        label = label[label]  # halves the way to the smallest, so that few rounds are needed
        if (label == before).all():
            return label[segments[:, 0]]


def folds_of(segments: NDArray[np.int64], *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deals (B,) comparisons into `NUM_FOLDS` folds; groups stay whole where there are enough.

    Args:
        segments: (B, 2) numbers of the compared segments.
        rng: draws.
    """
    groups, members = np.unique(connected_groups(segments), return_inverse=True)
    if len(groups) < NUM_FOLDS:  # one web of comparisons: nothing better than single ones
        groups, members = np.arange(len(segments)), np.arange(len(segments))
    fold_of_group = rng.permutation(len(groups)) % NUM_FOLDS
    folds: NDArray[np.int64] = fold_of_group[members]
    return folds


def cross_fit(
    like: RewardNetwork,
    answers: AnswerTensors,
    segments: NDArray[np.int64],
    loss: FittingLoss,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> CrossFitted:
    """Predicts each answer by a model fitted without its fold.

    One model a fold, all of them fitted at once as the independent members of one ensemble: a
    member's weight of an answer in its own fold is 0.

    Args:
        like: the reward model; the members have its width, depth and input statistics.
        answers: all that may be fitted to; their weights are not looked at.
        segments: (B, 2) numbers of the compared segments.
        loss: what is minimised.
        rng: draws folds and minibatches.
        generator: draws the initial weights.
    """
    stride = -(-answers.pairs.shape[2] // MAX_STEPS)
    some = answers.every(stride)
    config = dataclasses.replace(
        like.config,
        num_reward_heads=NUM_FOLDS,
        shared_trunk=False,
        segment_length=some.pairs.shape[2],
        bank_size=0,
        dropout=0.0,
        linear_part=False,
    )
    members = RewardNetwork(**dataclasses.asdict(config), generator=generator)
    members.to(like.input_mean.device)
    members.input_mean.copy_(like.input_mean)
    members.input_std.copy_(like.input_std)
    members.segment_spread.copy_(like.segment_spread)
    fold_of_answer = folds_of(segments, rng=rng)
    folds = torch.from_numpy(fold_of_answer).to(answers.p_left.device)
    sees = (folds[:, None] != torch.arange(NUM_FOLDS, device=folds.device)).float()
    # Heads that part ways or meet the bank are of no use here, and a norm clipped over all members
    # would tell each of the answers that are hidden from it.
    off: dict[str, Any] = dict.fromkeys(PENALTIES, 0.0)
    plain = dataclasses.replace(loss.config, **off, max_grad_norm=float("inf"))
    some = dataclasses.replace(some, pairs=some.pairs.contiguous(), weights=sees)
    descend(members, some, dataclasses.replace(loss, config=plain, contrast=None), rng=rng)
    with torch.no_grad():
        scores = members.segment_scores(some.pairs, some.pair_mask)
        logits = answer_logits(members, some)
    own = logits.take_along_dim(folds[:, None], 1)[:, 0]
    return CrossFitted(own.double().cpu().numpy(), fold_of_answer, score_std(scores.flatten(0, 1)))
