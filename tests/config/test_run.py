import contextlib
import dataclasses
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import (
    TEACHER_PRESETS,
    QueryConfig,
    RewardConfig,
    RunConfig,
    SessionSettings,
    TeacherConfig,
    from_yaml,
    to_yaml,
)
from prefrl.errors import ConfigError

SECTIONS = {"teacher": TeacherConfig, "queries": QueryConfig, "reward_model": RewardConfig}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3)
POSITIVE = st.integers(1, 10**9)
COUNT = st.integers(0, 10**9)
SHARE = st.floats(0, 1, exclude_max=True)
NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "beta": st.floats(0, allow_infinity=True),
    "gamma": st.floats(0, 1),
    "p_mistake": st.floats(0, 1),
    "initial_fraction": st.floats(0, 1),
    "last_session_at": st.floats(0, 1),
    "validation_fraction": SHARE,
    "dropout": SHARE,
    "interval_coverage": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "cooldown": st.floats(0, 1),
    "error_rate": SHARE | st.just("auto"),
    "bank_alpha": SHARE | st.just("auto"),
    "learning_rate": st.floats(0, exclude_min=True, allow_infinity=False),
    "session_spacing": st.floats(0, exclude_min=True, allow_infinity=False),
    "max_grad_norm": st.floats(0, exclude_min=True, allow_infinity=True),
}


