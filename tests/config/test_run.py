import contextlib
import dataclasses
import re
from typing import Any, get_type_hints

import pytest

from prefrl.config import (
    QueryConfig,
    RewardConfig,
    RunConfig,
    TeacherConfig,
)
from prefrl.errors import ConfigError

SECTIONS = {"teacher": TeacherConfig, "queries": QueryConfig, "reward_model": RewardConfig}


OTHER_VALUES = (
    True,
    False,
    1,
    2,
    0.5,
    {"x": 1},
    "x",
    "noisy",
    ("x",),
    (0.5,),
    ({"steps": 1, "budget": 1},),
)


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
