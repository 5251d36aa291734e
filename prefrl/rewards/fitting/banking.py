"""The entries that a fit leaves in a feature bank, and how far they may draw rewards.

Axes: B answers, S segments, T steps, D input dims.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards.calibration.probabilities import fit_temperature
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.losses import bradley_terry_nll
from prefrl.rewards.model.ensemble import EnhancedRewardModel

# The shares of the bank's pull among which held-out answers choose.
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@torch.no_grad()
def fill_bank(
    model: EnhancedRewardModel,
    comparisons: PreferenceDataset,
    *,
    first: int,
    session: int,
    generator: torch.Generator,
) -> int:
    """Embeds what is in the bank anew, then offers it the segments of the new training answers.

    A segment's key is twice its query's number, plus one on the right.

    Args:
        model: just fitted; its bank is filled.
        comparisons: all queries and answers of the run.
        first: queries before this one were offered already.
        session: of the fit: the version of its embeddings.
        generator: draws which entries go where the bank is full.

    Returns:
        the number of queries offered by now.
    """
    bank = model.bank
    if bank.capacity == 0:
        return first
    left = np.concatenate([batch.inputs() for batch in comparisons.left])
    right = np.concatenate([batch.inputs() for batch in comparisons.right])
    sides = torch.from_numpy(np.stack([left, right], axis=1)).flatten(0, 1)
    sides = sides.to(model.input_mean.device)
    masks = _side_masks(comparisons)

    def encode(keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        segments = sides[keys.to(sides.device)]
        mask = None if masks is None else masks[keys.to(masks.device)].to(sides.device)
        outputs = model(segments, mask)
        rewards, uncertainty = (
            _means(outputs[name].flatten(1), mask) for name in ("rewards", "uncertainty")
        )
        return model.embed(segments, mask), rewards, uncertainty

    # What was in the bank is drawn towards itself no more: it is embedded without its pull.
    model.bank_alpha.zero_()
    bank.refresh(lambda keys: encode(keys)[:2], version=session)
    is_fit = ~np.isnan(comparisons.p_left) & ~comparisons.is_validation
    queries = np.flatnonzero(is_fit)
    queries = queries[queries >= first]
    if len(queries):
        keys = torch.from_numpy((2 * queries[:, None] + np.arange(2)).reshape(-1))
        embeddings, values, uncertainty = encode(keys)
        bank.add(
            embeddings,
            values,
            keys=keys,
            version=session,
            priority=uncertainty,
            generator=generator,
        )
    return len(comparisons)


def _side_masks(comparisons: PreferenceDataset) -> Tensor | None:
    """Returns (2 B, T) masks of left and right segments in turns; None without padding."""
    sides = [
        np.concatenate([batch.mask() for batch in batches])
        for batches in (comparisons.left, comparisons.right)
    ]
    mask = np.stack(sides, axis=1).reshape(-1, sides[0].shape[1])
    return None if mask.all() else torch.from_numpy(mask)


def _means(values: Tensor, mask: Tensor | None) -> Tensor:
    """Maps (N, T) -> (N,) over each segment's own steps; at padding the values are 0."""
    return values.mean(1) if mask is None else values.sum(1) / mask.sum(1)


@torch.no_grad()
def set_bank_alpha(
    model: EnhancedRewardModel, held: AnswerTensors, alpha: float | Literal["auto"]
) -> None:
    """Sets the pull asked for; auto: the one that explains held-out answers best, if clearly so.

    Args:
        model: its `bank_alpha` is set; 0 where the bank is empty, or remembers one number of
            segments that have a reward by several objectives.
        held: answers that were not fitted to; auto stays at 0 without them.
        alpha: a share, or auto.
    """
    model.bank_alpha.zero_()
    if model.bank.is_empty or model.config.num_objectives > 1:
        return
    if alpha != "auto":
        model.bank_alpha.fill_(alpha)
        return
    if len(held) == 0:
        return
    losses = []
    for candidate in ALPHAS:
        model.bank_alpha.fill_(candidate)
        losses.append(_nll(model, held))
    best = int(np.argmin(losses))
    # A gain within the noise of so few answers is none.
    is_clear = losses[0] - losses[best] > 0.5 / np.sqrt(len(held)) * losses[0]
    model.bank_alpha.fill_(ALPHAS[best] if is_clear else 0.0)


def _nll(model: EnhancedRewardModel, held: AnswerTensors) -> float:
    """Returns the mean NLL of held-out answers by the reward as it is used, at its best scale."""
    rewards = model(*held.segments())["rewards"].flatten(1).sum(1).view(-1, 2)
    logits = (rewards[:, :1] - rewards[:, 1:]) * model.reward_std.mean()
    temperature = fit_temperature(logits.double().cpu().numpy(), held.p_left.double().cpu().numpy())
    weights = torch.ones_like(logits)
    return float(bradley_terry_nll(logits / temperature, held.p_left, weights).mean())
