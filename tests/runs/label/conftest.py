import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs.cheetah import faster


@pytest.fixture
def label(tmp_path: Path) -> Iterator[Any]:
    """Starts `prefrl label WORDS` about a folder, in the folder `home`, with who labels there."""
    pytest.importorskip("fastapi", reason="the extra human is missing")
    from tests.runs.label.labelling import Labelling

    started: list[Labelling] = []
    (tmp_path / "home").mkdir()

    def start(folder: Path, *words: object, judge: Any = faster) -> Labelling:
        started.append(Labelling(tmp_path / "home", folder, words, judge))
        return started[-1]

    yield start
    for one in started:
        one.labeller.is_over.set()
        with contextlib.suppress(ValueError):  # It has been waited for.
            one.end()  # and with it its service
