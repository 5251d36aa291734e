"""Makes any Gymnasium id ready for preferences."""

import contextlib
import difflib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, registry
from gymnasium.wrappers import TimeLimit

from prefrl.arguments import flag, instance, optional, whole_number
from prefrl.envs.description import time_limit
from prefrl.envs.encoding import (
    ActionsFromZero,
    FlatObservation,
    check_action_bounds,
)
from prefrl.envs.env_checker import check_env
from prefrl.envs.fixed_horizon import fixed_horizon_settings
from prefrl.envs.suites import bring, made_repeatable, suite_settings, usual_episode_steps
from prefrl.errors import ConfigError, at_least, option, text_of, with_type
from prefrl.own_modules import import_own

# Gymnasium announces that v4 tasks have a successor. Who asks for v4 by name wants v4: the
# literature's results are for it.
_OUT_OF_DATE = r".*The environment .* is out of date.*"
_NUM_OFFERED = 4


def find_spec(env_id: str) -> EnvSpec:
    """Finds the registered environment of a name; a `module:Name-v0` id imports its module first.

    Raises:
        ConfigError: there is none; the nearest names are offered.
    """
    instance("env_id", env_id, str, "the id of an environment: 'HalfCheetah-v4'")
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            import_own(module)
        if name in registry:
            return registry[name]
        missing = bring(name)
        return gym.spec(name)
    except (gym.error.Error, ValueError) as error:
        near = [] if isinstance(error, gym.error.NamespaceNotFound) else _nearest(name)
        hint = text_of(error)
        if near:
            hint = f"the nearest names are {', '.join(near)}"
        if missing is not None and not any(_task(other) == _task(name) for other in near):
            hint = missing
        elif not near and not module and isinstance(error, gym.error.NameNotFound):
            hint = f"{hint.rstrip('.')}; one of your own is found by its module: my_module:{name}"
    except ConfigError as error:
        hint = str(error)
    raise ConfigError(f"unknown environment {env_id!r}; {hint}")


def _nearest(name: str) -> list[str]:
    """Returns up to four registered names: versions of the same task first, the newest foremost."""
    known = sorted(registry, key=_version, reverse=True)
    same = [known_id for known_id in known if _task(known_id) == _task(name)]
    near = difflib.get_close_matches(name, known, n=2 * _NUM_OFFERED, cutoff=0.5)
    # What gymnasium has moved elsewhere keeps its name, but neither a time limit nor a maker.
    is_current = {_task(known_id) for known_id in known if registry[known_id].max_episode_steps}
    offered = [
        known_id
        for known_id in dict.fromkeys(same + near)
        if registry[known_id].max_episode_steps or _task(known_id) not in is_current
    ]
    return offered[:_NUM_OFFERED]


def _task(env_id: str) -> str:
    return re.sub(r"-v\d+$", "", env_id).lower()


def _version(env_id: str) -> int:
    match = re.search(r"-v(\d+)$", env_id)
    return int(match[1]) if match else -1


def episode_steps(spec: EnvSpec, max_episode_steps: int | None) -> int:
    """Returns the episode's time limit, in steps.

    Raises:
        ConfigError: neither the environment nor the caller sets one.
    """
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ConfigError(at_least("max_episode_steps", max_episode_steps, 1))
    limit = max_episode_steps or spec.max_episode_steps or usual_episode_steps(spec)
    if not limit or limit < 0:
        others = [other for other in _nearest(spec.id) if _task(other) == _task(spec.id)]
        hint = f", or {others[0]}, which has one" if others and others[0] != spec.id else ""
        raise ConfigError(
            f"{spec.id} has no time limit; "
            f"choose one with {option('max_episode_steps')} (1000 is usual){hint}"
        )
    return int(limit)


def make_env(
    env_id: str,
    *,
    fixed_horizon: bool = True,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    **settings: Any,
) -> gym.Env[Any, Any]:
    """Makes an environment with flat float observations and, where it allows it, a fixed horizon.

    Args:
        env_id: any Gymnasium id.
        fixed_horizon: switch off early termination where the environment allows it.
        max_episode_steps: the time limit; None keeps the environment's own.
        render_mode: as Gymnasium's.
        **settings: handed to the environment.

    Raises:
        ConfigError: the environment is unknown, needs something that is not installed, or has no
            time limit.
        SpaceError: its observations or actions do not flatten to numbers.

    Example:
        >>> from prefrl.envs import make_env
        >>> env = make_env("Pendulum-v1", max_episode_steps=50)
        >>> obs, _ = env.reset(seed=0)
        >>> obs.shape, obs.dtype
        ((3,), dtype('float32'))
    """
    spec = find_spec(env_id)
    fixed_horizon = flag("fixed_horizon", fixed_horizon)
    optional("render_mode", render_mode, str, "a render mode: 'rgb_array'")
    if max_episode_steps is not None:
        max_episode_steps = whole_number("max_episode_steps", max_episode_steps, least=1)
    limit = episode_steps(spec, max_episode_steps)
    settings = suite_settings(spec, settings)
    with making(env_id):
        extra = fixed_horizon_settings(spec) if fixed_horizon else {}
        # Not every environment takes a render mode, so none is handed on as one.
        if render_mode is not None:
            settings = {"render_mode": render_mode, **settings}
        env = _made(env_id, {"max_episode_steps": limit, **settings}, extra=extra)
        env = made_repeatable(env, spec)
    return prepared(env, env_id=env_id, max_episode_steps=limit)


def _made(env_id: str, settings: dict[str, Any], *, extra: dict[str, Any]) -> gym.Env[Any, Any]:
    """Makes it with further settings where it takes them, and without where it refuses them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _OUT_OF_DATE)
        if extra.keys() - settings.keys():
            # Each refuses in its own way; what else is wrong is said when it is made without them.
            with contextlib.suppress(Exception):
                return gym.make(env_id, **{**extra, **settings})
        return gym.make(env_id, **settings)


@contextlib.contextmanager
def making(env_id: str) -> Iterator[None]:
    """Turns what an environment's own code raises, as it lacks a package, into a ConfigError."""
    try:
        yield
    except Exception as error:  # every environment fails in its own way
        raise ConfigError(f"{env_id} could not be made: {with_type(error)}") from error


def prepared(env: gym.Env[Any, Any], *, env_id: str, max_episode_steps: int) -> gym.Env[Any, Any]:
    """Wraps an environment as agents need it: flat observations, actions from 0, a time limit.

    Args:
        env: one that was not made here, or was made by Gymnasium.
        env_id: named in errors.
        max_episode_steps: the time limit of an environment that has none.

    Raises:
        SpaceError: its observations or actions do not flatten to numbers.
    """
    check_env(env, env_id)
    check_action_bounds(env.action_space, env_id)
    if np.any(getattr(env.action_space, "start", 0)):
        env = ActionsFromZero(env)
    if not (
        isinstance(env.observation_space, spaces.Box) and len(env.observation_space.shape) == 1
    ):
        env = FlatObservation(env)
    return TimeLimit(env, max_episode_steps) if time_limit(env) is None else env