def fields_of(config: type, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Settings of that class, drawn from all values that are valid."""
    hints = get_type_hints(config)
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        if field.name in fixed:
            drawn[field.name] = fixed[field.name]
        elif field.name in NUMBERS:
            drawn[field.name] = NUMBERS[field.name]
        elif "tuple[str" in str(hint):
            drawn[field.name] = st.lists(st.text(max_size=4), max_size=2).map(tuple)
        elif "tuple[float" in str(hint) or "tuple[typing.Annotated[float" in str(hint):
            drawn[field.name] = st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(
                tuple
            )
        elif bool in getattr(hint, "__args__", (hint,)):
            drawn[field.name] = st.booleans()
        elif hint is str:
            drawn[field.name] = st.text(max_size=8)
        elif field.type is float or "float" in str(hint):
            drawn[field.name] = st.floats(0, allow_infinity=False)
        elif "Literal" in str(hint):
            drawn[field.name] = st.just(field.default)
        else:
            drawn[field.name] = POSITIVE
        if type(None) in getattr(hint, "__args__", ()):
            drawn[field.name] |= st.none()
    return st.builds(config, **drawn)


CONFIGS = fields_of(
    RunConfig,
    agent=st.sampled_from([None, "ppo", "sac"]),
    reward=st.sampled_from(["learned", "true"]),
    seed=COUNT,
    explore_steps=COUNT | st.none(),
    env_kwargs=MAPPINGS,
    agent_settings=MAPPINGS,
    teacher=fields_of(TeacherConfig, name=st.sampled_from(sorted(TEACHER_PRESETS))),
    queries=fields_of(
        QueryConfig, schedule=st.sampled_from(["constant", "decreasing", "increasing"])
    ),
    reward_model=fields_of(RewardConfig),
)


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
            ("3: 1", "unknown setting '3'; choose from env, "),
        ],
    )
    def test_unknown_settings_are_named_with_what_may_have_been_meant(self, tmp_path, text, said):
        assert refusal(tmp_path, text).startswith(said)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("steps: 0", "steps is 0: Input should be greater than 0"),
            ("steps: -3", "steps is -3: Input should be greater than 0"),
            ("steps: 2.5", "steps is 2.5: Input should be a valid integer"),
            ("steps: many", "steps is 'many': Input should be a valid integer"),
            ("budget: 0", "budget is 0: Input should be greater than 0"),
            ("budget: yes", "budget is True: Input should be a number"),
            ("budget: .inf", "budget is inf: Input should be a finite number"),
            ("budget:", "budget is None: Input should be a valid integer"),
            ("seed: -1", "seed is -1: Input should be greater than or equal to 0"),
            ("teacher: {name: orakle}", "teacher.name is 'orakle': choose from oracle, noisy"),
            ("reward: none", "reward is 'none': Input should be 'learned' or 'true'"),
            ("fixed_horizon: maybe", "fixed_horizon is 'maybe': Input should be a valid boolean"),
            ("env: 5", "env is 5: Input should be a valid string"),
            ("teacher: oracle", "teacher is 'oracle': Input should be a dictionary"),
            ("teacher: {beta: -1}", "teacher.beta is -1: Input should be greater than or equal"),
            ("teacher: {beta: .nan}", "teacher.beta is nan: Input should be greater than"),
            ("teacher: {gamma: 2}", "teacher.gamma is 2: Input should be less than or equal to 1"),
            ("teacher: {equal_fraction: .inf}", "teacher.equal_fraction is inf: Input should be"),
            (
                "queries: {schedule: sinking}",
                "queries.schedule is 'sinking': Input should be 'constant', 'decreasing' or",
            ),
            ("queries: {validation_fraction: 1}", "queries.validation_fraction is 1: Input should"),
            ("reward_model: {dropout: 1}", "reward_model.dropout is 1: Input should be less than"),
            ("reward_model: {learning_rate: .inf}", "reward_model.learning_rate is inf: Input"),
            ("reward_model: {learning_rate: 0}", "reward_model.learning_rate is 0: Input should"),
            ("env_kwargs: [1]", "env_kwargs is [1]: Input should be a valid dictionary"),
            ("env_kwargs: {when: 2020-01-01}", "env_kwargs is {'when': datetime.date("),
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
        (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00\x80")
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

    @pytest.mark.parametrize(
        "value",
        [print, object(), np.datetime64("2026"), np.zeros((3, 3)), {1: 2}, {"a": [{2}]}, b"a"],
    )
    def test_settings_that_no_file_can_hold_are_refused_in_one_line(self, value):
        with pytest.raises(ConfigError, match=r"agent_settings is .* cannot be written") as refused:
            RunConfig(agent_settings={"policy_kwargs": {"x": value}})
        assert "\n" not in str(refused.value)


class TestPython:
    def test_settings_are_checked_when_they_are_made(self):
        with pytest.raises(ConfigError, match=r"^budget is 0: Input should be greater than 0$"):
            RunConfig(budget=0)
        with pytest.raises(ConfigError, match=r"^steps is 0: Input should be greater than 0$"):
            dataclasses.replace(RunConfig(), steps=0)

    def test_a_section_goes_by_its_name(self):
        with pytest.raises(ConfigError, match=r"^queries\.spread_factor is 0: "):
            QueryConfig(spread_factor=0)
        with pytest.raises(ConfigError, match=r"^teacher\.gamma is 3: "):
            RunConfig(teacher={"gamma": 3})  # type: ignore[arg-type]

    def test_an_unknown_setting_is_refused_with_what_may_have_been_meant(self):
        with pytest.raises(ConfigError, match=r"^unknown setting 'bugdet'; did you mean budget\?$"):
            RunConfig(bugdet=3)  # type: ignore[call-arg]

    def test_a_setting_given_by_its_place_is_named_too(self):
        with pytest.raises(ConfigError, match=r"^agent is 3: Input should be a valid string$"):
            RunConfig("Hopper-v4", 3)  # type: ignore[arg-type]

    def test_a_setting_without_a_default_that_is_left_out_is_named(self):
        with pytest.raises(ConfigError, match=r"^queries\.segment_length is not given; it has no"):
            SessionSettings()  # type: ignore[call-arg]

    def test_scalars_of_numpy_are_taken_for_pythons(self, tmp_path):
        config = RunConfig(
            steps=np.int64(8),  # type: ignore[arg-type]
            fixed_horizon=np.bool_(False),  # type: ignore[arg-type]
            queries=QueryConfig(initial_fraction=np.float32(0.5)),  # type: ignore[arg-type]
            agent_settings={"gamma": np.float64(0.5), "n_epochs": np.int32(3)},
        )
        numbers = (config.steps, config.queries.initial_fraction, *config.agent_settings.values())
        assert numbers == (8, 0.5, 0.5, 3)
        assert [type(number) for number in numbers] == [int, float, float, int]
        assert config.fixed_horizon is False
        assert read(tmp_path, to_yaml(config)) == config

    def test_a_truth_value_of_numpy_is_no_number(self):
        with pytest.raises(ConfigError, match=r"^budget is .*True.*: Input should be a number$"):
            RunConfig(budget=np.bool_(True))  # type: ignore[arg-type]

    def test_what_python_offers_beyond_yaml_takes_yamls_form(self, tmp_path):
        config = RunConfig(env_kwargs={"a": (1, np.float64(2.5), "x")})
        assert config.env_kwargs == {"a": [1, 2.5, "x"]}
        assert read(tmp_path, to_yaml(config)) == config

    def test_the_given_settings_are_not_changed(self):
        nested = {"net_arch": (64, 64)}
        RunConfig(agent_settings={"policy_kwargs": nested}).agent_settings["policy_kwargs"][
            "net_arch"
        ].append(1)
        assert nested == {"net_arch": (64, 64)}

    def test_settings_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            RunConfig().budget = 3  # type: ignore[misc]

    @given(config=CONFIGS)
    def test_settings_can_be_pickled(self, config):
        assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301


def test_neither_numpy_nor_torch_nor_the_command_line_is_imported_for_settings():
    code = "import prefrl.config, sys; print({'numpy', 'torch', 'tyro'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


OTHER_VALUES = (True, False, 1, 2, 0.5, {"x": 1}, "x", "noisy", ("x",), (0.5,))


class TestFingerprint:
    def test_the_same_settings_have_the_same_one_everywhere(self):
        # Checkpoints are found by it: a change here orphans those of every earlier version.
        config = RunConfig(env_kwargs={"b": 1, "a": 2})
        assert config.fingerprint() == RunConfig(env_kwargs={"a": 2, "b": 1}).fingerprint()
        assert config.fingerprint() == dataclasses.replace(config).fingerprint()
        assert len(config.fingerprint()) == 16

    @pytest.mark.parametrize(
        ("section", "name"),
        [("", field.name) for field in dataclasses.fields(RunConfig) if field.name not in SECTIONS]
        + [(part, f.name) for part, config in SECTIONS.items() for f in dataclasses.fields(config)],
    )
    def test_every_setting_changes_it(self, section, name):
        start = RunConfig()
        holder = getattr(start, section) if section else start
        changed: Any = holder
        words = re.findall(r"'(\w+)'", str(get_type_hints(type(holder))[name]))
        for value in (*OTHER_VALUES, *words):
            with contextlib.suppress(ConfigError):
                changed = dataclasses.replace(holder, **{name: value})
            if changed != holder:
                break
        if section:
            changed = RunConfig(**{section: changed})
        assert changed.fingerprint() != start.fingerprint()


@pytest.mark.parametrize(("name", "value"), [("error_rate", 2.0), ("bank_alpha", "much")])
def test_a_number_or_a_word_that_is_neither_is_named_once(name, value):
    with pytest.raises(ConfigError) as caught:
        RewardConfig(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"reward_model.{name} is {value!r}: Input should be")
    assert text.count(name) == 1
    assert "'auto'" in text
    assert "function" not in text
