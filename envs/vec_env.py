"""Builds the stack of vector environments that a run steps."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from prefrl.arguments import function, instance, whole_number
from prefrl.envs.beside import Beside
from prefrl.envs.compatibility import check_alike, check_faultless
from prefrl.envs.description import describe_all
from prefrl.envs.encoding import check_action_bounds
from prefrl.envs.env_checker import check_env, env_name
from prefrl.envs.opening import close_envs, open_envs
from prefrl.envs.recorder import Recorder
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.envs.same_process_vec_env import SameProcessVecEnv
from prefrl.errors import ArgumentError, ConfigError, not_a, option, shown
from prefrl.segments import EpisodeStore

__all__ = ["SameProcessVecEnv", "env_name", "make_vec_env", "side_by_side"]

# In one process; whoever asks for more has mistaken what the number is.
MOST_ENVS = 65_536


def make_vec_env(
    make_env: Callable[[], gym.Env[Any, Any]],
    num_envs: int,
    store: EpisodeStore,
    *,
    objectives: Sequence[str] = (),
    beside: Beside | None = None,
) -> RewardVecEnv:
    """Makes `num_envs` recorded environments whose reward can be replaced; the true one until then.

    Args:
        make_env: makes one environment.
        num_envs: how many are stepped side by side.
        store: receives every episode.
        objectives: entries of `info` that are recorded as true rewards of their own.
        beside: keeps something else of each episode, such as pictures.

    Raises:
        ArgumentError: an argument is of another type.
        ConfigError: so many cannot be made; none is left open.
        SpaceError: observations or actions do not flatten to numbers.

    Example:
        >>> from prefrl.envs import make_env, make_vec_env
        >>> from prefrl.segments import EpisodeStore
        >>> store = EpisodeStore()
        >>> venv = make_vec_env(lambda: make_env("Pendulum-v1"), 2, store)
        >>> venv.reset().shape
        (2, 3)
    """
    function("make_env", make_env, "a function that makes one environment")
    num_envs = whole_number("num_envs", num_envs, least=1)
    instance("store", store, EpisodeStore)
    if isinstance(objectives, str) or not isinstance(objectives, Sequence):
        raise ArgumentError(not_a("objectives", objectives, "a list of names of entries of info"))
    if num_envs > MOST_ENVS:
        raise ConfigError(f"{option('num_envs')} is {shown(num_envs)}; expected 1 to {MOST_ENVS:,}")
    envs, reason = open_envs(make_env, num_envs)
    if reason:
        close_envs(envs)
        raise ConfigError(
            f"{option('num_envs')} is {num_envs}, but of {env_name(envs[0])} only {len(envs)} "
            f"could be made "
            f"({reason}); use {option('num_envs', len(envs))}"
        )
    return side_by_side(envs, store, objectives=objectives, warns=True, beside=beside)


def side_by_side(
    envs: Sequence[gym.Env[Any, Any]],
    store: EpisodeStore,
    *,
    objectives: Sequence[str] = (),
    warns: bool = False,
    beside: Beside | None = None,
) -> RewardVecEnv:
    """Makes the same stack of environments that are there already; closing it closes them.

    Args:
        envs: of one kind.
        store: as in `make_vec_env`.
        objectives: likewise.
        warns: an observation outside of its space's bounds is warned of, once.
        beside: as in `make_vec_env`.

    Raises:
        ArgumentError: one of them is no environment.
        SpaceError: spaces cannot be used, or not alike; the environments are closed.
    """
    try:
        for env in envs:
            # Before SB3 looks at the space, which names nothing when it cannot use it.
            check_env(env)
            check_action_bounds(env.action_space, env_name(env))
        makers = [lambda env=env: env for env in envs]
        venv = SameProcessVecEnv(makers)
        name, spec = env_name(envs[0]), envs[0].spec
        recorder = Recorder(
            venv, store, env_id=name, objectives=objectives, warns=warns, beside=beside
        )
        described = describe_all(recorder)
        check_alike(described, "a run")
        check_faultless(described[0], "a run")
        return RewardVecEnv(recorder, None, env_id=spec.id if spec else None)
    except BaseException:
        close_envs(envs)
        raise
