from collections.abc import Callable

import pytest

from prefrl.feedback.protocols import Teacher
from prefrl.feedback.teachers import TEACHER_PRESETS, SyntheticTeacher, TeacherSettings, preset
from tests.contracts.teacher_contract import TeacherContract


class TestPresets(TeacherContract):
    @pytest.fixture(params=sorted(TEACHER_PRESETS))
    def make_teacher(self, request: pytest.FixtureRequest) -> Callable[[], Teacher]:
        return lambda: SyntheticTeacher(preset(request.param))


class TestEveryFailingAtOnce(TeacherContract):
    @pytest.fixture
    def make_teacher(self) -> Callable[[], Teacher]:
        settings = TeacherSettings(
            beta=2.0, gamma=0.95, p_mistake=0.05, skip_fraction=0.3, equal_fraction=0.2
        )
        return lambda: SyntheticTeacher(settings)
