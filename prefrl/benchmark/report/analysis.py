"""Everything that a report shows of a study, estimated with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.benchmark.report.answers import AnswersNeeded, answers_needed
from prefrl.benchmark.report.curves import UNIFORM, Curve, Scores, Stratum
from prefrl.benchmark.report.statistics import (
    Estimate,
    Strata,
    bootstrap,
    performance_profile,
    probability_of_improvement,
)
from prefrl.benchmark.report.study import Study
from prefrl.benchmark.report.verdicts import Verdict, paired_differences, verdicts
from prefrl.types import Float64Array

_NUM_THRESHOLDS = 101


@dataclass(frozen=True)
class Band:
    """An estimated curve.

    Args:
        x: (P,) answers, steps or shares of them.
        height: (P,) interquartile mean.
    """

    x: Float64Array
    height: Estimate


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
        others: measure -> strategy -> interquartile mean of the last known value.
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
    thresholds: Float64Array
    profiles: Mapping[str, Estimate]
    improvement: Mapping[str, Estimate]
    verdicts: Mapping[str, Sequence[Verdict]]
    gaps: Mapping[str, Mapping[Stratum, Float64Array]]
    answers: Mapping[Stratum, AnswersNeeded]


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
    """Returns (seeds,) scores of each stratum, in order of name."""
    return [np.array(list(scores[stratum].values())) for stratum in sorted(scores)]


def _band(
    curves: Sequence[Curve], measure: str, grid: Float64Array, rng: np.random.Generator
) -> Band:
    """Estimates the curve of one stratum, where at least one run has measurements."""
    return Band(grid, bootstrap([np.array([c.at(measure, grid) for c in curves])], rng=rng))


def _overall_band(study: Study, strategy: str, rng: np.random.Generator) -> Band:
    """Estimates the curve over the strata on the scale, where each of them has measurements."""
    grid = study.grid()
    strata = []
    has_all = np.ones(len(grid), dtype=bool)
    for stratum in study.strata:
        curves = study.of(strategy, stratum)
        if not curves or not study.scale.covers(stratum[0]):
            continue
        points = grid * study.ends[stratum] if study.is_in_shares else grid
        heights = np.array([curve.at(study.mode.measure, points) for curve in curves])
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


def _thresholds(finals: Mapping[str, Scores]) -> Float64Array:
    known = [score for scores in finals.values() for s in scores.values() for score in s.values()]
    if not known:
        return np.zeros(0)
    low, high = min(known), max(known)
    margin = 0.03 * (high - low) or 0.01
    return np.linspace(low - margin, high + margin, _NUM_THRESHOLDS)
