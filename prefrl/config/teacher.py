"""The settings of a teacher: a simulated one, or people."""

import dataclasses
import math
from typing import Annotated

from pydantic import AfterValidator

from prefrl.config.checking import settings
from prefrl.config.ranges import NonNegativeFloat, NonNegativeOrInf, Probability
from prefrl.errors import ConfigError, choices, option, shown

FAILINGS: dict[str, dict[str, float]] = {
    "oracle": {},
    "noisy": {"beta": 1.0},
    "mistake": {"p_mistake": 0.1},
    "skip": {"skip_fraction": 0.1},
    "equal": {"equal_fraction": 0.1},
    "myopic": {"gamma": 0.9},
}
"""B-Pref's six teachers with the values of its experiments: all else is as with the oracle."""
HUMAN = "human"
"""The name of the teacher that people are: they fail as they do, and take their time."""


def _known(name: str) -> str:
    if name not in (*FAILINGS, HUMAN):
        raise ValueError(choices(name, (*FAILINGS, HUMAN)))
    return name


@settings("teacher")
class TeacherConfig:
    """A teacher and how reliably it answers; what is None is decided by the preset of that name.

    Args:
        name: oracle, noisy, mistake, skip, equal or myopic (B-Pref's simulated teachers), or human:
            people, who take their time, and fail as they do.
        beta: rationality per standard deviation of segment returns: the odds of the better of two
            segments grow e-fold per 1/beta of them; inf never errs, 0 tosses coins.
        gamma: myopia: step t of T weighs gamma**(T - 1 - t); 1 forgets nothing.
        p_mistake: share of decisive answers that are flipped.
        skip_fraction: skip threshold as a fraction of the mean absolute return; 0 never skips.
        equal_fraction: tie threshold as a fraction of the mean absolute return; 0 leaves only the
            exact ties of a teacher that never errs.

    Example:
        >>> from prefrl import TeacherConfig
        >>> TeacherConfig("mistake", p_mistake=0.2).decided().p_mistake
        0.2
    """

    name: Annotated[str, AfterValidator(_known)] = "oracle"
    beta: NonNegativeOrInf | None = None
    gamma: Probability | None = None
    p_mistake: Probability | None = None
    skip_fraction: NonNegativeFloat | None = None
    equal_fraction: NonNegativeFloat | None = None

    @property
    def are_people(self) -> bool:
        """Tells people from a simulation."""
        return self.name == HUMAN

    def decided(self) -> "TeacherSettings":
        """Returns the settings with nothing left to the preset."""
        if self.are_people:
            return TeacherSettings(**{**vars(self), **_of_nobody(self)})
        own = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(TEACHER_PRESETS[self.name], **own)


def _of_nobody(teacher: TeacherConfig) -> dict[str, float]:
    """Returns the failings that were left out, as if there were none: people are not made so."""
    perfect = {"beta": math.inf, "gamma": 1.0}
    return {name: perfect.get(name, 0.0) for name, value in vars(teacher).items() if value is None}


@settings("teacher", kw_only=True)
class TeacherSettings(TeacherConfig):
    """A teacher's settings with nothing left to its preset; the defaults never err."""

    beta: NonNegativeOrInf = math.inf
    gamma: Probability = 1.0
    p_mistake: Probability = 0.0
    skip_fraction: NonNegativeFloat = 0.0
    equal_fraction: NonNegativeFloat = 0.0

    @property
    def needs_scale(self) -> bool:
        """Says whether answers depend on how large the returns of the pool are."""
        return self.beta < math.inf or self.skip_fraction > 0 or self.equal_fraction > 0


TEACHER_PRESETS: dict[str, TeacherSettings] = {
    name: TeacherSettings(name=name, **failings) for name, failings in FAILINGS.items()
}
"""The settings of each teacher in `FAILINGS`, by name."""


def check_effect(teacher: TeacherConfig) -> None:
    """Refuses an oracle that is told to fail, as it would not be one, and people who are.

    Raises:
        ConfigError: it names the failing, and the teacher that has it.
    """
    if teacher.name not in ("oracle", HUMAN):
        return
    others = {name: kind for kind, failings in FAILINGS.items() for name in failings}
    for name, other in others.items():
        value = getattr(teacher, name)
        if value is not None and value != getattr(TEACHER_PRESETS["oracle"], name):
            why = "people fail as they do" if teacher.are_people else "an oracle never errs"
            raise ConfigError(
                f"{option(f'teacher.{name}')} is {shown(value)}, but {why}; choose "
                f"{option('teacher.name', other)}, whose {name} may be anything"
            )
