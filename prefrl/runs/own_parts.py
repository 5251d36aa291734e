"""The parts of their own that people give a run: checked, named in its folder, asked for again."""

import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from prefrl.agents.table import DEFAULT_AGENT, preset_for
from prefrl.config import RunConfig, TeacherConfig
from prefrl.config.teacher import HUMAN
from prefrl.envs.env_checker import check_env
from prefrl.envs.opening import close_envs
from prefrl.envs.registry import making
from prefrl.errors import ConfigError, StorageError, option
from prefrl.records import run_folder
from prefrl.records.files import is_there, write_text_atomically
from prefrl.records.json_file import read_json_object
from prefrl.runs.finished import Found
from prefrl.runs.parts import Parts
from prefrl.runs.resolve import MakeEnv

Names = Mapping[str, str]
"""Part -> what it is called, as module:name."""

_IN_PLACE_OF = {
    "teacher": "teacher",
    "strategy": "strategy",
    "env_kwargs": "make_env",
    "fixed_horizon": "make_env",
    "agent": "make_model",
    "agent_settings": "make_model",
}
"""Setting -> the part that takes its place."""
_PEOPLE = TeacherConfig(HUMAN).decided()


def check_settings(config: RunConfig, parts: Parts) -> None:
    """Refuses settings that a part of one's own leaves without effect.

    Raises:
        ConfigError: there are such; they are named.
    """
    given = {
        # Who asks people is a part of one's own.
        "teacher": config.teacher.decided() not in (TeacherConfig().decided(), _PEOPLE),
        "strategy": config.strategy != RunConfig().strategy,
        "env_kwargs": bool(config.env_kwargs),
        "fixed_horizon": not config.fixed_horizon,
        "agent": config.agent not in (None, DEFAULT_AGENT),
        "agent_settings": _has_agent_settings(config),
    }
    for name, part in _IN_PLACE_OF.items():
        if given[name] and getattr(parts, part) is not None:
            raise ConfigError(
                f"{option(name)} was given, but so was a {part} of one's own, which takes its "
                "place; leave one of the two out"
            )
    for name in ("teacher", "strategy"):
        if getattr(parts, name) is not None and config.reward != "learned":
            raise ConfigError(
                f"a {name} was given, but a run on the true reward asks nothing; leave it out"
            )


def _has_agent_settings(config: RunConfig) -> bool:
    """Says whether there are any but those of the preset, which are in every config.yaml."""
    preset = preset_for(config.env, config.agent or DEFAULT_AGENT).agent_settings
    return any(preset.get(name) != value for name, value in config.agent_settings.items())


class OwnEnvironments:
    """Makes a user's environments, each of which may be the only one that there can be.

    Args:
        make: makes one.
        name: of the environment, for errors.
    """

    def __init__(self, make: MakeEnv, name: str) -> None:
        self._make = make
        self._name = name
        self._kept: list[gym.Env[Any, Any]] = []

    def look(self) -> gym.Env[Any, Any]:
        """Returns an environment to look at; it is the next one that is given out."""
        with making(self._name):
            self._kept = self._kept or [self._make()]
        check_env(self._kept[0], self._name)
        return self._kept[0]

    def __call__(self) -> gym.Env[Any, Any]:
        """Returns an environment, which is the caller's to close."""
        return self._kept.pop() if self._kept else self._make()

    def close(self) -> None:
        """Closes what was looked at and never given out."""
        kept, self._kept = self._kept, []
        close_envs(kept)


@contextmanager
def own_environments(parts: Parts, name: str) -> Iterator[tuple[Parts, OwnEnvironments | None]]:
    """Lends the parts with a `make_env` that gives out again what was made to look at."""
    if parts.make_env is None:
        yield parts, None
        return
    own = OwnEnvironments(parts.make_env, name)
    try:
        yield replace(parts, make_env=own), own
    finally:
        own.close()


