"""Opens several environments, as many as there can be, and closes them all."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium as gym

from prefrl.envs.env_checker import check_env, env_name
from prefrl.errors import ConfigError, PrefrlError, with_type


def open_envs(
    make_env: Callable[[], gym.Env[Any, Any]],
    most: int,
    *,
    beside: Sequence[gym.Env[Any, Any]] = (),
) -> tuple[list[gym.Env[Any, Any]], str]:
    """Makes environments until there are enough, or no further one can be had.

    Some environments exist once, or a few times: a robot on a serial port, a simulator with a
    licence for one.

    Args:
        make_env: makes one environment.
        most: how many are wanted, 1 or more.
        beside: those that are open already. One of them that is handed out again, wrapped anew or
            not, is no further one, and stays open.

    Returns:
        those that could be made, at least one, and why there is no further one; "" where there are
        enough.

    Raises:
        ConfigError: not even one could be made.
    """
    envs: list[gym.Env[Any, Any]] = []
    try:
        while len(envs) < most:
            env = make_env()
            try:
                check_env(env)
            except PrefrlError:
                close_envs([env])
                raise
            if any(env.unwrapped is other.unwrapped for other in (*beside, *envs)):
                raise ConfigError("one that is in use was handed out again")
            envs.append(env)
    except (Exception, SystemExit) as error:  # every environment fails in its own way
        if envs:
            return envs, with_type(error.__cause__ or error)
        if isinstance(error, PrefrlError):
            raise
        raise ConfigError(f"the environment could not be made: {with_type(error)}") from error
    except BaseException:
        close_envs(envs)
        raise
    return envs, ""


def close_envs(envs: Iterable[gym.Env[Any, Any]]) -> None:
    """Closes environments, each of them; one that fails to close is warned of, and nothing else."""
    for env in envs:
        try:
            if hasattr(env, "close"):  # what was made may be anything
                env.close()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - every environment fails in its own way
            warnings.warn(f"{env_name(env)} failed to close: {with_type(error)}", stacklevel=2)
