"""The Python in docs/ runs as it stands, and so do docstrings' examples."""

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefrl.queries import ACQUISITIONS, SELECTORS, STRATEGIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ANSWERS = ROOT / "tests/golden/0.1/ppo/comparisons.npz"
PYTHON = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
# Examples that need a service: tests/labelling/test_docs.py runs them.
SERVED = DOCS / "labelling.md"
PAGES = [
    path
    for path in sorted(DOCS.rglob("*.md"))
    if path != SERVED and PYTHON.search(path.read_text("utf-8"))
]

PACKAGES = {"prefrl": "prefrl", "envs": "prefrl/envs", "agents": "prefrl/agents"}
MODULES = [
    ".".join((package / path.relative_to(ROOT / folder)).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    for folder, package in ((folder, Path(package)) for folder, package in PACKAGES.items())
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.fixture
def _registries() -> Iterator[None]:
    """Takes what an example registers out again."""
    tables: tuple[dict[str, Any], ...] = (ACQUISITIONS, SELECTORS, STRATEGIES)
    before = [dict(table) for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        table.clear()
        table.update(names)


@pytest.mark.usefixtures("_registries")
@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried.attempted
    assert tried.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_pages_examples_run_in_order_beside_a_runs_answers(page: Path, tmp_path: Path) -> None:
    shutil.copy(ANSWERS, tmp_path)
    script = tmp_path / "examples.py"
    script.write_text("\n".join(PYTHON.findall(page.read_text("utf-8"))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
