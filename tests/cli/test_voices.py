"""The same mistake is told in Python's words in Python, and in options on the command line."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from prefrl import run
from prefrl.cli.bench import BenchCommand
from prefrl.cli.parsing import option_names
from prefrl.cli.run import RunCommand
from prefrl.config import QueryConfig, RewardConfig, RunConfig, TeacherConfig
from prefrl.config.yaml_file import mapping_to_text
from prefrl.errors import PrefrlError, in_commands_words, option
from tests.cli.in_process import call
from tests.command_line import ROOT

BASE: dict[str, Any] = {"env": "Pendulum-v1", "steps": 2_000}
MISTAKES: list[dict[str, Any]] = [
    {"steps": 5},
    {"steps": 10**15},
    {"explore_steps": 2_000},
    {"explore_steps": 0},
    {"explore_episode_steps": 5_000},
    {"explore_episode_steps": 5},
    {"train_episode_steps": 5},
    {"segment_length": 100, "num_envs": 4, "explore_steps": 300},
    {"eval_every": 100, "eval_episodes": 0},
    {"objectives": ("a",)},
    {"objectives": ("a", "b"), "objective_weights": (1.0,)},
    {"objective_weights": (1.0,)},
    {"objectives": ("a", "b"), "reward": "true"},
    {"objectives": ("a", "b"), "reward_model": {"bank_alpha": 0.5}},
    {"env_kwargs": {"render_mode": "human"}},
    {"agent_settings": {"n_steps": 0}},
    {"agent_settings": {"policy_kwargs": 3}},
    {"agent_settings": {"policy_kwargs": {"use_sde": True}}},
    {"agent_settings": {"tensorboard_log": "x"}},
    {"agent_settings": {"batch_size": 7_777, "n_steps": 100}},
    {"device": "nonsense"},
    {"device": "meta"},
    {"budget": 10**7},
    {"budget": 10**12},
    {"threads": 5_000},
    {"num_envs": 10**12},
    {"seed": -1},
    {"reward": "true", "budget": 3},
    {"reward": "true", "explore_steps": 100},
    {"reward": "true", "explore_episode_steps": 150},
    {"teacher": {"p_mistake": 0.2}},
    {"teacher": {"gamma": 2}},
    {"pace": "steps"},
    {"queries": {"spread_factor": 10**12}},
    {"queries": {"min_candidates": 10**9}},
    {"queries": {"initial_fraction": 3}},
    {"reward_model": {"hidden_dim": 10**9}},
    {"reward_model": {"bank_size": 10**9}},
]
SECTIONS: dict[str, Any] = {
    "queries": QueryConfig,
    "reward_model": RewardConfig,
    "teacher": TeacherConfig,
}


def said_in_python(settings: dict[str, Any], out: Path) -> str:
    """The line of `prefrl.run`."""
    try:
        made = {
            name: SECTIONS[name](**value) if name in SECTIONS else value
            for name, value in settings.items()
        }
        run(RunConfig(**made), out=out, show_progress=False)
    except PrefrlError as error:
        return str(error)
    raise AssertionError("it was taken")


def words_of(settings: dict[str, Any]) -> list[str]:
    """The options that say the same."""
    words: list[str] = []
    for name, value in settings.items():
        if name in SECTIONS:
            words += words_of({f"{name}.{inner}": one for inner, one in value.items()})
        elif isinstance(value, dict):
            words += [f"--{name.replace('_', '-')}", mapping_to_text(value)]
        else:
            given = value if isinstance(value, tuple) else (value,)
            words += [f"--{name.replace('_', '-')}", *map(str, given)]
    return words


def named(line: str, names: set[str]) -> list[str]:
    """The settings that a line names in Python's words: one's first word, or one with a joint."""
    return [
        name
        for name in names
        if re.match(rf"{re.escape(name)} (is|are|was|has|asks)\b", line)
        or (re.search("[._]", name) and re.search(rf"(?<![\w.'-]){re.escape(name)}\b", line))
    ]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_told_in_the_words_of_whoever_made_it(mistake, tmp_path):
    settings = {**BASE, **mistake}
    in_python = said_in_python(settings, tmp_path / "out")
    typed = call(tmp_path, ["run", *words_of(settings), "--out", "out"]).refusal
    typed = typed.removeprefix("prefrl: ")
    names = {name for name in option_names(RunCommand) if name not in ("steps", "reward")}
    assert "--" not in in_python
    assert typed.startswith(("--", "unknown")) or " of --" in typed, typed
    assert not named(typed, names)
    for name in re.findall(r"--([a-z.-]+)", typed):
        assert name.replace("-", "_") in {*names, "steps", "reward"}
    with in_commands_words():
        assert any(option(name) in typed for name in mistake)
    assert not list(tmp_path.iterdir())


def test_a_benchmark_names_no_option_that_it_has_not(tmp_path):
    for words in (
        *(["--teachers", "mistake:1.5"], ["--teachers", "skip:-1"], ["--teachers", "nope"]),
        *(["--steps", "10"], ["--steps", "1e15"], ["--budgets", "9", "5"], ["--seeds", "0"]),
        *(["--candidates", "2"], ["--mode", "rl", "--threads", "2"], ["--eval-every", "3"]),
    ):
        ended = call(tmp_path, ["bench", "--env", "Pendulum-v1", *words, "--out", "a/b/c"])
        assert ended.status == 2
        said = ended.err.splitlines()[-1].partition("; see prefrl")[0]
        for name in re.findall(r"--([a-z.-]+)", said):
            assert name.replace("-", "_") in set(option_names(BenchCommand))
        assert not list(tmp_path.iterdir()), said


def literals(tree: ast.AST):
    """The literal parts of what errors about settings are made of."""
    for call_ in ast.walk(tree):
        if isinstance(call_, ast.Call) and getattr(call_.func, "id", "") == "ConfigError":
            for argument in call_.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                yield from (str(part.value) for part in parts if isinstance(part, ast.Constant))


def test_no_error_about_a_setting_spells_its_name_by_itself():
    names = {field.name for field in dataclasses.fields(RunConfig)} - {"env_kwargs"}
    files = [path for part in ("agents", "envs") for path in (ROOT / part).rglob("*.py")]
    files += [path for path in (ROOT / "prefrl").rglob("*.py") if "prefrl/envs" not in str(path)]
    for path in files:
        for text in literals(ast.parse(path.read_text())):
            assert not named(text, names), f"{path}: {text!r}"
