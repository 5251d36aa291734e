"""Paths of every command: what cannot be is one line, known before training; nothing is left."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny_runs
from tests.cli.error_cases import GOLDEN_RUN, TINY
from tests.cli.in_process import call, contents

POINT_MASS = ("--env", tiny_runs.POINT_MASS)
# Each fails before training even where the path can be used, so that it is quick.
COMMANDS = {
    "run --out": ["run", *POINT_MASS, *TINY, "--agent-settings", "{nonsense: 1}", "--out"],
    "run --config": ["run", "--config"],
    "run --resume": ["run", "--budget", "10", "--resume"],
    "eval": ["eval", "--episodes", "1", "--policy", "best"],
    "eval --video": ["eval", "run", "--policy", "best", "--video"],
    "report": ["report"],
    "bench": ["bench", "--env", "Nope-v0", "--out"],
    "learn --data": ["learn", "--out", "file", "--data"],
    "learn --out": ["learn", "--data", "nothing.npz", "--out"],
    "learn --run": ["learn", "--run"],
    "label": ["label"],
    "label --data": ["label", "--data"],
    "label --out": ["label", "--data", "a.npz", "--out"],
    "label --instructions": ["label", "--data", "a.npz", "--instructions"],
    "label backup": ["label", "backup", "--database", "sqlite:///nowhere/x"],
    "label backup FILE": ["label", "backup", "run"],
    "answers list": ["answers", "list"],
    "answers export": ["answers", "export", "--out", "c.npz"],
    "answers import": ["answers", "import", "run"],
    "answers delete": ["answers", "delete", "--yes", "ann"],
    "answers merge": ["answers", "merge", "a.npz", "--out", "c.npz"],
    "answers merge --out": ["answers", "merge", "a.npz", "nothing.npz", "--out"],
}
ODD = [
    *("x" * 5_000, "x" * 255, "a\0b", "", "file", "file/x", "dangling", "dangling/x", "loop"),
    *("loop/x", "dir", "dir/new/er", ".", "..", "/", "/dev/null", "/dev/null/x", "/proc/x/y"),
    *("\udcff", "a\nb", "\x1b[31m", " ", "-", "--", "~", "%s{}", "a.npz", "vid.mp4", "x.mp4", "🤖"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a run, a file of answers, and something of every kind."""
    folder = tmp_path_factory.mktemp("outer") / "home"
    shutil.copytree(GOLDEN_RUN, folder / "run")
    shutil.copy(GOLDEN_RUN / "comparisons.npz", folder / "a.npz")
    (folder / "file").write_text("mine")
    (folder / "dir").mkdir()
    (folder / "dir/file").write_text("mine")
    (folder / "vid.mp4").mkdir()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    return folder


def refusal_of(words: list[str], home: Path) -> str:
    """The one line by which a command is refused that leaves nothing."""
    before = contents(home.parent)
    refusal = call(home, words).refusal
    assert contents(home.parent) == before, refusal
    return refusal


@pytest.mark.parametrize("command", COMMANDS)
def test_odd_paths_are_refused_in_a_line(command, home):
    for path in ODD:
        refusal_of([*COMMANDS[command], path], home)


@given(
    command=st.sampled_from(sorted(COMMANDS)),
    path=st.lists(st.sampled_from(ODD) | st.text(max_size=4), max_size=3).map("/".join),
)
def test_any_path_is_refused_in_a_line(command, path, home):
    refusal_of([*COMMANDS[command], path], home)
