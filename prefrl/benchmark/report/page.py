"""The report as one HTML file: pictures and style are inside it, nothing is fetched."""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from prefrl.benchmark.grid.cells import TRUE_REWARD
from prefrl.benchmark.report.analysis import (
    Analysis,
    Answers,
    Verdict,
    digits_of,
    interval_text,
    plain_number,
)
from prefrl.benchmark.report.figures import score_label
from prefrl.benchmark.report.statistics import Estimate, FloatArray
from prefrl.benchmark.report.study import UNIFORM, Stratum, Study

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --muted: #5f6673; --line: #d9dce2; --page: #fff;
  --card: #f6f7f9; --good: #00754f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --muted: #a3aab6; --line: #3a4150;
  --page: #14171d; --card: #1d222b; --good: #4cc79a; --bad: #ff8a80; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1000px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { margin-top: 2.5rem; padding-top: .8rem;
  border-top: 2px solid var(--line); } h3 { margin: 2rem 0 .4rem; font-size: 1.05rem; }
.muted, figcaption, .note { color: var(--muted); font-size: .9rem; }
.wide { overflow-x: auto; } figure { margin: .6rem 0 1.2rem; }
img { display: block; width: 100%; min-width: 620px; height: auto; background: #fff;
  border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 600; }
tbody th { font-weight: 600; overflow-wrap: break-word; }
.numbers td, .numbers tbody th { white-space: nowrap; }
.summary { background: var(--card); border-radius: 6px; padding: .7rem 1rem; }
.summary p { margin: .25rem 0; }
.higher { color: var(--good); } .lower { color: var(--bad); }
.unclear, .few { color: var(--muted); } td .few { font-weight: 400; }
@media (max-width: 640px) { .verdicts thead { display: none; }
  .verdicts tr, .verdicts th, .verdicts td { display: block; border: 0; padding: .1rem 0; }
  .verdicts tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .verdicts td::before { content: attr(data-of) ": "; color: var(--muted); } }