def names_of(parts: Parts) -> Names:
    """Returns what the given parts are called."""
    given = {field.name: getattr(parts, field.name) for field in fields(parts)}
    return {name: _name_of(part) for name, part in given.items() if part not in (None, (), [])}


def _name_of(part: Any) -> str:
    if isinstance(part, (list, tuple)):
        return ", ".join(map(_name_of, part))
    if isinstance(part, functools.partial):
        return _name_of(part.func)
    named = part if hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}:{named.__qualname__}"


def record_parts(folder: Path, names: Names) -> None:
    """Writes the names of a run's parts into its folder, for whoever goes on with it."""
    write_text_atomically(folder / run_folder.PARTS, json.dumps(names, indent=2) + "\n")


def recorded_parts(folder: Path) -> Names | None:
    """Returns the names of the parts that a run was made with; None for a run of before 0.2.

    Raises:
        StorageError: the file is damaged.
    """
    path = folder / run_folder.PARTS
    if not is_there(path):
        return None
    names = read_json_object(path)
    known = {field.name for field in fields(Parts)}
    if not all(name in known and isinstance(value, str) for name, value in names.items()):
        raise StorageError(f"{path} is damaged: expected names of parts, each with its own name")
    return names


def check_same_parts(folder: Path, given: Names) -> None:
    """Refuses to go on with a run with other parts than it was made with.

    Only which parts there are is compared: what they are called may have changed. Callbacks are
    free to come, and their absence is warned of, as they watch and change nothing.

    Raises:
        ConfigError: a part is missing, or one was given that the run did without.
    """
    recorded = recorded_parts(folder)
    if recorded is None:
        return
    missing = {name: own for name, own in recorded.items() if name not in given}
    callbacks = missing.pop("callbacks", None)
    said = f"the run in {folder} was made with"
    if missing:
        named = " and ".join(f"{name} {own}" for name, own in missing.items())
        needed = ", ".join(f"{name}=..." for name in recorded if name != "callbacks")
        raise ConfigError(
            f"{said} {named}, which {'was' if len(missing) == 1 else 'were'} not given; go on with "
            f"it in Python: prefrl.resume({str(folder)!r}, parts=prefrl.Parts({needed}))"
        )
    if callbacks is not None:
        warnings.warn(f"{said} callbacks {callbacks}; it goes on without", stacklevel=3)
    for name, own in given.items():
        if name not in recorded and name != "callbacks":
            raise ConfigError(
                f"{name} {own} was given, but the run in {folder} was made without; leave it out, "
                f"or start another run with another {option('out')}"
            )


def check_parts_known(folder: Path, found: Found) -> None:
    """Refuses to go on with a run of today's of which nobody knows any more what it was made with.

    Raises:
        StorageError: the names of its parts are gone.
    """
    is_of_before = "log" not in found.state  # So were the names of parts not written yet.
    if not is_of_before and recorded_parts(folder) is None:
        path = folder / run_folder.PARTS
        raise StorageError(
            f"{path} is missing, which says what parts of one's own the run was made with; put it "
            "back, or write {} into it if there were none"
        )


def check_same_env(folder: Path, make_env: MakeEnv | None) -> None:
    """Refuses to play a run's policy in another environment than it was trained in.

    Raises:
        ConfigError: the run was made with a `make_env`, and there is none here, or the other way
            round.
    """
    recorded = recorded_parts(folder)
    if recorded is None:
        return
    own = recorded.get("make_env")
    if own is not None and make_env is None:
        raise ConfigError(
            f"the run in {folder} was made with make_env {own}; play it in Python: "
            f"prefrl.runs.playback.evaluate_run({str(folder)!r}, num_episodes=10, seed=0, "
            "make_env=...), and film_run likewise"
        )
    if own is None and make_env is not None:
        raise ConfigError(
            f"make_env was given, but the run in {folder} was made without; leave it out"
        )
