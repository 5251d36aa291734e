"""Suites of environments in packages of their own: where a name is found, and how it is typed."""

import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec as find_module
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, registry

from prefrl.errors import ConfigError, option
from prefrl.own_modules import import_own


@dataclass(frozen=True)
class Suite:
    """A package that registers environments when it is imported.

    Args:
        module: that is imported.
        names: of its environments, as a regular expression.
        install: what pip is given.
        needs: further modules without which it registers none of them.
        episode_steps: the usual time limit of those whose spec has none.
    """

    module: str
    names: str
    install: str
    needs: tuple[str, ...] = ()
    episode_steps: int | None = None

    @property
    def is_installed(self) -> bool:
        """Tells whether everything is there that it needs."""
        try:
            return all(find_module(name) is not None for name in (self.module, *self.needs))
        except ImportError:  # of the package that a module is in
            return False


METAWORLD = Suite(
    "metaworld",
    r"Meta-World/.+|[a-z]+(-[a-z]+)*-v\d",
    "metaworld",
    episode_steps=500,
)
DM_CONTROL = Suite(
    "shimmy",
    r"dm_control/.+",
    "'shimmy[dm-control]'",
    needs=("dm_control",),
    episode_steps=1000,
)
SUITES = (
    Suite(
        "gymnasium_robotics",
        r"(Fetch|HandReach|HandManipulate|AdroitHand|FrankaKitchen|PointMaze|AntMaze|MaMuJoCo).*",
        "gymnasium-robotics",
    ),
    METAWORLD,
    DM_CONTROL,
    Suite("panda_gym", r"Panda[A-Z].*", "panda-gym"),
    Suite("highway_env", r"(highway|merge|roundabout|parking|intersection)-.*", "highway-env"),
    Suite("minigrid", r"(MiniGrid|BabyAI)-.*", "minigrid"),
    Suite("PyFlyt.gym_envs", r"PyFlyt/.+", "PyFlyt"),
    Suite("ale_py", r"ALE/.+", "ale-py"),
)
"""In the order in which a name is looked for."""

_EXAMPLE = "button-press-v3"


def bring(name: str) -> str | None:
    """Registers the environments of the suite that a name is of, where it is installed.

    Returns:
        what is to be done before the name can be found; None where nothing is known, or needed.
    """
    suite = next((suite for suite in SUITES if re.fullmatch(suite.names, name)), None)
    if suite is None:
        return None
    if not suite.is_installed:
        package = suite.install.strip("'")
        return f"it may be one of {package}, which is not installed: pip install {suite.install}"
    try:
        module = import_own(suite.module)
    except ConfigError as error:
        return str(error)
    if suite is METAWORLD:
        _register_tasks(module)
    return None


def suite_of(spec: EnvSpec) -> Suite | None:
    """Finds the suite that an environment was registered by."""
    entry: Any = spec.entry_point or spec.vector_entry_point
    maker = entry.func if isinstance(entry, partial) else entry
    if maker is _make_task:
        return METAWORLD
    module = maker if isinstance(maker, str) else getattr(maker, "__module__", None) or ""
    package = re.split("[.:]", module)[0]
    return next((suite for suite in SUITES if suite.module.partition(".")[0] == package), None)


def usual_episode_steps(spec: EnvSpec) -> int | None:
    """Returns the time limit that is usual where a spec has none; None where none is known."""
    suite = suite_of(spec)
    return None if suite is None else suite.episode_steps


def suite_settings(spec: EnvSpec, settings: dict[str, Any]) -> dict[str, Any]:
    """Adds what a suite's environment has to be made with.

    Args:
        spec: of the environment.
        settings: of the user's own, which win.

    Raises:
        ConfigError: it is many tasks at once, or one of many that is not named.
    """
    if suite_of(spec) is not METAWORLD:
        return settings
    if spec.entry_point is None:
        raise ConfigError(
            f"{spec.id} is many tasks side by side; choose one of them: {option('env', _EXAMPLE)}"
        )
    if "env_name" not in {**spec.kwargs, **settings} and spec.namespace is not None:
        raise ConfigError(
            f"{spec.id} is one of many tasks, and not said which: choose {option('env', _EXAMPLE)}"
        )
    # The goals that episodes are drawn from belong to the task: they are the same in every process.
    return {"seed": 0, **settings}


def made_repeatable(env: gym.Env[Any, Any], spec: EnvSpec) -> gym.Env[Any, Any]:
    """Wraps an environment of a suite that does not draw what `reset(seed=...)` says."""
    return SeededTasks(env) if suite_of(spec) is METAWORLD else env


class SeededTasks(gym.Wrapper[Any, Any, Any, Any]):
    """Seeds Meta-World's own generator: it draws the goals, and `reset` leaves it alone."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; the same one for the same seed."""
        if seed is not None:
            own: Any = self.env.unwrapped
            own.seed(seed)
        return self.env.reset(seed=seed, options=options)


def _register_tasks(metaworld: Any) -> None:
    """Registers Meta-World's tasks under their own names; it has them as settings of one other."""
    for name in getattr(metaworld, "ALL_V3_ENVIRONMENTS", ()):
        if name not in registry:
            make = partial(_make_task, env_name=name)
            gym.register(name, make, max_episode_steps=METAWORLD.episode_steps)


def _make_task(env_name: str, **settings: Any) -> gym.Env[Any, Any]:
    return gym.make("Meta-World/MT1", env_name=env_name, **settings)
