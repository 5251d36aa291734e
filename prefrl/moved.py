"""Old names, which go on working for one version, with a DeprecationWarning.

Whole modules are found by `install`, called when prefrl is imported; a module that names have moved
out of has a line `__getattr__ = names_of(__name__)`.
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

NAMES: dict[str, dict[str, str]] = {
    "prefrl.agents.presets": {"preset_for": "prefrl.agents.table:preset_for"},
    "prefrl.config": {
        "AgentName": "builtins:str",
        "checked": "prefrl.moved:checked",
    },
    "prefrl.feedback.teachers": {
        "TEACHER_PRESETS": "prefrl.config:TEACHER_PRESETS",
        "preset": "prefrl.moved:teacher_preset",
    },
    "prefrl.runs.resolve": {"teacher_settings": "prefrl.moved:teacher_settings"},
}
"""Module -> what it had -> where that is now, as `module:name`."""


def names_of(module: str) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a module that names have moved out of."""
    moved = NAMES[module]

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new_name = moved[name].partition(":")
        _warn(f"{module}.{name}", f"{home}.{new_name}")
        return getattr(importlib.import_module(home), new_name)

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is {new} now; the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )


def checked(config: Any) -> Any:
    """Returns the settings: they are checked when they are made."""
    return config


def teacher_preset(name: str) -> Any:
    """Returns `prefrl.config.TEACHER_PRESETS[name]`."""
    return importlib.import_module("prefrl.config").TeacherConfig(name).decided()


def teacher_settings(config: Any) -> Any:
    """Returns `config.decided()`."""
    return config.decided()