"""

_READING = """
<p><b>Interquartile mean</b>: the mean of the middle half of all runs, of all environments and
teachers together. <b>95% interval</b>: from a stratified bootstrap (2,000 resamples): seeds are
drawn anew within each environment and teacher, never across them. It says how much other seeds
might have changed the figure, not what other environments would. An environment with a single seed
adds no width, and with fewer than five seeds intervals are rather too short.</p>
<p><b>Probability of improvement</b>: how likely a run of a strategy is to beat a run of
<code>uniform</code> in the same environment with the same teacher; 0.5 is chance.
<b>Performance profile</b>: the share of runs that score above a threshold; the higher line is
better. All three: Agarwal et al. 2021, <i>Deep Reinforcement Learning at the Edge of the
Statistical Precipice</i>; the formulas are those of their library rliable.</p>
<p><b>Supported</b>: Wilcoxon's signed-rank test over pairs of runs with the same environment,
teacher and seed (exact, two-sided) has p &lt; 0.05 after Holm's correction for the number of
strategies, and the interval of the pairs' interquartile mean difference lies on one side of 0. The
correction is made for the final budget and for the whole curve separately. The test takes pairs as
independent; two teachers that judge the same runs are less than that. <b>Not supported</b> means
that these runs do not show a difference, not that there is none. <b>Too few pairs</b>: even if
every one of them pointed the same way, the difference could not have been the first to pass the
correction.</p>
<p><b>Answers needed</b>: the smallest number of answers at which a strategy's mean over seeds
reaches what <code>uniform</code> reaches with all of its own, on straight lines between
measurements. It has no interval: read small differences as noise.</p>
"""

_CAPTIONS = {
    "curves-by-environment": "Learning curves of each environment and teacher: interquartile mean "
    "over seeds, band: 95% bootstrap interval.",
    "curves-by-strategy": "Each strategy beside uniform (black), all environments and teachers "
    "together: interquartile mean, band: 95% stratified bootstrap interval; the best first.",
    "interquartile-means": "Interquartile mean over all runs and its 95% stratified bootstrap "
    "interval; the thin line is uniform's.",
    "improvement": "Probability of improvement over uniform and its 95% interval; right of the "
    "thin line a strategy tends to win.",
    "profiles": "Performance profiles: the share of runs above each threshold, band: 95% interval.",
    "selection-time": "Seconds spent on selecting queries in one run, as of its last measurement: "
    "interquartile mean and 95% interval. Strategies that ran beside other work look slower.",
    "session-time": "Seconds that one run spent on its queries: drawing candidates, choosing among "
    "them, asking the teacher and keeping the answers; interquartile mean and 95% interval. "
    "Strategies that ran beside other work look slower.",
}


def page_of(sections: Sequence[tuple[Analysis, Mapping[str, bytes]]]) -> str:
    """The whole page.

    Args:
        sections: of each mode: what was found, and its pictures as PNG by name.
    """
    body = "".join(_section(analysis, pictures) for analysis, pictures in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Query strategies compared</title><style>{_STYLE}</style></head>\n"
        f'<body><h1>Query strategies compared</h1>\n{body}<h2 id="reading">How to read this</h2>'
        f"{_READING}</body></html>\n"
    )


def _section(analysis: Analysis, pictures: Mapping[str, bytes]) -> str:
    study = analysis.study
    parts = [
        f'<h2 id="{study.mode.name}">{study.mode.title}: {escape(study.mode.label)}</h2>',
        f'<p class="muted">{escape(extent(study))}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in notes(study)),
    ]
    if any(analysis.verdicts.values()):
        parts += ["<h3>What these runs support</h3>", _summary(analysis), _verdicts(analysis)]
        if len(study.strata) > 1:
            parts += ["<h3>The same, environment by environment</h3>", _gaps(analysis)]
    titles = {
        "curves-by-strategy": "Learning curves, strategy by strategy",
        "curves-by-environment": "Learning curves, environment by environment",
        "interquartile-means": "Interquartile means",
        "improvement": f"Probability of improvement over {UNIFORM}",
        "profiles": "Performance profiles",
    }
    for name, title in titles.items():
        if name in pictures:
            parts += [f"<h3>{title}</h3>", _figure(name, pictures[name])]
        if name == "interquartile-means" and analysis.ranking:
            parts.append(_scores(analysis))
    if analysis.answers:
        parts += [f"<h3>Answers needed for what {UNIFORM} reaches</h3>", _answers(analysis)]
    if "selection-time" in pictures:
        name = "selection-time" if study.mode.name == "reward" else "session-time"
        figure = _figure(name, pictures["selection-time"])
        parts += ["<h3>Selection time</h3>", figure]
    return "\n".join(parts) + "\n"


def extent(study: Study) -> str:
    """How large a study is, in words."""
    curves = study.curves
    parts = []
    if curves:
        parts = [
            _counted(len(curves), "run"),
            _counted(len(study.strategies), "strategy", "strategies"),
            _counted(len({env for env, _ in study.strata}), "environment"),
            _counted(len({teacher for _, teacher in study.strata}), "teacher"),
            _counted(len({curve.seed for curve in curves}), "seed"),
            f"up to {max(study.budgets.values()):,.0f} answers",
        ]
    if study.reference:
        parts.append(f"{_counted(len(study.reference), 'run')} on the true reward")
    return ", ".join(parts) + "."


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def notes(study: Study) -> list[str]:
    """What a reader must know before the figures."""
    if not study.curves:
        return ["There are no runs of a query strategy yet."]
    found = []
    if UNIFORM not in study.strategies:
        found.append(f"There is no strategy {UNIFORM!r}, so nothing is compared with it.")
    num_open = sum(not study.is_finished(curve) for curve in study.curves)
    if num_open:
        found.append(
            f"{_counted(num_open, 'run')} of {len(study.curves):,} "
            f"{'has' if num_open == 1 else 'have'} no {study.mode.label} at the end, or fewer "
            "answers than others: left out of everything but the curves."
        )
    if len({curve.seed for curve in study.curves}) == 1:
        found.append("There is one seed: no interval can be given for a single environment.")
    finals = {name: study.finals(name) for name in study.strategies}
    seeds: dict[Stratum, set[int]] = defaultdict(set)
    for scores in finals.values():
        for stratum, by_seed in scores.items():
            seeds[stratum] |= by_seed.keys()
    missing = {
        name: sum(len(seeds[one] - scores.get(one, {}).keys()) for one in seeds)
        for name, scores in finals.items()
    }
    if any(missing.values()):
        named = ", ".join(f"{name} {number}" for name, number in missing.items() if number)
        found.append(
            "Figures over all runs are of other runs than those of the rest where a strategy lacks "
            f"some that others have ({named}), such as failed or waiting ones; what is supported "
            "is told by the runs that both have."
        )
    return found + _scale_notes(study) + _policy_notes(study)


def _policy_notes(study: Study) -> list[str]:
    if study.mode.name != "rl":
        return []
    return [
        "Curves tell the returns of training episodes, in which actions are drawn by chance and "
        "which may be short at first (--train-episode-steps). Figures at the end are of the final "
        "policy in evaluation, often higher than where its curve ends. Accuracy is on answers held "
        "out of a run's own, so that whoever asks harder questions gets a lower figure."
    ]


def _scale_notes(study: Study) -> list[str]:
    reference = study.scale.reference
    if study.mode.name != "rl" or not reference:
        return []
    left_out = sorted({env for env, _ in study.strata if not study.scale.covers(env)})
    if len(left_out) == len({env for env, _ in study.strata}):
        return [
            f"Neither {TRUE_REWARD!r} nor {UNIFORM!r} has finished in any environment, so returns "
            "cannot be put on one scale: only the learning curves are shown."
        ]
    found = [
        f"But for the curves of single environments, returns are shares of {reference}'s mean "
        "final return: 1 is as good. That mean is taken as known exactly."
    ]
    if left_out:
        found.append(
            f"Without a return of {reference}, and so left out of all but their own curves: "
            f"{', '.join(left_out)}."
        )
    return found


def _summary(analysis: Analysis) -> str:
    """The outcomes at the final budget, in four lines at most."""
    lines = {
        "higher": f"Supported as better than {UNIFORM} at the end",
        "lower": f"Supported as worse than {UNIFORM} at the end",
        "unclear": "No difference supported at the end",
        "few": "Too few pairs to tell",
    }
    verdicts = analysis.verdicts["final"]
    found = []
    for outcome, line in lines.items():
        names = [escape(v.strategy) for v in verdicts if v.outcome == outcome]
        if names or (outcome == "higher" and any(v.outcome != "few" for v in verdicts)):
            text = ", ".join(names) or "none"
            found.append(f'<p><b class="{outcome}">{line}:</b> {text}.</p>')
    return f'<div class="summary">{"".join(found)}</div>'


def _verdicts(analysis: Analysis) -> str:
    study = analysis.study
    columns = {"final": "At the end", "area": "Over the whole curve"}
    by_name: dict[str, dict[str, Verdict]] = {}
    for of, verdicts in analysis.verdicts.items():
        for verdict in verdicts:
            by_name.setdefault(verdict.strategy, {})[of] = verdict
    columns = {of: title for of, title in columns.items() if analysis.verdicts[of]}
    rows = []
    for name, of_strategy in by_name.items():
        cells = [
            f'<td data-of="{title}">{_verdict(of_strategy[of])}</td>'
            for of, title in columns.items()
            if of in of_strategy
        ]
        rows.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{title}</th>" for title in columns.values())
    return (
        f'<table class="verdicts"><thead><tr><th>strategy</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
        f'<p class="note">Differences are in units of: {escape(score_label(study))}.</p>'
    )


def _gaps(analysis: Analysis) -> str:
    """Mean differences, which a verdict over all environments may hide."""
    strata = analysis.study.strata
    sizes = [float(g.mean()) for by in analysis.gaps.values() for g in by.values() if g.mean()]
    digits = min(max(2 - int(np.floor(np.log10(max(map(abs, sizes), default=1.0)))), 1), 6)
    rows = []
    for name, by_stratum in analysis.gaps.items():
        cells = "".join(f"<td>{_gap(by_stratum.get(stratum), digits)}</td>" for stratum in strata)
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        f"{_table(_heads_of(strata), rows)}"
        f'<p class="note">Mean difference to {UNIFORM} at the end, and in how many of the seeds '
        "the strategy was the better one. Not tested: so few seeds say little by themselves.</p>"
    )


def _gap(gaps: FloatArray | None, digits: int) -> str:
    if gaps is None:
        return '<span class="muted">not known</span>'
    mean = float(gaps.mean())
    sign = "+" if round(mean, digits) > 0 else ""
    share = f"{int((gaps > 0).sum())} of {len(gaps)}"
    return f'{sign}{plain_number(mean, digits)} <span class="muted">({share})</span>'


def _verdict(verdict: Verdict) -> str:
    """Its sentence, what it comes to in colour."""
    outcome, colon, evidence = verdict.sentence.partition(":")
    return f'<b class="{verdict.outcome}">{escape(outcome + colon)}</b>{escape(evidence)}'


def _scores(analysis: Analysis) -> str:
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
    head = "<th>runs</th>" + "".join(f"<th>{escape(title)}</th>" for title in columns)
    digits = [digits_of(estimates.values()) for estimates in columns.values()]
    rows = []
    for name in analysis.ranking:
        num_runs = sum(map(len, study.finals(name).values()))
        cells = "".join(
            f"<td>{_estimate(one[name], exact)}</td>"
            for one, exact in zip(columns.values(), digits, strict=True)
        )
        rows.append(f"<tr><th>{escape(name)}</th><td>{num_runs}</td>{cells}</tr>")
    return _table(head, rows)


def _table(head: str, rows: Sequence[str]) -> str:
    """Figures of each strategy, in a frame that scrolls where the screen is narrow."""
    return (
        f'<div class="wide"><table class="numbers"><thead><tr><th>strategy</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heads_of(strata: Sequence[Stratum]) -> str:
    return "".join(f"<th>{escape(', '.join(filter(None, stratum)))}</th>" for stratum in strata)


def _estimate(estimate: Estimate, digits: int | None) -> str:
    if not np.isfinite(estimate.value):
        return '<span class="muted">not known</span>'
    text = plain_number(float(estimate.value), digits)
    if not np.isfinite(estimate.low):
        return text
    return f'{text} <span class="muted">({interval_text(estimate, digits)})</span>'


def _answers(analysis: Analysis) -> str:
    targets = "".join(
        f"<td>{plain_number(one.target)} with {one.budget:,.0f}</td>"
        for one in analysis.answers.values()
    )
    rows = [f'<tr class="muted"><td>{UNIFORM} reaches</td>{targets}</tr>']
    for name in analysis.ranking:
        cells = "".join(f"<td>{_needed(one, name)}</td>" for one in analysis.answers.values())
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return _table(_heads_of(list(analysis.answers)), rows)


def _needed(answers: Answers, name: str) -> str:
    if name not in answers.needed:
        return '<span class="muted">not run</span>'
    needed = answers.needed[name]
    if needed is None:
        return '<span class="muted">not reached</span>'
    at_most = "at most " if needed <= answers.least else ""
    share = needed / answers.budget
    return f'{at_most}{needed:,.0f} <span class="muted">({share:.0%})</span>'


def _figure(name: str, picture: bytes) -> str:
    data = base64.b64encode(picture).decode("ascii")
    caption = _CAPTIONS[name]
    return (
        f'<figure><div class="wide"><img alt="{escape(caption)}" '
        f'src="data:image/png;base64,{data}"></div><figcaption>{escape(caption)}</figcaption>'
        "</figure>"
    )
