"""Whatever words are typed, a command does what was asked or is refused in one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.in_process import call, contents

COMMANDS = st.sampled_from(
    [
        *(["label"], ["label", "backup"]),
        *(["run"], ["eval"], ["bench"], ["report"], ["learn"], ["answers"]),
        *(["answers", name] for name in ("list", "export", "import", "delete", "merge")),
        *([], ["--debug", "run"], ["nonsense"], [""], ["\udcff"], ["-"], ["--"], ["run", "eval"]),
    ]
)
OPTIONS = st.sampled_from(
    [
        *("--steps", "--budget", "--num-envs", "--seed", "--teacher", "--teacher.beta", "--pace"),
        *("--queries.num-sessions", "--reward-model.error-rate", "--objectives", "--budgets"),
        *("--objective-weights", "--env-kwargs", "--agent-settings", "--fixed-horizon", "--out"),
        *("--port", "--host", "--database", "--instructions", "--public-url", "--no-open"),
        *("--episodes", "--video-size", "--jobs", "--data", "--run", "--video", "--bogus"),
        *(
            "--no-fixed-horizon",
            "--config",
            "--resume",
            "--STEPS",
            "--steps=",
            "--x=\n",
            "-s",
            "--",
        ),
    ]
)
VALUES = st.sampled_from(
    [
        *("0", "-1", "1e3", "1.5e0", "1e-3", "1e999999999", "9" * 5_000, "nan", "inf", "-inf", "x"),
        *(
            "",
            " ",
            "\0",
            "\n",
            "\udcff",
            "🤖",
            "{",
            "{a: [",
            "{a: &x [*x]}",
            "None",
            "null",
            "True",
        ),
        *(
            "٣",
            "0x10",
            "1_000",
            "--",
            "-",
            "%s",
            "{0}",
            "oracle",
            "noisy",
            "sync",
            "file",
            "nowhere",
        ),
    ]
) | st.text(max_size=3)
# No environment goes by this name: what is valid ends there, before anything is made.
ENDS = ["--env", "Nope-v0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a file."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "file").write_text("mine")
    return folder


@given(
    command=COMMANDS,
    more=st.lists(st.tuples(OPTIONS, VALUES) | st.tuples(VALUES) | st.tuples(OPTIONS), max_size=4),
)
def test_any_words_end_in_one_line(command: list[str], more: list[tuple[str, ...]], home: Path):
    words = [*command, *(word for group in more for word in group)]
    if command in (["run"], ["bench"], ["--debug", "run"]):
        words += ENDS
    before = contents(home)
    ended = call(home, words)
    if "--debug" in words:
        assert ended.err.splitlines()[-1].startswith("prefrl: ")
    elif ended.out:
        assert ended.out.startswith("usage: ")
    else:
        assert ended.refusal
    assert contents(home) == before
