"""Every setting that is given has its effect, or is refused by name."""

import contextlib
import dataclasses
import operator
from typing import Any, get_type_hints

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from prefrl import fit_reward_model
from prefrl.benchmark.grid.cells import Cell
from prefrl.benchmark.queries.reward_cell import run_reward_cell
from prefrl.config import RunConfig, TeacherConfig, from_yaml, to_yaml
from prefrl.config.effect import OF_EVALUATIONS, OF_LEARNING, OF_RUNS, check_reward_model
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


def changed(config: RunConfig, changes: dict[str, Any]) -> RunConfig:
    """The settings with other values at dotted places."""
    for place, value in changes.items():
        section, _, name = place.rpartition(".")
        inner = {name: value}
        if section:
            inner = {section: dataclasses.replace(getattr(config, section), **inner)}
        config = dataclasses.replace(config, **inner)
    return config


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


NEEDS = {
    "eval_episodes": (0, 4),
    "reward_model.bank_size": (0, 8),
    "reward_model.bank_alpha": (0.0, 0.5),
    "reward_model.l2": (0.0, 1.0),
    "reward_model.num_reward_heads": (1, 2),
    "reward_model.interval_coverage": (None, 0.9),
    "queries.validation_fraction": (0.0, 0.2),
    "queries.num_sessions": (1, 3),
    "pace": ("sync", "answers"),
    "sync_feedback": (True, False),
}
"""Setting that others need -> a value that leaves them without effect, and one that does not."""
OTHERS = {
    "eval_every": 500,
    "eval_in": "own",
    "reward_model.contrastive": 0.5,
    "reward_model.bank_alpha": "auto",
    "reward_model.bank_policy": "fifo",
    "reward_model.bank_neighbours": 5,
    "reward_model.anchored": False,
    "reward_model.diversity": 0.5,
    "reward_model.interval_coverage": 0.9,
    "reward_model.patience": 3,
    "reward_model.adapt_l2": True,
    "reward_model.temperature": False,
    "queries.initial_fraction": 0.5,
    "queries.last_session_at": 0.5,
    "queries.schedule": "constant",
    "queries.session_spacing": 1.0,
    "queries.ease": True,
    "max_steps_ahead": 7,
    "min_first_answers": 7,
    "sync_feedback": True,
    "open_ahead": 7,
}
"""Setting that needs another one -> a value that is not its usual one."""
ALL = [(need, name) for need in (*OF_EVALUATIONS, *OF_RUNS) for name in need.names]
LEARNING = [(need, name) for need in OF_LEARNING for name in need.names]


def pair_of(need: Any, name: str) -> tuple[RunConfig, RunConfig]:
    """The setting beside what leaves it without effect, and beside all that it needs."""
    without: Any
    enough: Any
    without, enough = NEEDS[need.setting]
    if name == "min_first_answers":
        enough = "steps"
    if name == "sync_feedback":
        without, enough = enough, without
    both = {name: OTHERS[name]}
    if name.endswith("temperature"):
        both["reward_model.error_rate"] = 0.1  # nor do models that leave answers out tell it
    others: dict[str, Any] = {"reward_model.interval_coverage": 0.9}
    if name.endswith("neighbours"):
        others["reward_model.bank_alpha"] = 0.5
    return changed(BASE, {**both, need.setting: without}), changed(
        BASE, {**others, **both, need.setting: enough}
    )


@pytest.mark.parametrize(("need", "name"), ALL, ids=lambda part: getattr(part, "setting", part))
def test_a_setting_is_refused_without_what_it_needs_and_taken_with_it(need, name):
    of_slow_ones = need.setting in ("pace", "sync_feedback")
    parts = Parts(teacher=Leisurely()) if of_slow_ones else Parts()
    without, enough = pair_of(need, name)
    line = refusal(without, parts)
    assert line.startswith(f"{name} is {OTHERS[name]}, but {need.setting} is "), line
    assert need.otherwise in line
    assert not refusal(enough, parts)
    usual = operator.attrgetter(name)(RunConfig())
    assert not refusal(changed(without, {name: usual}), parts)


@pytest.mark.parametrize(
    ("need", "name"), LEARNING, ids=lambda part: getattr(part, "setting", part)
)
def test_so_it_is_where_answers_of_a_file_are_learned_from(need, name):
    without, enough = (
        dataclasses.replace(config.reward_model, linear_part=False)
        for config in pair_of(need, name)
    )
    with pytest.raises(ConfigError, match=f"^{name} is {OTHERS[name]}, but {need.setting} is "):
        fit_reward_model("nowhere.npz", config=without)
    check_reward_model(OF_LEARNING, enough)


@pytest.mark.parametrize("name", ["bank_alpha", "bank_policy", "bank_neighbours", "contrastive"])
def test_a_recipe_without_a_bank_has_none_to_say_anything_of(name):
    changes = {
        "reward_model.recipe": "plain",
        f"reward_model.{name}": OTHERS[f"reward_model.{name}"],
    }
    with in_commands_words():
        assert refusal(changed(BASE, changes)) == (
            f"--reward-model.{name.replace('_', '-')} is {OTHERS[f'reward_model.{name}']}, but "
            "--reward-model.bank-size is 0: there is no bank; leave it out, or choose another "
            "--reward-model.bank-size"
        )


def test_a_cell_of_a_benchmark_refuses_them_before_its_pool_is_made(tmp_path):
    settings = {"budgets": [4], "reward_model": {"bank_size": 0, "bank_policy": "fifo"}}
    cell = Cell("reward", "Pendulum-v1", "uniform", "oracle", 0, settings)
    with pytest.raises(ConfigError, match=r"bank_policy is fifo, but .*bank_size is 0"):
        run_reward_cell(cell, tmp_path, lambda *_: None)


CHANGES = [
    ("reward", "true"),
    ("reward_model.recipe", "plain"),
    *OTHERS.items(),
    *((name, value) for name, values in NEEDS.items() for value in values),
]


@drawn(changes=st.lists(st.sampled_from(CHANGES), max_size=5).map(dict))
def test_what_a_run_wrote_of_itself_always_reruns_it(changes, tmp_path_factory):
    config = changed(BASE, changes)
    if refusal(config, parts := Parts(teacher=Leisurely())):
        return
    path = tmp_path_factory.mktemp("run") / "config.yaml"
    resolved = resolve(config)
    path.write_text(to_yaml(resolved))
    again = from_yaml(path)
    assert not refusal(again, parts)
    assert resolve(again) == resolved


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


@pytest.mark.parametrize("name", ["queries.repeat_share", "queries.overlap", "open_ahead"])
def test_what_is_of_open_questions_is_refused_with_a_teacher_that_answers_at_once(name):
    config = changed(BASE, {name: 1})
    assert refusal(config).startswith(f"{name} was given, but it is of teachers that take their")
    assert not refusal(config, Parts(teacher=Leisurely()))


def test_people_are_asked_by_the_labelling_service_or_by_a_part_that_asks_them():
    people = dataclasses.replace(BASE, teacher=TeacherConfig("human"))
    assert not refusal(people)
    assert not refusal(people, Parts(teacher=Leisurely()))
    failing = dataclasses.replace(BASE, teacher=TeacherConfig("human", p_mistake=0.2))
    assert "teacher.p_mistake is 0.2, but people fail as they do" in refusal(failing)
