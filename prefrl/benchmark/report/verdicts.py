"""Verdicts: which differences from `uniform` the runs support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.benchmark.report.curves import UNIFORM, Scores, Stratum
from prefrl.benchmark.report.numbers import digits_of, interval_text, plain_number
from prefrl.benchmark.report.statistics import (
    LEVEL,
    Estimate,
    bootstrap,
    holm,
    pairs_needed,
    signed_rank_p,
)
from prefrl.types import Float64Array

_FEWEST_PAIRS = pairs_needed(1)


@dataclass(frozen=True)
class Verdict:
    """A strategy compared with `uniform`, run by run of one environment, teacher and seed.

    Args:
        strategy: its name.
        num_pairs: of such runs.
        num_tests: strategies whose p-values were corrected together.
        difference: () interquartile mean of the pairs' differences.
        p: Wilcoxon's, before the correction; None with fewer than 6 pairs.
        p_corrected: after Holm's.
    """

    strategy: str
    num_pairs: int
    num_tests: int
    difference: Estimate
    p: float | None = None
    p_corrected: float | None = None

    @property
    def outcome(self) -> str:
        """One of "higher", "lower", "unclear", and "few" where so few pairs can hardly tell.

        A difference is supported where the corrected p is below 0.05 and the interval, if there is
        one, lies on one side of 0. Where it is not, pairs are few if even the most one-sided ones
        could not have been the first to pass Holm's correction.
        """
        low, value, high = (
            float(end) for end in (self.difference.low, self.difference.value, self.difference.high)
        )
        is_significant = self.p_corrected is not None and self.p_corrected < LEVEL
        if is_significant and value != 0 and not low <= 0 <= high:
            return "higher" if value > 0 else "lower"
        if is_significant or self.num_pairs >= pairs_needed(self.num_tests):
            return "unclear"
        return "few"

    @property
    def sentence(self) -> str:
        """The outcome in words, with its evidence."""
        return f"{self.claim} ({self.evidence})"

    @property
    def claim(self) -> str:
        """The outcome in words."""
        if self.outcome == "few":
            return "too few pairs to tell"
        value = float(self.difference.value)
        size = plain_number(abs(value), digits_of([self.difference]))
        if self.outcome == "unclear":
            direction = "higher" if value > 0 else "lower"
            gap = f"{size} {direction} than uniform" if value else "the same as uniform"
            return f"not supported: {gap}"
        return f"supported: {self.outcome} than uniform by {size}"

    @property
    def evidence(self) -> str:
        """The interval, the corrected p-value and the number of pairs."""
        if self.outcome == "few":
            needed = pairs_needed(self.num_tests)
            tests = f" in {self.num_tests} tests" if needed > _FEWEST_PAIRS else ""
            return f"n = {self.num_pairs}; at least {needed} are needed for p < 0.05{tests}"
        p = f"= {self.p_corrected:.2g}" if (self.p_corrected or 0) >= 0.001 else "< 0.001"
        parts = [f"Holm-corrected p {p}", f"n = {self.num_pairs}"]
        if np.isfinite(self.difference.low):
            interval = interval_text(self.difference, digits_of([self.difference]))
            parts.insert(0, f"95% interval {interval}")
        return ", ".join(parts)


def verdicts(
    scores: Mapping[str, Scores], order: Sequence[str], *, rng: np.random.Generator
) -> list[Verdict]:
    """Compares each strategy with `uniform`, and corrects for their number.

    Args:
        scores: by strategy, on one scale.
        order: of the strategies.
        rng: for the intervals.

    Returns:
        Nothing where there is no `uniform`.
    """
    uniform = scores.get(UNIFORM, {})
    if not uniform:
        return []
    differences = {
        name: list(paired_differences(scores[name], uniform).values())
        for name in order
        if name != UNIFORM
    }
    sizes = {name: sum(map(len, strata)) for name, strata in differences.items()}
    tested = [name for name, size in sizes.items() if size >= _FEWEST_PAIRS]
    p_values = [signed_rank_p(np.concatenate(differences[name])) for name in tested]
    p_of = dict(zip(tested, p_values, strict=True))
    corrected_of = dict(zip(tested, holm(p_values), strict=True))
    return [
        Verdict(
            strategy=name,
            num_pairs=sizes[name],
            num_tests=len(tested),
            difference=bootstrap(strata, rng=rng),
            p=p_of.get(name),
            p_corrected=corrected_of.get(name),
        )
        for name, strata in differences.items()
    ]


def paired_differences(scores: Scores, baseline: Scores) -> dict[Stratum, Float64Array]:
    """Returns stratum -> (pairs,) differences over the seeds that both have, in order of name."""
    return {
        stratum: np.array([scores[stratum][seed] - baseline[stratum][seed] for seed in seeds])
        for stratum in sorted(scores.keys() & baseline.keys())
        if (seeds := sorted(scores[stratum].keys() & baseline[stratum].keys()))
    }
