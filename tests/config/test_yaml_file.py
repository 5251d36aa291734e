import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given

from prefrl.config import (
    QueryConfig,
    RunConfig,
    TeacherConfig,
    from_yaml,
    to_yaml,
)
from prefrl.errors import ConfigError
from tests.config.drawn import CONFIGS


def read(tmp_path: Path, text: str) -> RunConfig:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return from_yaml(path)


def refusal(tmp_path: Path, text: str) -> str:
    """The one line in which a file is refused; it names the file."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    said = str(refused.value)
    assert said.count("\n") == 0
    assert said.startswith(str(tmp_path / "config.yaml"))
    return said.removeprefix(f"{tmp_path / 'config.yaml'}: ")


class TestYaml:
    @given(config=CONFIGS)
    def test_settings_come_back_as_they_were_written(self, tmp_path_factory, config):
        again = read(tmp_path_factory.mktemp("config"), to_yaml(config))
        assert again == config
        assert again.fingerprint() == config.fingerprint()

    def test_every_default_is_valid_and_comes_back(self, tmp_path):
        assert read(tmp_path, to_yaml(RunConfig())) == RunConfig()

    def test_what_a_file_leaves_out_keeps_its_default(self, tmp_path):
        config = read(tmp_path, "env: Hopper-v4\nqueries: {schedule: constant}\n")
        assert config == RunConfig(env="Hopper-v4", queries=QueryConfig(schedule="constant"))

    def test_seed_0_is_a_seed(self, tmp_path):
        assert read(tmp_path, "seed: 0").seed == 0

    @pytest.mark.parametrize("text", ["1e6", "1E6", "1.0e6", "1e+6", "1_000_000", "1000000.0"])
    def test_a_million_steps_can_be_written_in_many_ways(self, tmp_path, text):
        steps = read(tmp_path, f"steps: {text}").steps
        assert steps == 1_000_000
        assert type(steps) is int

    @pytest.mark.parametrize("text", [".inf", "inf", "Infinity"])
    def test_a_teacher_that_never_errs_can_be_written_in_many_ways(self, tmp_path, text):
        assert read(tmp_path, f"teacher: {{beta: {text}}}").teacher.beta == float("inf")

    def test_a_teacher_that_tosses_a_coin_is_allowed(self, tmp_path):
        assert read(tmp_path, "teacher: {beta: 0}").teacher.beta == 0.0

    def test_numbers_in_free_mappings_are_numbers_too(self, tmp_path):
        config = read(tmp_path, "agent_settings: {learning_rate: 3e-4, a: '3e-4', n_epochs: 5}")
        assert config.agent_settings == {"learning_rate": 3e-4, "a": "3e-4", "n_epochs": 5}

    def test_whole_numbers_are_taken_for_fractions(self, tmp_path):
        share = read(tmp_path, "queries: {initial_fraction: 1}").queries.initial_fraction
        assert share == 1.0
        assert type(share) is float

    def test_text_that_is_not_ascii_comes_back(self, tmp_path):
        config = RunConfig(env_kwargs={"größe": "5 µm", "e": "1e6", "": "\u2028\x85\r\n"})
        assert read(tmp_path, to_yaml(config)) == config

    def test_the_file_can_be_read_by_any_yaml_reader(self):
        tree = yaml.safe_load(to_yaml(RunConfig(teacher=TeacherConfig(beta=float("inf")))))
        assert tree["teacher"]["beta"] == float("inf")
        assert list(tree) == [field.name for field in dataclasses.fields(RunConfig)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("bugdet: 3", "unknown setting 'bugdet'; did you mean budget?"),
            ("teacher: {bta: 3}", "unknown setting 'teacher.bta'; did you mean beta?"),
            ("queries: {x: 1}", "unknown setting 'queries.x'; choose from schedule, "),
            ("reward_model: {lr: 1}", "unknown setting 'reward_model.lr'; choose from hidden_dim"),
            ("'3': 1", "unknown setting '3'; choose from env, "),
        ],
    )
    def test_unknown_settings_are_named_with_what_may_have_been_meant(self, tmp_path, text, said):
        assert refusal(tmp_path, text).startswith(said)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("steps: 0", "steps is 0; expected 1 or more"),
            ("steps: -3", "steps is -3; expected 1 or more"),
            ("steps: 2.5", "steps is 2.5; expected a whole number"),
            ("steps: many", "steps is 'many'; expected a whole number"),
            ("budget: 0", "budget is 0; expected 1 or more"),
            ("budget: yes", "budget is True; expected a number"),
            ("budget: .inf", "budget is inf; expected a finite number"),
            ("budget:", "budget is None; expected a whole number"),
            ("seed: -1", "seed is -1; expected 0 or more"),
            ("teacher: {name: orakle}", "teacher.name is 'orakle'; choose from oracle, noisy"),
            ("reward: none", "reward is 'none'; choose from learned, true"),
            ("fixed_horizon: maybe", "fixed_horizon is 'maybe'; expected true or false"),
            ("env: 5", "env is 5; expected text"),
            ("teacher: oracle", "teacher is 'oracle'; expected a mapping"),
            ("teacher: {beta: -1}", "teacher.beta is -1; expected 0 or more"),
            ("teacher: {beta: .nan}", "teacher.beta is nan; expected 0 or more"),
            ("teacher: {gamma: 2}", "teacher.gamma is 2; expected at most 1"),
            (
                "teacher: {equal_fraction: .inf}",
                "teacher.equal_fraction is inf; expected a finite number",
            ),
            (
                "queries: {schedule: sinking}",
                "queries.schedule is 'sinking'; choose from constant, decreasing, increasing",
            ),
            (
                "queries: {validation_fraction: 1}",
                "queries.validation_fraction is 1; expected",
            ),
            ("reward_model: {dropout: 1}", "reward_model.dropout is 1; expected less than 1"),
            (
                "reward_model: {learning_rate: .inf}",
                "reward_model.learning_rate is inf; expected",
            ),
            (
                "reward_model: {learning_rate: 0}",
                "reward_model.learning_rate is 0; expected",
            ),
            ("env_kwargs: [1]", "env_kwargs is [1]; expected a mapping"),
        ],
    )
    def test_values_out_of_range_are_named_with_what_is_valid(self, tmp_path, text, said):
        assert refusal(tmp_path, text).startswith(said)

    def test_every_wrong_setting_is_named_at_once(self, tmp_path):
        said = refusal(tmp_path, "steps: 0\nbugdet: 3\nteacher: {gamma: -1}\n")
        assert all(name in said for name in ("steps is 0", "'bugdet'", "teacher.gamma is -1"))

    def test_a_setting_given_twice_is_refused(self, tmp_path):
        assert "the key 'gamma' is given twice" in refusal(
            tmp_path, "teacher: {gamma: 1, gamma: 0.5}"
        )

    @pytest.mark.parametrize("text", ["env: [", "a: b: c", "\x00", "{a: *b}", "!!python/name:os"])
    def test_what_is_not_yaml_is_refused(self, tmp_path, text):
        assert "is not YAML" in refusal(tmp_path, text)

    def test_what_is_not_text_is_refused(self, tmp_path):
        (tmp_path / "config.yaml").write_bytes(b"\x00\xff\xfe\x80")
        with pytest.raises(ConfigError, match="is not YAML"):
            from_yaml(tmp_path / "config.yaml")

    @pytest.mark.parametrize("text", ["", "5", "- env", "just words", "null"])
    def test_what_holds_no_settings_is_refused(self, tmp_path, text):
        assert "holds no settings; expected a mapping" in refusal(tmp_path, text)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match=r"no\.yaml: No such file"):
            from_yaml(tmp_path / "no.yaml")
        with pytest.raises(ConfigError, match="Is a directory"):
            from_yaml(tmp_path)

    def test_a_run_folder_in_place_of_its_settings_is_refused_with_where_they_are(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text("")
        with pytest.raises(ConfigError, match=rf"is a folder; its settings are in {path}$"):
            from_yaml(tmp_path)

    @pytest.mark.parametrize(
        "value",
        [print, object(), np.datetime64("2026"), np.zeros((3, 3)), {1: 2}, {"a": [{2}]}, b"a"],
    )
    def test_settings_that_no_file_can_hold_are_refused_in_one_line(self, value):
        with pytest.raises(ConfigError, match=r"agent_settings is .* cannot be written") as refused:
            RunConfig(agent_settings={"policy_kwargs": {"x": value}})
        assert "\n" not in str(refused.value)
