"""Colours of a report's figures, light and dark, and the files that figures become.

A strategy has the same colour everywhere, `uniform` is always black, the true reward a grey dashed
line.
"""

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefrl.benchmark.report.curves import UNIFORM
from prefrl.benchmark.report.study import Study
from prefrl.media.plots import FAINT, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BACKGROUND = "#c3c7d0"
"""Of strategies that share one grey."""

# Okabe and Ito 2008, and three more; the second ten of twenty are dashed.
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"),
    *("#56b4e9", "#8f6bd1", "#8c4a2f", "#7f9a1a", "#c2185b"),
)
_DASHES: tuple[Any, ...] = ("-", (0, (3.2, 1.3)), (0, (1, 1)))

_DARK: Mapping[str, str] = {
    INK: "#e6e8ec",
    MUTED: "#a3aab6",
    FAINT: "#3a4150",
    BACKGROUND: "#475063",
    **dict(
        zip(
            _COLOURS,
            (
                *("#4a9cf0", "#ff8a3d", "#2cc79a", "#e39cc2", "#f2b632"),
                *("#8fd6ff", "#b79bea", "#d19a7c", "#a9c53f", "#f06292"),
            ),
            strict=True,
        )
    ),
}
_DPI = 125
_NUMBERS = re.compile(r' d="[^"]*"')


def style_of(study: Study, strategy: str) -> dict[str, Any]:
    """Returns a strategy's colour and line style, as matplotlib takes them."""
    if strategy == UNIFORM:
        return {"color": INK, "linestyle": "-"}
    index = [name for name in study.strategies if name != UNIFORM].index(strategy)
    dashes = _DASHES[index // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": dashes}


def png_of(figure: "Figure") -> bytes:
    """Returns a PNG file on white; the same figure gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def svg_of(figure: "Figure") -> bytes:
    """Returns an SVG file without a background, whose colours follow the reader's light or dark.

    The same figure gives the same bytes. Letters are outlines: they look alike with any fonts.
    """
    import matplotlib as mpl

    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "prefrl", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = _NUMBERS.sub(lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    text = re.sub(r"(?<=: )#([0-9a-f]{6})\b", r"var(--c\1)", text)
    used = sorted(set(re.findall(r"var\(--c([0-9a-f]{6})\)", text)))
    light = "".join(f"--c{colour}:#{colour};" for colour in used)
    dark = "".join(f"--c{one}:{_DARK.get(f'#{one}', f'#{one}')};" for one in used)
    style = f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}</style>"
    return text.replace("</style>", style, 1).encode()
