"""Folders in which a run is made, whole or in pieces, and when it is killed there."""

import io
import json
import re
import signal
import zipfile

import numpy as np
import torch

from prefrl.config import from_yaml, to_yaml
from prefrl.records.checkpoint import load_state
from prefrl.records.metrics import read_metrics
from tests import tiny_runs
from tests.command_line import Outcome
from tests.records.test_checkpoint import same

DEADLY = "tests.own_envs:Deadly-v0"
# Exploration in short episodes, and over more than one phase.
CONFIGS = {
    "ppo": tiny_runs.ppo(
        env=DEADLY,
        explore_steps=360,
        explore_episode_steps=25,
        train_episode_steps=20,
        keep_checkpoints=True,
    ),
    "sac": tiny_runs.sac(env=DEADLY, explore_episode_steps=30, keep_checkpoints=True),
    "watched ppo": tiny_runs.ppo(
        env=DEADLY, eval_every=170, train_episode_steps=20, keep_checkpoints=True
    ),
}


class Home:
    """A folder in which one run is made, whole or in pieces."""

    def __init__(self, path, agent):
        self.path, self.run = path, path / "run"
        self.files: list[str] = []
        self.outcome: Outcome | None = None
        path.mkdir(parents=True)
        (path / "settings.yaml").write_text(to_yaml(CONFIGS[agent]))
        self.begin = ["run", "--config", "settings.yaml", "--out", "run"]
        self.go_on = ["run", "--resume", "run"]

    def policy(self):
        with zipfile.ZipFile(self.run / "policy.zip") as archive:
            return torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)

    def best_policy(self):
        path = self.run / "best_policy.zip"
        if not path.exists():
            return None
        with zipfile.ZipFile(path) as archive:
            return torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)

    def comparisons(self):
        with np.load(self.run / "comparisons.npz") as file:
            return dict(file)

    def rows(self):
        return [
            {**row, "wall_s": 0.0, "cpu_s": 0.0} for row in read_metrics(self.run / "metrics.jsonl")
        ]

    def figures(self):
        summary = json.loads((self.run / "summary.json").read_text())
        return {
            name: summary[name] for name in summary.keys() - {"wall_s", "cpu_s", "wall_breakdown"}
        }

    def checkpoints(self):
        return sorted((self.run / "checkpoints").glob("step_*.npz"))

    def last_state(self):
        fingerprint = from_yaml(self.run / "config.yaml").fingerprint()
        newest = [*sorted((self.run / "final").glob("*.npz")), *self.checkpoints()][-1]
        state = load_state(newest, fingerprint=fingerprint)["state"]
        return {name: state[name] for name in ("next_phase", "agent", "store", "learner")}


def assert_same(home, whole):
    assert home.figures() == whole.figures()
    assert same(home.policy(), whole.policy())
    assert same(home.best_policy(), whole.best_policy())
    assert same(home.comparisons(), whole.comparisons())
    assert same(home.rows(), whole.rows())
    assert same(home.last_state(), whole.last_state())
    left_over = [path for path in home.run.rglob("*") if "tmp" in path.name]
    assert left_over == []
    assert not (home.run / "candidates").exists()


def at_step(number):
    """When one of the environments has taken so many steps."""
    return lambda files: {"environ": {"PREFRL_KILL_AT": str(number)}}


def at_file(pattern, number, *, offset=0, sent=signal.SIGKILL):
    """Right before a file operation of the whole run: the `number`-th that matches the pattern."""

    def options(files):
        found = [i for i, entry in enumerate(files) if re.search(pattern, entry)]
        return {"signal_at_file": (found[number] + offset, sent)}

    return options


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
