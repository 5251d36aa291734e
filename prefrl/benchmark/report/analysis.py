"""What a study says: estimates with intervals, and which differences are supported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.benchmark.report.statistics import (
    LEVEL,
    Estimate,
    FloatArray,
    Strata,
    bootstrap,
    budget_to_reach,
    holm,
    mean,
    pairs_needed,
    performance_profile,
    probability_of_improvement,
    signed_rank_p,
)
from prefrl.benchmark.report.study import LEAST_SHARE, UNIFORM, Curve, Scores, Stratum, Study

_NUM_THRESHOLDS = 101
_FEWEST_PAIRS = pairs_needed(1)


@dataclass(frozen=True)
class Verdict:
    """How a strategy compares with `uniform` in runs with the same environment, teacher and seed.

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
        """The outcome in words."""
        if self.outcome == "few":
            needed = pairs_needed(self.num_tests)
            tests = f" in {self.num_tests} tests" if needed > _FEWEST_PAIRS else ""
            return (
                f"too few pairs to tell (n = {self.num_pairs}; at least {needed} are needed "
                f"for p < 0.05{tests})"
            )
        value = float(self.difference.value)
        size = plain_number(abs(value), digits_of([self.difference]))
        if self.outcome == "unclear":
            direction = "higher" if value > 0 else "lower"
            gap = f"{size} {direction} than uniform" if value else "the same as uniform"
            return f"not supported: {gap} ({self._evidence()})"
        return f"supported: {self.outcome} than uniform by {size} ({self._evidence()})"

    def _evidence(self) -> str:
        p = f"= {self.p_corrected:.2g}" if (self.p_corrected or 0) >= 0.001 else "< 0.001"
        parts = [f"Holm-corrected p {p}", f"n = {self.num_pairs}"]
        if np.isfinite(self.difference.low):
            interval = interval_text(self.difference, digits_of([self.difference]))
            parts.insert(0, f"95% interval {interval}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Band:
    """An estimated curve.

    Args:
        x: (P,) answers, steps or shares of them.
        height: (P,) interquartile mean.
    """

    x: FloatArray
    height: Estimate


@dataclass(frozen=True)
class Answers:
    """How many answers strategies need for what `uniform` reaches with all of its own.

    Args:
        budget: uniform's largest.
        target: its mean there.
        least: its smallest; what was needed before that is not known.
        needed: strategy -> the smallest budget that reaches it; None where none does.
    """

    budget: float
    target: float
    least: float
    needed: Mapping[str, float | None]


@dataclass(frozen=True)
class Analysis:
    """Everything that a report shows of a study.

    Args:
        study: what it is of.
        ranking: strategies from the highest final score down.
        by_strategy: strategy -> its curve over all strata, on the scale.
        by_stratum: stratum -> strategy -> its curve, in the measure's own units.
        reference: environment -> the curve on the true reward, in the measure's own units.
        finals: strategy -> interquartile mean at the final budget, on the scale.
        areas: likewise of the mean height of the curve.
        others: measure -> strategy -> interquartile mean of the last known figure.
        thresholds: (T,) of the profiles.
        profiles: strategy -> (T,) share of runs above each.
        improvement: strategy -> probability of improvement over uniform.
        verdicts: "final" and "area" -> the strategies', in order of ranking.
        gaps: strategy -> stratum -> (pairs,) final score less uniform's, on the scale.
        answers: by stratum, for those that `uniform` is in.
    """

    study: Study
    ranking: tuple[str, ...]
    by_strategy: Mapping[str, Band]
    by_stratum: Mapping[Stratum, Mapping[str, Band]]
    reference: Mapping[str, Band]
    finals: Mapping[str, Estimate]
    areas: Mapping[str, Estimate]
    others: Mapping[str, Mapping[str, Estimate]]
    thresholds: FloatArray
    profiles: Mapping[str, Estimate]
    improvement: Mapping[str, Estimate]
    verdicts: Mapping[str, Sequence[Verdict]]
    gaps: Mapping[str, Mapping[Stratum, FloatArray]]
    answers: Mapping[Stratum, Answers]


def analyse(study: Study, *, rng: np.random.Generator) -> Analysis:
    """Estimates all that a report shows.

    Args:
        study: of one mode.
        rng: for the bootstrap.
    """
    names = study.strategies
    finals = {name: study.finals(name) for name in names}
    areas = {name: study.areas(name) for name in names}
    final_estimates = {name: bootstrap(strata_of(finals[name]), rng=rng) for name in names}

    def height(name: str) -> float:
        value = float(final_estimates[name].value)
        return value if np.isfinite(value) else -np.inf

    ranking = tuple(sorted(names, key=lambda name: -height(name)))
    thresholds = _thresholds(finals)
    measures = [name.removeprefix("-") for name in study.mode.others]
    return Analysis(
        study=study,
        ranking=ranking,
        by_strategy={name: _overall_band(study, name, rng) for name in names},
        by_stratum={
            stratum: {
                name: _band(curves, study.mode.measure, study.grid(stratum), rng)
                for name in names
                if (curves := study.of(name, stratum))
            }
            for stratum in study.strata
        },
        reference=_references(study, rng),
        finals=final_estimates,
        areas={name: bootstrap(strata_of(areas[name]), rng=rng) for name in names},
        others={
            measure: {
                name: bootstrap(strata_of(study.lasts(name, measure)), rng=rng) for name in names
            }
            for measure in (*measures, "select_s")
        },
        thresholds=thresholds,
        profiles={
            name: performance_profile(strata_of(finals[name]), thresholds, rng=rng)
            for name in names
            if finals[name]
        },
        improvement=_improvement(finals, rng),
        verdicts={
            "final": verdicts(finals, ranking, rng=rng),
            "area": verdicts(areas, ranking, rng=rng),
        },
        gaps={
            name: gaps
            for name in ranking
            if name != UNIFORM
            and (gaps := paired_differences(finals[name], finals.get(UNIFORM, {})))
        },
        answers={
            stratum: answers
            for stratum in study.strata
            if (answers := answers_needed(study, stratum)) is not None
        },
    )


def strata_of(scores: Scores) -> Strata:
    """(seeds,) scores of each stratum, in order of name."""
    return [np.array(list(scores[stratum].values())) for stratum in sorted(scores)]


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


def paired_differences(scores: Scores, baseline: Scores) -> dict[Stratum, FloatArray]:
    """Stratum -> (pairs,) differences over the seeds that both have, in order of name."""
    return {
        stratum: np.array([scores[stratum][seed] - baseline[stratum][seed] for seed in seeds])
        for stratum in sorted(scores.keys() & baseline.keys())
        if (seeds := sorted(scores[stratum].keys() & baseline[stratum].keys()))
    }


def answers_needed(study: Study, stratum: Stratum) -> Answers | None:
    """The answers each strategy needs, by its finished runs' mean.

    Returns:
        None without `uniform`, or where all runs had much the same number of answers, which says
        nothing of fewer.
    """
    means = {
        name: _means_by_budget(list(filter(study.is_finished, study.of(name, stratum))))
        for name in study.strategies
    }
    budgets, heights = means.get(UNIFORM, (np.zeros(0), np.zeros(0)))
    if not len(budgets) or budgets[0] >= LEAST_SHARE * budgets[-1]:
        return None
    target = float(heights[-1])
    return Answers(
        float(budgets[-1]),
        target,
        float(budgets[0]),
        {name: budget_to_reach(*mean, target) for name, mean in means.items() if len(mean[0])},
    )


def _means_by_budget(curves: Sequence[Curve]) -> tuple[FloatArray, FloatArray]:
    budgets = sorted({budget for curve in curves for budget in curve.answers})
    table = np.array([[curve.answers.get(b, np.nan) for b in budgets] for curve in curves])
    heights = mean(table) if curves else np.zeros(0)
    is_known = np.isfinite(heights)
    return np.array(budgets, dtype=np.float64)[is_known], heights[is_known]


def _band(
    curves: Sequence[Curve], measure: str, grid: FloatArray, rng: np.random.Generator
) -> Band:
    """Of one stratum, where at least one run has figures."""
    return Band(grid, bootstrap([np.array([c.at(measure, grid) for c in curves])], rng=rng))


def _overall_band(study: Study, strategy: str, rng: np.random.Generator) -> Band:
    """Over the strata that the scale covers, where every one of them has figures."""
    grid = study.grid()
    strata = []
    has_all = np.ones(len(grid), dtype=bool)
    for stratum in study.strata:
        curves = study.of(strategy, stratum)
        if not curves or not study.scale.covers(stratum[0]):
            continue
        places = grid * study.ends[stratum] if study.is_in_shares else grid
        heights = np.array([curve.at(study.mode.measure, places) for curve in curves])
        strata.append(study.scale.apply(heights, stratum[0]))
        has_all &= np.isfinite(heights).any(axis=0)
    if not strata:
        return Band(np.zeros(0), Estimate(*(np.zeros(0),) * 3))
    strata = [np.where(has_all, heights, np.nan) for heights in strata]
    return Band(grid, bootstrap(strata, rng=rng))


def _references(study: Study, rng: np.random.Generator) -> dict[str, Band]:
    bands = {}
    for env in sorted({curve.stratum[0] for curve in study.reference}):
        curves = [curve for curve in study.reference if curve.stratum[0] == env]
        grid = np.unique(np.concatenate([curve.x for curve in curves]))
        bands[env] = _band(curves, study.mode.measure, grid, rng)
    return bands


def _improvement(finals: Mapping[str, Scores], rng: np.random.Generator) -> dict[str, Estimate]:
    uniform = finals.get(UNIFORM, {})
    estimates = {}
    for name, scores in finals.items():
        common = sorted(scores.keys() & uniform.keys())
        if name != UNIFORM and common:
            pairs = [
                (np.array(list(scores[s].values())), np.array(list(uniform[s].values())))
                for s in common
            ]
            estimates[name] = probability_of_improvement(pairs, rng=rng)
    return estimates


def _thresholds(finals: Mapping[str, Scores]) -> FloatArray:
    known = [score for scores in finals.values() for s in scores.values() for score in s.values()]
    if not known:
        return np.zeros(0)
    low, high = min(known), max(known)
    margin = 0.03 * (high - low) or 0.01
    return np.linspace(low - margin, high + margin, _NUM_THRESHOLDS)


def digits_of(estimates: Iterable[Estimate]) -> int | None:
    """Digits behind the point that figures shown together are worth: two of the widest interval.

    Args:
        estimates: () each.

    Returns:
        None where none has an interval.
    """
    widths = [float(one.high - one.low) for one in estimates if one.high > one.low]
    return min(max(1 - int(np.floor(np.log10(max(widths)))), 0), 6) if widths else None


def plain_number(value: float, digits: int | None = None) -> str:
    """A figure for people.

    Args:
        value: the figure.
        digits: behind the point; None gives three in all, or every one before the point where
            those are more.
    """
    if digits is None:
        digits = min(max(2 - int(np.floor(np.log10(abs(value)))), 0), 6) if value else 0
    rounded = round(value, digits) + 0.0  # No minus before a zero.
    return f"{rounded:,.{digits}f}".replace("-", "\u2212")


def interval_text(estimate: Estimate, digits: int | None = None) -> str:
    """Both ends of an interval that there is."""
    low, high = float(estimate.low), float(estimate.high)
    return f"{plain_number(low, digits)} to {plain_number(high, digits)}"
