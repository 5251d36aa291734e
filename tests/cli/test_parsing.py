import dataclasses
import io
import os

import pytest
from hypothesis import given

from prefrl.cli.parsing import HelpShown, parse
from prefrl.cli.run import _parsed
from prefrl.config import PaceConfig, QueryConfig, RunConfig, TeacherConfig
from prefrl.config.yaml_file import mapping_from_text, mapping_to_text
from prefrl.errors import ConfigError
from tests.config.drawn import MAPPINGS


class TestCommandLine:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("--seed 0", RunConfig(seed=0)),
            ("--teacher noisy", RunConfig(teacher=TeacherConfig(name="noisy"))),
            ("--teacher.beta inf", RunConfig(teacher=TeacherConfig(beta=float("inf")))),
            ("--queries.schedule constant", RunConfig(queries=QueryConfig(schedule="constant"))),
        ],
    )
    def test_settings_can_be_typed(self, words, expected):
        assert parse(RunConfig, words.split(), prog="prefrl run") == expected

    def test_mappings_are_typed_as_yaml(self):
        words = ["--agent-settings", "{learning_rate: 3e-4, policy_kwargs: {net_arch: [8]}}"]
        assert parse(RunConfig, words, prog="prefrl run").agent_settings == {
            "learning_rate": 3e-4,
            "policy_kwargs": {"net_arch": [8]},
        }

    def test_what_is_not_typed_comes_from_the_given_settings(self):
        given = RunConfig(env_kwargs={"a": 1}, teacher=TeacherConfig(beta=2.0), seed=7)
        assert parse(RunConfig, [], prog="prefrl run", default=given) == given
        typed = parse(RunConfig, ["--teacher.gamma", "0.5"], prog="prefrl run", default=given)
        assert typed == dataclasses.replace(given, teacher=TeacherConfig(beta=2.0, gamma=0.5))

    @pytest.mark.parametrize("text", ["5", "{a: ", "- 1"])
    def test_what_is_no_mapping_is_refused_in_a_line(self, text):
        with pytest.raises(
            ConfigError, match=r"^.*--env-kwargs.*expected a mapping such as"
        ) as left:
            parse(RunConfig, ["--env-kwargs", text], prog="prefrl run")
        assert "\n" not in str(left.value)

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("--steps many", "--steps is 'many'; expected INT"),
            ("--budget 1.5", "--budget is '1.5'; expected INT"),
            ("--teacher.beta high", "--teacher.beta is 'high'; expected FLOAT"),
            ("--queries.session-spacing x", "--queries.session-spacing is 'x'; expected FLOAT"),
        ],
    )
    def test_what_is_no_number_is_said_with_what_was_expected(self, typed, said):
        with pytest.raises(ConfigError) as refused:
            parse(RunConfig, typed.split(), prog="prefrl run")
        assert str(refused.value) == f"{said}; see prefrl run --help"

    @given(mapping=MAPPINGS)
    def test_a_mapping_is_typed_as_it_is_shown(self, mapping):
        assert mapping_from_text(mapping_to_text(mapping)) == mapping


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_an_error_says_what_is_wrong_whatever_a_terminal_can_draw(encoding, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    said = r"--pace is 'fast'; choose from None, answers, steps, sync"
    with pytest.raises(ConfigError, match=said):
        parse(RunConfig, ["--pace", "fast"], prog="prefrl run")
    with pytest.raises(ConfigError, match=r"--max-stepsahead.*did you mean --max-steps-ahead\?"):
        parse(RunConfig, ["--max-stepsahead", "3"], prog="prefrl run")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--step 5", "Unrecognized options: --step, 5; did you mean --steps?"),
        ("--STEPS 5", "Unrecognized options: --STEPS, 5; did you mean --steps?"),
        ("--teacher.name x", "Unrecognized options: --teacher.name, x; did you mean --teacher?"),
        ("--steps 5 6", "--steps takes one value, and '6' is a second"),
        ("Hopper-v4", "Unrecognized options: Hopper-v4; did you mean --env Hopper-v4?; see"),
        ("--fixed-horizon False", "--fixed-horizon takes no value, and 'False' follows it"),
        (
            "--agent-settings learning_rate lin_3e-4",
            "--agent-settings takes one value, and 'lin_3e-4' is a second; a mapping is one: "
            "'{learning_rate: lin_3e-4}'",
        ),
        ("--objective-weights x", "--objective-weights is 'x'; expected FLOAT [FLOAT ...]"),
        ("--audit-share x", "--queries.audit-share is 'x'; expected FLOAT"),
        ("--agent-settings {1:}", "--agent-settings is '{1:}'; keys are text, and '1' is none"),
    ],
)
def test_words_that_fit_nowhere_are_told_where_they_may_belong(words, said):
    with pytest.raises(ConfigError) as refused:
        parse(RunConfig, words.split(), prog="prefrl run")
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("columns", ["0", "1", "7", "10", "-3", "x", "100000"])
def test_texts_are_the_same_however_narrow_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(ConfigError, match=r"--pace is 'fast'; choose from answers, steps, sync; s"):
        parse(PaceConfig, ["--pace", "fast"], prog="prefrl run")
    with pytest.raises(HelpShown):
        parse(PaceConfig, ["--help"], prog="prefrl run")
    assert max(map(len, capsys.readouterr().out.splitlines())) >= 40
    assert os.environ["COLUMNS"] == columns


def test_of_several_files_of_settings_the_last_one_holds(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"env: {name}")
    words = ["--config", str(tmp_path / "one"), f"--config={tmp_path / 'two'}"]
    assert _parsed(words).settings.env == "two"
