"""Label-noise rate and temperature of predictions, estimated by cross-fitting.

Axes: B answers.
"""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from prefrl.config import ResolvedReward
from prefrl.rewards.calibration.checks import Float64Array
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.comparing import FittingLoss
from prefrl.rewards.fitting.crossfit import CrossFitted, cross_fit
from prefrl.rewards.fitting.linear import LinearPart, linear_part
from prefrl.rewards.fitting.noise import corrected_answers, estimate_error_rate
from prefrl.rewards.fitting.prior import prior_strength
from prefrl.rewards.model.network import RewardNetwork

# Models that estimate the error rate are fitted as if so many answers were random: they see
# through many wrong answers, and where there are none they lose next to nothing.
ASSUMED_RATE = 0.4


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Label-noise rate and temperature estimated by cross-fitting.

    Args:
        error_rate: share of random answers.
        temperature: at which models that leave answers out predict them best; None: not estimated.
        score_std: of those models' scores, in nats.
        linear: what is to be added to such a model's rewards; None: nothing.
    """

    error_rate: float
    temperature: float | None = None
    score_std: float = 1.0
    linear: LinearPart | None = None


def without_noise(
    model: RewardNetwork,
    train: AnswerTensors,
    compared: NDArray[np.int64],
    config: ResolvedReward,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[AnswerTensors, Reliability]:
    """Corrects answers that look wrong, and estimates how far to trust the rest.

    Args:
        model: about to be fitted; it is not changed.
        train: the answers it will be fitted to.
        compared: (B, 2) numbers of the compared segments.
        config: with its recipe's decisions.
        rng: draws folds and minibatches.
        generator: draws the initial weights of the models that leave answers out.

    Returns:
        the answers worth fitting to, and what is known of them.
    """
    rate, mode = config.error_rate, config.contradictions
    assert rate is not None
    if rate != "auto" and mode == "keep" and not model.config.linear_part:
        return train, Reliability(rate)
    assumed = ASSUMED_RATE if rate == "auto" else rate
    loss = FittingLoss(config, assumed, prior_strength(config, compared, assumed))
    fitted = cross_fit(model, train, compared, loss, rng=rng, generator=generator)
    given = None if rate == "auto" else rate
    p_left: Float64Array = train.p_left.double().cpu().numpy()
    answers, counts = _corrected(fitted, p_left, mode=mode, given=given)
    logits, linear = fitted.logits, None
    if model.config.linear_part:
        linear = linear_part(
            model.linear_inputs(train.pairs, train.pair_mask).double().cpu().numpy(),
            answers,
            counts,
            train.objective.cpu().numpy(),
            num_objectives=model.config.num_objectives,
            beside=fitted,
        )
        logits = logits + linear.logits
    error_rate, temperature = estimate_error_rate(logits, p_left, given=given)
    corrected = dataclasses.replace(
        train,
        p_left=torch.from_numpy(answers).to(train.p_left),
        weights=train.weights * torch.from_numpy(counts).to(train.weights)[:, None],
    )
    return corrected, Reliability(error_rate, temperature, fitted.score_std, linear)


def _corrected(
    fitted: CrossFitted, p_left: Float64Array, *, mode: str, given: float | None
) -> tuple[Float64Array, Float64Array]:
    """Returns (B,) answers and (B,) how much each counts; not all of them may be left out."""
    if mode == "keep":
        return p_left, np.ones_like(p_left)
    _, temperature = estimate_error_rate(fitted.logits, p_left, given=given)
    p_predicted = 0.5 * (1 + np.tanh(0.5 * fitted.logits / temperature))
    answers, counts = corrected_answers(p_predicted, p_left, mode=mode)
    return answers, counts if counts.any() else np.ones_like(counts)
