"""The prior on an ensemble's weights: how strong it is, and where it draws them to.

Axes: B answers.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prefrl.config import ResolvedReward
from prefrl.rewards.fitting.noise import prior_share
from prefrl.rewards.model.network import RewardNetwork

# The prior's precision stays below this share of the number of answers.
MAX_PRIOR_SHARE = 0.1


def regularised(model: RewardNetwork) -> list[nn.Parameter]:
    """Returns the weights that the prior shrinks: all but biases and a norm's scale."""
    named = model.named_parameters()
    return [p for name, p in named if name.endswith((".weight", "head_out"))]


def prior_strength(config: ResolvedReward, segments: NDArray[np.int64], error_rate: float) -> float:
    """Returns the precision of the prior, in answers.

    It grows where answers share segments: many answers about few segments say little of others.
    Few answers must not lose to it, or the reward would be the same everywhere.

    Args:
        config: with its recipe's decisions.
        segments: (B, 2) numbers of the compared segments.
        error_rate: share of answers taken for random ones.
    """
    if not config.l2:
        return 0.0
    num = len(segments)
    strength = config.l2 * 2 * num / len(np.unique(segments))
    if config.error_rate == "auto":
        strength *= prior_share(error_rate)
    return min(strength, MAX_PRIOR_SHARE * num)


def anchors_of(
    model: RewardNetwork, config: ResolvedReward, *, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Draws random weights, to which the prior draws each head its own way.

    Anchored ensembling (Pearce et al. 2020): where answers say nothing, heads keep to their
    anchors and so disagree; drawn to zero, they would all become one.
    """
    if not (config.anchored and config.l2):
        return ()
    like = copy.deepcopy(model)
    like.reset(generator)
    return tuple(weight.detach() for weight in regularised(like))
