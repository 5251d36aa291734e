"""Each gets the one clear line of the snapshot and a non-zero exit; nothing is written."""

from pathlib import Path

import pytest

from tests.cli.error_cases import CASES, Case
from tests.cli.error_snapshot import refusal, section, sections


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_it_is_refused_by_the_line_of_the_snapshot(name: str, case: Case, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    found = section(name, case, refusal(tmp_path / "home", case))
    assert found == sections().get(name), "if it is meant to change: make snapshot"


def test_the_snapshot_has_these_cases_in_this_order() -> None:
    assert list(sections()) == list(CASES)
