"""Estimates the teacher's errors, and finds answers that look wrong, by held-out predictions.

Axes: B answers.
"""

import math

import numpy as np

from prefrl.rewards.calibration.checks import Float64Array

# RIME (Cheng et al. 2024) corrects answers to which the model gives less than a thousandth.
FLIP_BELOW = 1e-3
# Our choice: an answer to which it gives less than a tenth is left out.
DROP_BELOW = 1e-1

# Until answers say more, one in ten is taken to be wrong: a fifth are random, as half of those come
# out right (Christiano et al. 2017, section 2.2.3, assume half as many). Our choice is how little
# that is worth, five answers: worth twenty, it kept heavy noise from being seen.
PRIOR_RATE = 0.2
PRIOR_ANSWERS = 5.0
# The same noise can be taken for slips or for a high temperature, so the prior of that one counts.
# Models that leave answers out and are drawn to a prior of their own are less sure than they
# may be: on people's answers and simulated ones their best temperature was 0.2 to 0.8.
PRIOR_TEMPERATURE = 0.5
PRIOR_LOG_SPREAD = 0.5

# Where as many answers are random as this the prior on the weights has its full strength; where
# fewer are it has less, down to this share of it.
NOISY_RATE = 0.3
LEAST_PRIOR = 1 / 3

_RATES = np.concatenate([[1e-3], np.linspace(0.02, 0.9, 45)])
_LEAST_P = 1e-300
_LOG_TEMPERATURES = np.linspace(math.log(0.1), math.log(10.0), 41)


def estimate_error_rate(
    logits: Float64Array, p_left: Float64Array, *, given: float | None = None
) -> tuple[float, float]:
    """Estimates the share of random answers and the temperature that explain held-out answers.

    Posterior means, the temperature's of its logarithm, under the likelihood of
    `bradley_terry_nll`, a Beta(1, 4) prior on the rate and a log-normal one on the temperature.
    Ties tell nothing of errors.

    Args:
        logits: (B,) predicted score differences, by models that have not seen the answer.
        p_left: (B,) the answers.
        given: the rate, where it is known: only the temperature is left to explain slips.

    Returns:
        error rate in [0, 0.9] (an oracle answered at random half the time errs in a quarter) and
        temperature in [0.1, 10]; without a decisive answer the prior's means.
    """
    is_decisive = p_left != 0.5
    rates = _RATES if given is None else np.array([given])
    if not is_decisive.any():
        return PRIOR_RATE if given is None else given, PRIOR_TEMPERATURE
    agreement = np.where(p_left > 0.5, logits, -logits)[is_decisive]
    # (temperatures, B) probability of the answer given, were it meant.
    scaled = agreement[None, :] / np.exp(_LOG_TEMPERATURES)[:, None]
    meant = 0.5 * (1.0 + np.tanh(0.5 * scaled))
    gap = (_LOG_TEMPERATURES - math.log(PRIOR_TEMPERATURE)) / PRIOR_LOG_SPREAD
    log_posterior = np.empty((len(rates), len(_LOG_TEMPERATURES)))
    for row, rate in enumerate(rates):
        likelihood = np.log(np.maximum(rate / 2 + (1 - rate) * meant, _LEAST_P)).sum(1)
        # Beta(a, b) with a + b = 5 and mean 1 / 5: the power of the rate itself is 0.
        log_prior = (PRIOR_ANSWERS * (1 - PRIOR_RATE) - 1) * math.log1p(-rate)
        log_posterior[row] = likelihood + log_prior - 0.5 * gap**2
    spacing = np.gradient(rates) if given is None else np.ones(1)
    posterior = np.exp(log_posterior - log_posterior.max()) * spacing[:, None]
    posterior /= posterior.sum()
    rate = float(posterior.sum(1) @ rates)
    return rate, math.exp(float(posterior.sum(0) @ _LOG_TEMPERATURES))


def prior_share(error_rate: float) -> float:
    """Returns how much of the prior on a reward model's weights its answers call for.

    A strong prior sees through wrong answers. Where there are hardly any it only keeps the model
    from what right answers say: on Hopper it left the oracle's answers unlearned, one in 15.

    Args:
        error_rate: estimated share of random answers.

    Returns:
        a share in [1/3, 1], in proportion to the rate up to 0.3. Our choice.
    """
    return min(max(error_rate / NOISY_RATE, LEAST_PRIOR), 1.0)


def corrected_answers(
    p_predicted: Float64Array, p_left: Float64Array, *, mode: str
) -> tuple[Float64Array, Float64Array]:
    """Turns answers that contradict the prediction round, or leaves them out.

    After RIME (Cheng et al. 2024, section 4), with fixed bounds in place of theirs, which follow
    the standard deviation of the loss.

    Args:
        p_predicted: (B,) probability of "left", by models that have not seen the answer.
        p_left: (B,) the answers.
        mode: "keep" changes nothing, "drop" leaves out what is given less than a tenth, "flip"
            does so too and turns round what is given less than a thousandth.

    Returns:
        (B,) answers and (B,) weights, 0 or 1.
    """
    if mode == "keep":
        return p_left, np.ones_like(p_left)
    given = np.where(p_left > 0.5, p_predicted, 1 - p_predicted)
    given[p_left == 0.5] = 1.0
    is_flipped = (given < FLIP_BELOW) & (mode == "flip")
    is_dropped = (given < DROP_BELOW) & ~is_flipped
    return np.where(is_flipped, 1 - p_left, p_left), np.where(is_dropped, 0.0, 1.0)
