import dataclasses
import enum
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from prefrl.config import (
    BenchmarkConfig,
    QueryConfig,
    RewardConfig,
    RunConfig,
    SessionSettings,
    from_yaml,
    to_yaml,
)
from prefrl.errors import ConfigError
from tests.config.drawn import CONFIGS


class Name(str, enum.Enum):
    HOPPER = "Hopper-v4"


class Count(enum.Enum):
    FEW = 5


def written_and_read(config: RunConfig, folder: Path) -> RunConfig:
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    return from_yaml(folder / "config.yaml")


class TestConstruction:
    def test_settings_are_checked_when_they_are_made(self):
        with pytest.raises(ConfigError, match=r"^budget is 0; expected 1 or more$"):
            RunConfig(budget=0)
        with pytest.raises(ConfigError, match=r"^steps is 0; expected 1 or more$"):
            dataclasses.replace(RunConfig(), steps=0)

    def test_a_section_goes_by_its_name(self):
        with pytest.raises(ConfigError, match=r"^queries\.spread_factor is 0; "):
            QueryConfig(spread_factor=0)
        with pytest.raises(ConfigError, match=r"^teacher\.gamma is 3; "):
            RunConfig(teacher={"gamma": 3})  # type: ignore[arg-type]

    def test_an_unknown_setting_is_refused_with_what_may_have_been_meant(self):
        with pytest.raises(ConfigError, match=r"^unknown setting 'bugdet'; did you mean budget\?$"):
            RunConfig(bugdet=3)  # type: ignore[call-arg]

    def test_a_setting_given_by_its_place_is_named_too(self):
        with pytest.raises(ConfigError, match=r"^agent is 3; expected text$"):
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
        assert written_and_read(config, tmp_path) == config

    def test_a_truth_value_of_numpy_is_no_number(self):
        with pytest.raises(ConfigError, match=r"^budget is .*True.*; expected a number$"):
            RunConfig(budget=np.bool_(True))  # type: ignore[arg-type]

    def test_what_python_offers_beyond_yaml_takes_yamls_form(self, tmp_path):
        config = RunConfig(env_kwargs={"a": (1, np.float64(2.5), "x")})
        assert config.env_kwargs == {"a": [1, 2.5, "x"]}
        assert written_and_read(config, tmp_path) == config

    def test_members_of_an_enum_are_their_values(self):
        config = RunConfig(
            env=Name.HOPPER,
            steps=Count.FEW,  # type: ignore[arg-type]
            env_kwargs={Name.HOPPER: [Name.HOPPER, Count.FEW]},
        )
        assert (config.env, config.steps) == ("Hopper-v4", 5)
        assert config.env_kwargs == {"Hopper-v4": ["Hopper-v4", 5]}
        assert type(config.env_kwargs["Hopper-v4"][0]) is str
        with pytest.raises(ConfigError, match=r"^steps is 'Hopper-v4'; expected a whole number$"):
            RunConfig(steps=Name.HOPPER)  # type: ignore[arg-type]

    @pytest.mark.parametrize("given", [{"a", "b"}, frozenset("ab"), memoryview(b"ab")])
    def test_what_has_no_order_is_no_list(self, given):
        with pytest.raises(ConfigError, match=r"^objectives is .*; expected a list$"):
            RunConfig(objectives=given)
        with pytest.raises(ConfigError, match=r"^budgets is .*; expected a list$"):
            BenchmarkConfig(budgets=given)

    @pytest.mark.parametrize("given", [("a", "b"), {"a": 1, "b": 2}.keys(), iter("ab")])
    def test_whatever_has_an_order_is_a_list(self, given):
        assert RunConfig(objectives=given).objectives == ("a", "b")

    def test_a_key_that_is_no_text_is_named(self):
        with pytest.raises(ConfigError, match=r"^env_kwargs has the key 1; expected text$"):
            RunConfig(env_kwargs={1: 2})  # type: ignore[dict-item]

    def test_true_needs_no_quotation_marks_to_be_the_true_reward(self):
        assert RunConfig(reward=True).reward == "true"  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"^reward is False; choose from learned, true$"):
            RunConfig(reward=False)  # type: ignore[arg-type]

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


@pytest.mark.parametrize(("name", "value"), [("error_rate", 2.0), ("bank_alpha", "much")])
def test_a_number_or_a_word_that_is_neither_is_named_once(name, value):
    with pytest.raises(ConfigError) as caught:
        RewardConfig(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"reward_model.{name} is {value!r}; expected ")
    assert text.count(name) == 1
    assert "'auto'" in text
    assert "function" not in text
