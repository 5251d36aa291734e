"""In a browser, where there is one, the page fits a phone: whole figures, nothing wider than it."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.made_up import reward_rows
from tests.waiting import PATIENCE_S

pytest.importorskip("pyarrow", reason="a report needs the extra: prefrl[bench]")

from prefrl.benchmark.grid.results import write_results
from prefrl.benchmark.report.report import make_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

# The report in a frame as wide as a screen; what was measured in it becomes the title.
FRAME = """<!doctype html><title>waiting</title>
<iframe src="report.html" style="border: 0; width: WIDTHpx; height: 900px"></iframe>
<script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const right = (one) => one.getBoundingClientRect().right;
  document.title = JSON.stringify({
    width: root.scrollWidth,
    pictures: [...page.images].map((one) => one.getBoundingClientRect().width),
    beyond: [...page.images].filter((one) => right(one) > root.clientWidth).length,
  });
};
</script>"""


def shown_at(width: int, folder: Path) -> dict[str, Any]:
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    flags = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update"),
        "--allow-file-access-from-files",
    )
    done = subprocess.run(
        [str(BROWSER), *flags, f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars",
         "--virtual-time-budget=10000", "--dump-dom", f"file://{folder / 'frame.html'}"],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title
    found: dict[str, Any] = json.loads(unescape(title[1]))
    return found


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_on_any_screen_figures_are_whole_and_nothing_is_wider(tmp_path: Path) -> None:
    names = ("volume_removal+kcenter_observations", "information_gain+successive_elimination")
    envs = [f"HalfCheetah-v{i}" for i in range(4)]
    rows = reward_rows({"uniform": 0.0, **dict.fromkeys(names, 0.1)}, num_seeds=2, envs=envs)
    write_results(rows, tmp_path)
    make_report(tmp_path)
    for width in (320, 390, 1280):
        shown = shown_at(width, tmp_path)
        assert shown["width"] == width
        assert len(shown["pictures"]) == 6
        assert min(shown["pictures"]) > 0.85 * min(width, 1160)
        assert shown["beyond"] == 0
