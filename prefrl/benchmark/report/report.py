"""The report of a benchmark, from its results alone."""

import os
import re
from pathlib import Path

import numpy as np

from prefrl.benchmark.grid.results import FILE, read_results
from prefrl.benchmark.report.analysis import analyse
from prefrl.benchmark.report.curves import MODE_OF
from prefrl.benchmark.report.figures import drawn_for
from prefrl.benchmark.report.gathering import study_of
from prefrl.benchmark.report.layout import NARROW, WIDE
from prefrl.benchmark.report.page import Picture, page_of, section_of
from prefrl.benchmark.report.tables import tables_of
from prefrl.benchmark.report.theme import png_of, svg_of
from prefrl.errors import DataError, StorageError
from prefrl.records.files import reason, write_bytes_atomically, write_text_atomically

PAGE = "report.html"
FOLDER = "report"


def make_report(folder: str | os.PathLike[str]) -> Path:
    """Writes `report.html`, and its pictures and tables as PNG and CSV under `report/`.

    The same results give the same report. What an earlier report left under `report/` and this one
    does not have goes.

    Args:
        folder: holds `results.parquet`.

    Returns:
        The page.

    Raises:
        StorageError: the results are missing or damaged, or a file could not be written.
        DataError: there are no measurements, or two cells are the same run.
        ConfigError: pyarrow is not installed.
    """
    folder = Path(folder)
    rows = read_results(folder)
    if not rows:
        raise DataError(f"{folder / FILE} holds no measurements; run the benchmark first")
    files: dict[str, bytes] = {}
    sections = []
    for name, mode in MODE_OF.items():
        if not any(row["mode"] == name for row in rows):
            continue
        analysis = analyse(study_of(rows, mode), rng=np.random.default_rng(0))
        pictures = {}
        for title, draw in drawn_for(analysis).items():
            wide = draw(analysis, WIDE)
            files[f"{name}-{title}.png"] = png_of(wide)
            wide.set_layout_engine("none")  # stays as it was laid out: to do so again takes as long
            pictures[title] = Picture(svg_of(wide), svg_of(draw(analysis, NARROW)))
        files |= {
            f"{name}-{title}.csv": table.csv().encode()
            for title, table in tables_of(analysis).items()
        }
        sections.append(section_of(analysis, pictures))
    _write_beside(folder / FOLDER, files)
    page = folder / PAGE
    write_text_atomically(page, page_of(sections))
    return page


def _write_beside(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            is_ours = re.fullmatch(rf"({'|'.join(MODE_OF)})-[a-z-]+\.(png|csv)", path.name)
            if is_ours and path.name not in files:
                path.unlink()
    except OSError as error:
        raise StorageError(f"cannot use {folder}: {reason(error)}") from error
    for name, content in files.items():
        write_bytes_atomically(folder / name, content)
