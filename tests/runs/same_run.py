"""Compares two runs, to the digit."""

import pytest
import torch

from prefrl.records.metrics import read_metrics


def figures(summary):
    """Returns what must be the same whenever the same run is made."""
    timed = ("wall_s", "cpu_s", "wall_breakdown", "versions")
    return {name: value for name, value in summary.items() if name not in timed}


def rows(folder):
    return [{**row, "wall_s": 0.0, "cpu_s": 0.0} for row in read_metrics(folder / "metrics.jsonl")]


def episodes(result):
    """Returns what is left of them when the run has ended."""
    return result.agent.venv.venv.store.episodes


def parameters(result):
    return result.agent.model.policy.state_dict()


def assert_same_run(one, other):
    assert figures(one.summary) == figures(other.summary)
    for row, twin in zip(rows(one.folder), rows(other.folder), strict=True):
        assert row == pytest.approx(twin, rel=0, abs=0, nan_ok=True)
    mine, theirs = parameters(one), parameters(other)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    comparisons = [(result.folder / "comparisons.npz").read_bytes() for result in (one, other)]
    assert comparisons[0] == comparisons[1]
