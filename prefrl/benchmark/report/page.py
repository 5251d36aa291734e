"""The report as one HTML file: figures and style are inside it, nothing is fetched."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2

from prefrl.benchmark.report.analysis import Analysis
from prefrl.benchmark.report.curves import UNIFORM
from prefrl.benchmark.report.figures import score_label
from prefrl.benchmark.report.notes import extent, notes
from prefrl.benchmark.report.page_tables import (
    Entry,
    PageTable,
    answer_table,
    gap_table,
    score_table,
    summary,
    verdict_table,
)

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Picture:
    """One figure, drawn twice.

    Args:
        wide: SVG for a page or a paper.
        narrow: SVG for a phone.
    """

    wide: bytes
    narrow: bytes


@dataclass(frozen=True)
class Section:
    """The part of the page about one mode; an empty or missing part is not shown.

    Args:
        mode: its name.
        title: of the section.
        extent: how large the study is.
        notes: what limits how it may be read.
        score: names a score on the study's scale.
        summary: the outcomes at the final budget.
        verdicts: of every strategy.
        gaps: differences by environment.
        scores: every measure over all runs.
        answers: needed for what `uniform` reaches.
        pictures: wide and narrow as data URIs, by name.
    """

    mode: str
    title: str
    extent: str
    notes: Sequence[str]
    score: str
    summary: Sequence[Entry]
    verdicts: PageTable | None
    gaps: PageTable | None
    scores: PageTable | None
    answers: PageTable | None
    pictures: Mapping[str, tuple[str, str]]


def section_of(analysis: Analysis, pictures: Mapping[str, Picture]) -> Section:
    """Returns everything that the page says of one mode.

    Args:
        analysis: of its runs.
        pictures: by name of figure.
    """
    study = analysis.study
    has_verdicts = any(analysis.verdicts.values())
    return Section(
        mode=study.mode.name,
        title=f"{study.mode.title}: {study.mode.label}",
        extent=extent(study),
        notes=notes(study),
        score=score_label(study),
        summary=summary(analysis) if has_verdicts else (),
        verdicts=verdict_table(analysis) if has_verdicts else None,
        gaps=gap_table(analysis) if has_verdicts and len(study.strata) > 1 else None,
        scores=score_table(analysis) if analysis.ranking else None,
        answers=answer_table(analysis) if analysis.answers else None,
        pictures={name: (_uri(one.wide), _uri(one.narrow)) for name, one in pictures.items()},
    )


def page_of(sections: Sequence[Section]) -> str:
    """Returns the whole page."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("prefrl.benchmark.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template(TEMPLATE).render(sections=sections, uniform=UNIFORM)


def _uri(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode('ascii')}"
