"""The temperature of a fitted ensemble, and its intervals.

Axes: B answers, K heads.
"""

import math
import warnings

import numpy as np
import torch

from prefrl.rewards.calibration.checks import Float64Array
from prefrl.rewards.calibration.conformal import fit_conformal, least_answers
from prefrl.rewards.calibration.probabilities import fit_temperature
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import answer_logits
from prefrl.rewards.fitting.crossfit import score_std
from prefrl.rewards.fitting.reliability import Reliability
from prefrl.rewards.model.network import RewardNetwork

# Segments less far apart are all the same.
MIN_NATS = 1e-6
# How firmly cross-fitted predictions decide the temperature: a standard deviation of about a fifth.
# Held-out answers are a sixth of theirs and themselves noisy.
TEMPERATURE_STRENGTH = 20.0


@torch.no_grad()
def unit_of(model: RewardNetwork, train: AnswerTensors, known: Reliability) -> float:
    """Divides the ensemble's standard deviation of scores by that of the cross-fitted models.

    The ensemble saw more answers; how far apart both see all segments tells their units.
    """
    if known.temperature is None:
        return 1.0
    std = score_std(model.segment_scores(*train.segments()).mean(1))
    return std / known.score_std if min(std, known.score_std) > MIN_NATS else 1.0


@torch.no_grad()
def set_temperature(
    model: RewardNetwork, held: AnswerTensors, known: Reliability, *, unit: float
) -> None:
    """Fits the temperature of probabilities to answers that were not fitted to.

    The predictions of the models that left answers out count most.

    Args:
        model: its `temperature` is set.
        held: held-out answers; there may be none.
        known: what those models said.
        unit: as `unit_of` has it.
    """
    prior, strength = 1.0, 1.0
    if known.temperature is not None:
        prior = float(np.clip(known.temperature * unit, 0.05, 20.0))
        strength = TEMPERATURE_STRENGTH
    fitted = fit_temperature(
        logits_of(model, held),
        held.p_left.double().cpu().numpy(),
        error_rate=known.error_rate,
        prior=prior,
        prior_strength=strength,
    )
    model.temperature.fill_(fitted)


def set_interval(model: RewardNetwork, held: AnswerTensors, coverage: float | None) -> None:
    """Fits how many standard deviations around a score difference agree with enough answers.

    Args:
        model: its `interval` is set; to none where `coverage` is None.
        held: held-out answers.
        coverage: share of answers that intervals are to agree with.
    """
    model.interval.zero_()
    if coverage is None:
        return
    logits = logits_of(model, held)
    p_left = held.p_left.double().cpu().numpy()
    fitted = fit_conformal(logits.mean(1), logits.std(1), p_left, coverage=coverage)
    if math.isinf(fitted.factor):
        warnings.warn(
            f"{len(held)} held-out answers are too few for intervals that cover {coverage}; "
            f"they take {least_answers(coverage)} or more",
            stacklevel=3,
        )
        return
    model.interval.copy_(torch.tensor([coverage, fitted.factor], dtype=torch.float64))


@torch.no_grad()
def logits_of(model: RewardNetwork, answers: AnswerTensors) -> Float64Array:
    """Returns (B, K) each head's score differences, in nats."""
    logits: Float64Array = answer_logits(model, answers).double().cpu().numpy()
    return logits
