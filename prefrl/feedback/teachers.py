"""Simulated teachers: they answer from the true reward, with the failings of people.

Source: Lee et al. 2021, "B-Pref: Benchmarking Preference-Based Reinforcement Learning", algorithm
1. Where we depart from the paper or from its code:

- The Boltzmann noise is measured in standard deviations of the pool's true segment returns, so the
  same beta means the same reliability in every environment and at every stage of a run. B-Pref puts
  raw returns into the exponent; its beta of 1 is a coin flip on one task and an oracle on another.
- Skip and tie thresholds scale with the pool's mean *absolute* segment return, once. Where returns
  are never negative that is B-Pref's average return; where they are, B-Pref's thresholds turn
  negative and both effects vanish, and its PEBBLE script multiplies by the fraction a second time.
- The average is over the present candidates. B-Pref scales the return of recent whole episodes down
  to a segment's length, which assumes episodes of one length.
- A perfectly rational teacher calls exactly equal returns a tie; B-Pref answers left.
- Choice and mistake share one random draw per pair: the same distribution as B-Pref's two draws.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.config import TeacherConfig, TeacherSettings
from prefrl.config.teacher import check_effect
from prefrl.errors import ConfigError, DataError, option
from prefrl.segments import SegmentBatch

Returns = NDArray[np.float64]

# All pairs of this many segments are half a million: some 50 MB and a few hundredths of a second.
_MAX_SEGMENTS_PAIRED = 1_000


@dataclass(frozen=True)
class ReturnScale:
    """The location and the scale of a pool's true segment returns.

    Args:
        mean: average return.
        std: population standard deviation; 0 where all returns are equal.
        magnitude: average absolute return.
    """

    mean: float
    std: float
    magnitude: float


@dataclass(frozen=True)
class PairOdds:
    """The odds of a teacher's answers to B pairs, before any random draw.

    Args:
        is_skipped: (B,) neither segment is worth comparing.
        is_tie: (B,) called equal; never a skipped pair.
        p_left: (B,) probability of the answer "left" where neither of the above holds.
    """

    is_skipped: NDArray[np.bool_]
    is_tie: NDArray[np.bool_]
    p_left: Returns


def weighted_returns(segments: SegmentBatch, gamma: float) -> Returns:
    """Sums true rewards as a myopic teacher does: the segment's last steps count most.

    Args:
        segments: S segments of up to T steps.
        gamma: weight lost per step into the past; 1 gives the true return.

    Returns:
        (S,) sums of gamma**(L - 1 - t) times step t's true reward, over the L steps of each.

    Raises:
        DataError: a true reward is NaN or infinite.
    """
    left_to_go = segments.length[:, None] - 1.0 - np.arange(segments.segment_length)  # (S, T)
    weights = np.where(left_to_go >= 0, gamma ** np.maximum(left_to_go, 0), 0.0)
    # Row-major, so that a segment's sum is the same to the last bit whatever batch it stands in:
    # exact ties depend on it.
    steps = segments.true_rewards.astype(np.float64, order="C") * weights  # (S, T)
    returns: Returns = steps.sum(axis=1)
    if not np.isfinite(returns).all():
        raise DataError(
            "true_rewards holds NaN or infinite values; a simulated teacher answers from the true "
            "reward and cannot do without one"
        )
    return returns


def p_choose_left(gap: Returns, beta: float, std: float) -> Returns:
    """Returns how likely a Boltzmann-rational teacher chooses left: sigmoid(beta * gap / std).

    Args:
        gap: (B,) left return minus right return.
        beta: rationality, 0 or more.
        std: standard deviation of the pool's returns; at 0 the limit holds: the better segment
            for certain, a coin between equals.

    Returns:
        (B,) probability of choosing left.
    """
    if beta == 0.0:
        return np.full(gap.shape, 0.5)
    sharpness = beta / std if std > 0.0 else math.inf
    if math.isinf(sharpness):
        return np.heaviside(gap, 0.5)
    with np.errstate(over="ignore"):  # tanh(inf) is the right limit
        return 0.5 * (1.0 + np.tanh(0.5 * sharpness * gap))


def pair_odds(
    true_left: Returns,
    true_right: Returns,
    seen_left: Returns,
    seen_right: Returns,
    *,
    settings: TeacherSettings,
    scale: ReturnScale,
) -> PairOdds:
    """Puts B-Pref's five failings together, in the order of its algorithm 1.

    A pair is skipped where neither return reaches mean - (1 - skip_fraction) * magnitude: for
    returns that are never negative this is B-Pref's skip_fraction * mean, for others it lies as far
    below the mean. A pair whose true returns differ by less than equal_fraction * magnitude is a
    tie. Skips and ties go by undiscounted returns, the choice between the rest by those the teacher
    sees; then mistakes flip it.

    Args:
        true_left: (B,) undiscounted true returns of the left segments.
        true_right: (B,) the same of the right ones.
        seen_left: (B,) left returns as the teacher weighs them.
        seen_right: (B,) the same of the right ones.
        settings: how the teacher fails.
        scale: how large the returns of the present candidates are.

    Returns:
        what will become of each pair.
    """
    skip_below = scale.mean - (1.0 - settings.skip_fraction) * scale.magnitude
    is_skipped = np.maximum(true_left, true_right) < skip_below
    if settings.skip_fraction == 0.0:
        is_skipped = np.zeros_like(is_skipped)
    gap = seen_left - seen_right
    is_tie = np.abs(true_left - true_right) < settings.equal_fraction * scale.magnitude
    if math.isinf(settings.beta):
        is_tie |= gap == 0.0
    p_left = p_choose_left(gap, settings.beta, scale.std)
    return PairOdds(
        is_skipped=is_skipped,
        is_tie=is_tie & ~is_skipped,
        p_left=p_left + settings.p_mistake * (1.0 - 2.0 * p_left),
    )


def expected_rates(
    true: Returns, seen: Returns, *, settings: TeacherSettings, scale: ReturnScale
) -> dict[str, float]:
    """Computes the expected shares of errors, skips and ties over all pairs of a pool.

    Args:
        true: (S,) undiscounted true returns.
        seen: (S,) returns as the teacher weighs them.
        settings: how the teacher fails.
        scale: how large the returns of the pool are.

    Returns:
        teacher_error_rate, teacher_skip_rate and teacher_tie_rate, as `SyntheticTeacher.observe`
        explains them.
    """
    num_paired = min(len(true), _MAX_SEGMENTS_PAIRED)
    paired = np.linspace(0, len(true) - 1, num_paired).astype(np.int64)
    i, j = np.triu_indices(num_paired, k=1)
    left, right = paired[i], paired[j]  # (S (S - 1) / 2,)
    odds = pair_odds(
        true[left], true[right], seen[left], seen[right], settings=settings, scale=scale
    )
    can_err = ~(odds.is_skipped | odds.is_tie) & (true[left] != true[right])
    p_wrong = np.where(true[left] > true[right], 1.0 - odds.p_left, odds.p_left)
    return {
        "teacher_error_rate": float(p_wrong[can_err].mean()) if can_err.any() else 0.0,
        "teacher_skip_rate": float(odds.is_skipped.mean()) if len(left) else 0.0,
        "teacher_tie_rate": float(odds.is_tie.mean()) if len(left) else 0.0,
    }


class SyntheticTeacher:
    """Answers queries from the true reward, as B-Pref's simulated teachers do.

    Between sessions it knows nothing but the scale of the last pool it was shown, so a resumed run
    needs no state of it: the loop shows the pool before every session.

    Args:
        settings: how it fails; what is None is decided by the preset of its name.

    Raises:
        ConfigError: an oracle was given a failing, or it is people that are meant.

    Example:
        >>> import numpy as np
        >>> from prefrl import TeacherConfig
        >>> from prefrl.feedback.teachers import SyntheticTeacher
        >>> from prefrl.testing.made_up import segments
        >>> pool = segments(10, rng=np.random.default_rng(0))
        >>> teacher = SyntheticTeacher(TeacherConfig("oracle"))
        >>> teacher.answer(pool[:5], pool[5:], rng=np.random.default_rng(1)).shape
        (5,)
    """

    def __init__(self, settings: TeacherConfig) -> None:
        if not isinstance(settings, TeacherSettings):  # There every failing is said; none is odd.
            check_effect(settings)
        if settings.are_people:
            raise ConfigError(f"{option('teacher.name', settings.name)}: people are not simulated")
        self.settings = settings.decided()
        self._scale: ReturnScale | None = None

    def observe(self, pool: SegmentBatch) -> dict[str, float]:
        """Takes the scale of noise and thresholds from the present candidates.

        The rates are exact expectations over all pairs of the pool (over those of 1,000 segments
        spaced evenly through it, where it is larger), not estimates from answers.

        Args:
            pool: S segments, S at least 1.

        Returns:
            teacher_error_rate: of the decisive answers to pairs whose true returns differ, the
                expected share that contradicts their order; 0 where there is no such pair.
            teacher_skip_rate: share of all pairs that are skipped.
            teacher_tie_rate: share of all pairs that are called equal.
            segment_return_mean: average true return of the pool.
            segment_return_std: its population standard deviation.

        Raises:
            DataError: the pool is empty, or a true reward is NaN or infinite.
        """
        if len(pool) == 0:
            raise DataError("the pool holds no segments; a teacher needs at least 1 to scale by")
        true = weighted_returns(pool, gamma=1.0)
        self._scale = ReturnScale(
            mean=float(true.mean()),
            std=float(true.std()),
            magnitude=float(np.abs(true).mean()),
        )
        seen = weighted_returns(pool, self.settings.gamma)
        return {
            **expected_rates(true, seen, settings=self.settings, scale=self._scale),
            "segment_return_mean": self._scale.mean,
            "segment_return_std": self._scale.std,
        }

    def answer(
        self, left: SegmentBatch, right: SegmentBatch, *, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Answers B queries, drawing one random number for each, needed or not.

        So a pair's answer depends on its place in the stream and on nothing about other pairs.

        Args:
            left: B segments of T steps.
            right: B segments of T steps.
            rng: the stream to draw from.

        Returns:
            (B,) 1 left, 0 right, 0.5 tie, NaN skipped.

        Raises:
            DataError: left and right differ in shape, a true reward is NaN or infinite, or the
                settings ask for a scale and no pool was shown yet.
        """
        if left.true_rewards.shape != right.true_rewards.shape:
            raise DataError(
                f"left has shape {left.true_rewards.shape} and right {right.true_rewards.shape}; "
                "expected the same (pairs, steps)"
            )
        if self._scale is None and self.settings.needs_scale:
            raise DataError(
                "this teacher has seen no segments yet: call observe(pool) before answer(); its "
                f"noise and thresholds are relative to the pool's returns ({self.settings})"
            )
        odds = pair_odds(
            weighted_returns(left, gamma=1.0),
            weighted_returns(right, gamma=1.0),
            weighted_returns(left, self.settings.gamma),
            weighted_returns(right, self.settings.gamma),
            settings=self.settings,
            scale=self._scale or ReturnScale(mean=0.0, std=0.0, magnitude=0.0),
        )
        answers = (rng.random(len(left)) < odds.p_left).astype(np.float64)
        answers[odds.is_tie] = 0.5
        answers[odds.is_skipped] = np.nan
        return answers
