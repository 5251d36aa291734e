import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from prefrl.config import (
    QueryConfig,
    ResolvedQueries,
    ResolvedReward,
    ResolvedRun,
    RewardConfig,
    RunConfig,
    TeacherConfig,
    TeacherSettings,
    from_yaml,
    to_yaml,
)
from prefrl.errors import ConfigError

DECIDED: dict[str, Any] = {
    "agent": "sac",
    "steps": 600,
    "segment_length": 10,
    "num_envs": 2,
    "explore_steps": 60,
    "max_episode_steps": 50,
    "checkpoint_every": 120,
}


def decided(**changed: Any) -> ResolvedRun:
    return ResolvedRun(
        **{**DECIDED, **changed},
        teacher=TeacherConfig("mistake").decided(),
        queries=ResolvedQueries(num_sessions=3, newest_steps=400),
        reward_model=RewardConfig().decided(),
    )


@pytest.mark.parametrize(
    ("open_one", "decided_one"),
    [
        (RunConfig, ResolvedRun),
        (QueryConfig, ResolvedQueries),
        (RewardConfig, ResolvedReward),
        (TeacherConfig, TeacherSettings),
    ],
)
def test_what_is_decided_has_the_same_settings_under_the_same_keys(open_one, decided_one):
    names = [field.name for field in dataclasses.fields(open_one)]
    assert [field.name for field in dataclasses.fields(decided_one)] == names


# These may stay None: it has a meaning of its own.
MEANS_SOMETHING = {
    *("explore_episode_steps", "train_episode_steps", "eval_every", "answer_timeout"),
    *(
        "max_steps_ahead",
        "open_ahead",
        "objectives",
        "objective_weights",
        "linear_part",
        "interval_coverage",
    ),
    *("pace", "repeat_share"),  # of runs from before there were any: sync, and none
}


@pytest.mark.parametrize("kind", [ResolvedRun, ResolvedQueries, ResolvedReward, TeacherSettings])
def test_nothing_that_a_run_needs_may_be_none(kind):
    hints = get_type_hints(kind)
    left_open = {
        name for name, hint in hints.items() if type(None) in getattr(hint, "__args__", ())
    }
    assert left_open <= MEANS_SOMETHING


def test_settings_come_back_from_a_file_as_they_were_decided(tmp_path: Path):
    run = decided(explore_episode_steps=20)
    (tmp_path / "config.yaml").write_text(to_yaml(run))
    assert ResolvedRun.of(from_yaml(tmp_path / "config.yaml")) == run


def test_its_fingerprint_is_that_of_the_settings_read_from_its_file(tmp_path: Path):
    run = decided()
    (tmp_path / "config.yaml").write_text(to_yaml(run))
    assert from_yaml(tmp_path / "config.yaml").fingerprint() == run.fingerprint()


def test_settings_that_were_never_decided_are_named():
    with pytest.raises(ConfigError, match=r"^mine\.yaml: agent is None; .*; and \d+ more$"):
        ResolvedRun.of(RunConfig(), source="mine.yaml: ")


def test_a_setting_that_is_left_out_is_named():
    with pytest.raises(
        ConfigError, match=r"^agent is None; expected text; steps is None; expected"
    ):
        ResolvedRun()  # type: ignore[call-arg]
