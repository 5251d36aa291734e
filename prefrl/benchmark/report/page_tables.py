"""Tables of the report's page: text for every entry, and the tone it is coloured by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.benchmark.report.analysis import Analysis
from prefrl.benchmark.report.answers import AnswersNeeded
from prefrl.benchmark.report.curves import UNIFORM, Stratum
from prefrl.benchmark.report.figures import score_label
from prefrl.benchmark.report.numbers import digits_of, interval_text, plain_number
from prefrl.benchmark.report.statistics import Estimate
from prefrl.benchmark.report.verdicts import Verdict
from prefrl.types import Float64Array


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Args:
        text: what it says.
        note: smaller, behind it.
        tone: a verdict's outcome, "muted" where nothing is known, or "".
    """

    text: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table with a row for each strategy.

    Args:
        heads: of the columns behind the strategies'.
        rows: a strategy's name and its entries, as many as heads.
    """

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, tuple[Entry, ...]]]


_SUMMARY = {
    "higher": f"Supported as better than {UNIFORM} at the end",
    "lower": f"Supported as worse than {UNIFORM} at the end",
    "unclear": "No difference supported at the end",
    "few": "Too few pairs to tell",
}


def summary(analysis: Analysis) -> list[Entry]:
    """Returns the outcomes at the final budget, in four lines at most."""
    verdicts = analysis.verdicts["final"]
    lines = []
    for outcome, line in _SUMMARY.items():
        names = [verdict.strategy for verdict in verdicts if verdict.outcome == outcome]
        if names or (outcome == "higher" and any(v.outcome != "few" for v in verdicts)):
            lines.append(Entry(line, ", ".join(names) or "none", outcome))
    return lines


def verdict_table(analysis: Analysis) -> PageTable:
    """Returns each strategy's verdicts: at the end, and over the whole curve."""
    titles = {"final": "At the end", "area": "Over the whole curve"}
    titles = {of: title for of, title in titles.items() if analysis.verdicts[of]}
    by_name: dict[str, dict[str, Verdict]] = {}
    for of in titles:
        for verdict in analysis.verdicts[of]:
            by_name.setdefault(verdict.strategy, {})[of] = verdict
    rows = [
        (name, tuple(_verdict(found.get(of)) for of in titles)) for name, found in by_name.items()
    ]
    return PageTable(tuple(titles.values()), rows)


def _verdict(verdict: Verdict | None) -> Entry:
    if verdict is None:
        return Entry("not known", tone="muted")
    return Entry(verdict.claim, verdict.evidence, verdict.outcome)


def gap_table(analysis: Analysis) -> PageTable:
    """Returns mean differences by environment, which a verdict over all of them may hide."""
    strata = analysis.study.strata
    sizes = [float(g.mean()) for by in analysis.gaps.values() for g in by.values() if g.mean()]
    digits = min(max(2 - int(np.floor(np.log10(max(map(abs, sizes), default=1.0)))), 1), 6)
    rows = [
        (name, tuple(gap_entry(by_stratum.get(stratum), digits) for stratum in strata))
        for name, by_stratum in analysis.gaps.items()
    ]
    return PageTable(_heads_of(strata), rows)


def gap_entry(gaps: Float64Array | None, digits: int) -> Entry:
    """Returns the mean difference with its sign, and how many seeds are above 0."""
    if gaps is None:
        return Entry("not known", tone="muted")
    mean = float(gaps.mean())
    sign = "+" if round(mean, digits) > 0 else ""
    share = f"({int((gaps > 0).sum())} of {len(gaps)})"
    return Entry(f"{sign}{plain_number(mean, digits)}", share)


def score_table(analysis: Analysis) -> PageTable:
    """Returns every measure's interquartile mean over all runs, with its interval."""
    study = analysis.study
    columns: dict[str, Mapping[str, Estimate]] = {
        f"{score_label(study)}, at the end": analysis.finals,
        "over the whole curve": analysis.areas,
    }
    for name in study.mode.others:
        measure = name.removeprefix("-")
        hint = ", lower is better" if name.startswith("-") else ""
        columns[measure + hint] = analysis.others[measure]
    columns = {
        title: estimates
        for title, estimates in columns.items()
        if any(np.isfinite(estimate.value) for estimate in estimates.values())
    }
    digits = [digits_of(estimates.values()) for estimates in columns.values()]
    rows = []
    for name in analysis.ranking:
        num_runs = sum(map(len, study.finals(name).values()))
        entries = (
            _estimate(one[name], exact) for one, exact in zip(columns.values(), digits, strict=True)
        )
        rows.append((name, (Entry(str(num_runs)), *entries)))
    return PageTable(("runs", *columns), rows)


def _estimate(estimate: Estimate, digits: int | None) -> Entry:
    if not np.isfinite(estimate.value):
        return Entry("not known", tone="muted")
    text = plain_number(float(estimate.value), digits)
    if not np.isfinite(estimate.low):
        return Entry(text)
    return Entry(text, f"({interval_text(estimate, digits)})")


def answer_table(analysis: Analysis) -> PageTable:
    """Returns the answers that each strategy needs for what `uniform` reaches."""
    targets = tuple(
        Entry(f"{plain_number(one.target)} with {one.budget:,.0f}", tone="muted")
        for one in analysis.answers.values()
    )
    rows = [(f"{UNIFORM} reaches", targets)]
    rows += [
        (name, tuple(_needed(one, name) for one in analysis.answers.values()))
        for name in analysis.ranking
    ]
    return PageTable(_heads_of(list(analysis.answers)), rows)


def _needed(answers: AnswersNeeded, name: str) -> Entry:
    if name not in answers.needed:
        return Entry("not run", tone="muted")
    needed = answers.needed[name]
    if needed is None:
        return Entry("not reached", tone="muted")
    at_most = "at most " if needed <= answers.least else ""
    return Entry(f"{at_most}{needed:,.0f}", f"({needed / answers.budget:.0%})")


def _heads_of(strata: Sequence[Stratum]) -> tuple[str, ...]:
    return tuple(", ".join(filter(None, stratum)) for stratum in strata)
