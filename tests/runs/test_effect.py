"""Every setting that is given has its effect, or is refused by name."""

import contextlib
import dataclasses
from typing import Any, get_type_hints

import pytest

from prefrl.config import RunConfig, TeacherConfig, from_yaml, to_yaml
from prefrl.config.teacher import FAILINGS
from prefrl.config.true_reward import OF_LEARNED_REWARDS, of_true_reward
from prefrl.errors import ConfigError, in_commands_words
from prefrl.runs.effect import check_effects
from prefrl.runs.parts import Parts
from prefrl.runs.resolve import resolve
from tests.cli.in_process import call

BASE = RunConfig(env="Pendulum-v1", steps=2_000)
SECTIONS = {
    name: type(getattr(RunConfig(), name)) for name in ("teacher", "queries", "reward_model")
}
PLACES = [(name, "") for name in OF_LEARNED_REWARDS if name not in SECTIONS] + [
    (section, field.name)
    for section, kind in SECTIONS.items()
    for field in dataclasses.fields(kind)
]
VALUES = (
    True,
    False,
    2,
    3,
    0.5,
    "uniform",
    "noisy",
    "answers",
    "constant",
    "plain",
    "drop",
    "fifo",
)


class Leisurely:
    """A teacher that takes its time."""

    def ask(self, questions: Any) -> None: ...

    def collect(self) -> list[Any]:
        return []


def given(config: RunConfig, name: str, inner: str) -> RunConfig:
    """The settings with another value in one place."""
    holder: Any = getattr(config, name) if inner else config
    place = inner or name
    for value in VALUES:
        changed = holder
        with contextlib.suppress(ConfigError):
            changed = dataclasses.replace(holder, **{place: value})
        usual = holder.decided() if hasattr(holder, "decided") else holder
        if getattr(changed, place) not in (getattr(holder, place), getattr(usual, place)):
            in_section: dict[str, Any] = {name: changed}
            return dataclasses.replace(config, **in_section) if inner else changed
    raise AssertionError(f"no other value for {name}.{inner}")


def refusal(config: RunConfig, parts: Parts | None = None) -> str:
    """The line that refuses settings; none where they are taken."""
    try:
        check_effects(config, resolve(config), parts or Parts())
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("name", "inner"), PLACES)
def test_what_says_how_a_reward_is_learned_is_refused_on_the_true_one(name, inner):
    config = given(dataclasses.replace(BASE, reward="true"), name, inner)
    assert refusal(config).startswith(
        f"{name}{'.' + inner if inner else ''} was given, but a run on"
    )
    assert not refusal(of_true_reward(config))


def test_what_a_run_on_the_true_reward_wrote_of_itself_reruns_it(tmp_path):
    resolved = resolve(dataclasses.replace(BASE, reward="true"))
    (tmp_path / "config.yaml").write_text(to_yaml(resolved))
    again = from_yaml(tmp_path / "config.yaml")
    assert not refusal(again)
    assert resolve(again) == resolved


@pytest.mark.parametrize(
    "setting", [name for name in get_type_hints(TeacherConfig) if name != "name"]
)
@pytest.mark.parametrize("teacher", FAILINGS)
def test_a_teachers_setting_changes_what_it_does_unless_it_is_an_oracle(teacher, setting):
    changes: dict[str, Any] = {setting: 0.25}
    config = dataclasses.replace(BASE, teacher=TeacherConfig(teacher, **changes))
    if teacher == "oracle":
        assert refusal(config).startswith(f"teacher.{setting} is 0.25, but an oracle never errs")
    else:
        assert not refusal(config)
        assert getattr(resolve(config).teacher, setting) == 0.25
    usual = TeacherConfig(**vars(TeacherConfig(teacher).decided()))
    assert not refusal(dataclasses.replace(BASE, teacher=usual))


@pytest.mark.parametrize("pace", ["sync", "answers", "steps"])
@pytest.mark.parametrize("setting", ["answer_timeout", "max_steps_ahead", "min_first_answers"])
def test_a_setting_of_pace_is_of_the_paces_that_know_it(pace, setting):
    changes: dict[str, Any] = {"pace": pace, setting: 7}
    config = dataclasses.replace(BASE, **changes)
    known = {
        "answer_timeout": ("sync", "answers", "steps"),
        "max_steps_ahead": ("answers",),
        "min_first_answers": ("steps",),
    }
    assert bool(refusal(config, Parts(teacher=Leisurely()))) == (pace not in known[setting])
    assert "this one answers at once" in refusal(config)


@pytest.mark.parametrize("place", ["own", "training"])
@pytest.mark.parametrize("reward", ["learned", "true"])
def test_a_place_to_evaluate_in_goes_with_episodes_to_play_there(place, reward):
    config = dataclasses.replace(BASE, eval_in=place, reward=reward)
    assert not refusal(config)
    assert refusal(dataclasses.replace(config, eval_episodes=0)) == (
        f"eval_in is {place}, but eval_episodes is 0: there is nothing to play; "
        "leave one of the two out"
    )


def test_options_that_were_typed_are_refused_even_with_their_usual_value(tmp_path):
    for words in (["--budget", "700"], ["--teacher=oracle"], ["--queries.spread-factor", "3"]):
        said = call(tmp_path, ["run", "--env", "Pendulum-v1", "--reward", "true", *words]).refusal
        assert "was given, but a run on the true reward asks nobody" in said
        assert words[0].partition("=")[0] in said


def test_both_voices_name_what_to_do():
    config = dataclasses.replace(BASE, teacher=TeacherConfig(p_mistake=0.2))
    assert "choose teacher.name='mistake'" in refusal(config)
    with in_commands_words():
        assert refusal(config).startswith("--teacher.p-mistake is 0.2, but an oracle never errs")
        assert "choose --teacher mistake" in refusal(config)
