"""Every simulated teacher keeps to the contract of teachers."""

import pytest

from prefrl.config import TEACHER_PRESETS, TeacherConfig, TeacherSettings
from prefrl.feedback.objectives import ObjectiveTeachers
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.testing import check_teacher


@pytest.mark.parametrize("name", sorted(TEACHER_PRESETS))
def test_a_preset_keeps_to_the_contract(name: str) -> None:
    check_teacher(
        lambda: SyntheticTeacher(TeacherConfig(name)),
        is_mirrored=name in ("oracle", "skip", "equal", "myopic"),
    )


@pytest.mark.parametrize("name", ["oracle", "mistake", "skip"])
def test_a_teacher_an_objective_keeps_to_the_contract(name: str) -> None:
    check_teacher(
        lambda: ObjectiveTeachers(("speed", "effort"), TEACHER_PRESETS[name]),
        is_mirrored=name != "mistake",
        num_objectives=2,
    )


def test_a_teacher_who_fails_in_every_way_at_once_keeps_to_the_contract() -> None:
    settings = TeacherSettings(
        beta=2.0, gamma=0.95, p_mistake=0.05, skip_fraction=0.3, equal_fraction=0.2
    )
    check_teacher(lambda: SyntheticTeacher(settings))
