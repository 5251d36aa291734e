import json

import numpy as np
import pytest

from prefrl import run
from prefrl.records.metrics import read_metrics
from prefrl.runs.playback import evaluate_run
from tests.tiny_runs import ppo


@pytest.mark.parametrize("key", ["success", "is_success"])
def test_success_is_in_metrics_evaluations_and_summary(tmp_path, key):
    config = ppo(
        env="tests.own_envs:Arriving-v0",
        env_kwargs={"key": key},
        eval_every=400,
        eval_episodes=8,
        steps=806,
    )
    result = run(config, out=tmp_path / "run", show_progress=False)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    for name in ("success_rate", "eval_success_rate"):
        rates = [line[name] for line in lines if name in line]
        assert rates
        assert 0 < np.mean(rates) < 1
    assert 0 < result.summary["final_success_rate"] < 1
    again = evaluate_run(tmp_path / "run", num_episodes=20, seed=3)
    assert 0.2 < again.success_rate < 0.8


def test_where_an_environment_reports_none_it_is_null(tmp_path):
    run(ppo(steps=806), out=tmp_path / "run", show_progress=False)
    assert "success" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["final_success_rate"] is None
