import dataclasses
import math

import pytest

from prefrl.config import TEACHER_PRESETS, TeacherConfig, TeacherSettings
from prefrl.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beta", -0.1),
        ("beta", math.nan),
        ("gamma", 1.1),
        ("gamma", -0.1),
        ("p_mistake", 1.5),
        ("p_mistake", -0.5),
        ("p_mistake", "often"),
        ("skip_fraction", -1.0),
        ("skip_fraction", math.inf),
        ("equal_fraction", math.nan),
        ("equal_fraction", None),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(name, value):
    with pytest.raises(ConfigError, match=f"^teacher.{name} is {value!r}; expected "):
        TeacherSettings(**{name: value})


def test_the_ends_of_every_range_are_allowed():
    TeacherSettings(beta=0, gamma=0, p_mistake=0, skip_fraction=0, equal_fraction=0)
    TeacherSettings(beta=math.inf, gamma=1, p_mistake=1, skip_fraction=3, equal_fraction=3)


def test_the_presets_are_the_six_teachers_of_bpref():
    failings = {name: dataclasses.astuple(teacher)[1:] for name, teacher in TEACHER_PRESETS.items()}
    assert failings == {
        "oracle": (math.inf, 1.0, 0.0, 0.0, 0.0),
        "noisy": (1.0, 1.0, 0.0, 0.0, 0.0),
        "mistake": (math.inf, 1.0, 0.1, 0.0, 0.0),
        "skip": (math.inf, 1.0, 0.0, 0.1, 0.0),
        "equal": (math.inf, 1.0, 0.0, 0.0, 0.1),
        "myopic": (math.inf, 0.9, 0.0, 0.0, 0.0),
    }


def test_the_presets_name_decides_what_is_left_open():
    assert TeacherConfig("mistake", beta=2.0).decided() == TeacherSettings(
        name="mistake", beta=2.0, p_mistake=0.1
    )
    assert TeacherConfig("mistake", p_mistake=0.0).decided().p_mistake == 0.0
    assert all(TeacherConfig(name).decided() == its for name, its in TEACHER_PRESETS.items())


def test_what_is_decided_stays_as_it_is():
    decided = TeacherConfig("noisy", gamma=0.5).decided()
    assert decided.decided() == decided


def test_a_setting_of_a_preset_can_be_replaced():
    noisy = TEACHER_PRESETS["noisy"]
    assert dataclasses.replace(noisy, beta=3.0) == TeacherSettings(name="noisy", beta=3.0)
    with pytest.raises(ConfigError, match=r"^teacher\.beta is -3\.0; "):
        dataclasses.replace(noisy, beta=-3.0)


def test_an_unknown_teacher_lists_the_valid_ones_and_offers_the_nearest():
    with pytest.raises(ConfigError) as error:
        TeacherConfig("orakle")
    assert str(error.value) == (
        "teacher.name is 'orakle'; choose from oracle, noisy, mistake, skip, equal, myopic, human; "
        "did you mean oracle?"
    )


def test_a_name_that_resembles_nothing_gets_no_guess():
    with pytest.raises(ConfigError, match=r"myopic, human$"):
        TeacherConfig("7")
