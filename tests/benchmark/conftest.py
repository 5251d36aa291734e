"""The file in which cells of a grid leave what they did."""

import pytest

from prefrl.benchmark.grid.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "out", {})


@pytest.fixture
def diary(tmp_path):
    return tmp_path / "diary"
