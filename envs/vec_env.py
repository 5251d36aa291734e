"""Builds the stack of vector environments that a run steps."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv

from prefrl.arguments import function, instance, whole_number
from prefrl.envs.described import describe_all
from prefrl.envs.encoding import check_observation_space
from prefrl.envs.fits import check_faultless
from prefrl.envs.opening import close_envs, open_envs
from prefrl.envs.recorder import Recorder
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.errors import ArgumentError, ConfigError, not_a, option
from prefrl.segments import EpisodeStore

# In one process; whoever asks for more has mistaken what the number is.
MOST_ENVS = 65_536


class SameProcessVecEnv(DummyVecEnv):
    """SB3's in-process vector environment without its deep copy of every info, every step.

    Environments build a fresh `info` each step, so a shallow copy is enough to keep what wrappers
    add to it apart from what the environment holds; the deep copy costs as much as a tenth of a
    HalfCheetah step.
    """

    def step_wait(self) -> Any:
        """Steps every environment, resetting those whose episode ends."""
        for i, env in enumerate(self.envs):
            obs, reward, terminated, truncated, info = env.step(self.actions[i])
            info = dict(info)
            done = terminated or truncated
            info["TimeLimit.truncated"] = truncated and not terminated
            if done:
                # A copy: the reset may overwrite the very array that the step handed out.
                info["terminal_observation"] = deepcopy(obs)
                obs, self.reset_infos[i] = env.reset()
            self.buf_rews[i], self.buf_dones[i], self.buf_infos[i] = reward, done, info
            self._save_obs(i, obs)
        return (
            self._obs_from_buf(),
            self.buf_rews.copy(),
            self.buf_dones.copy(),
            list(self.buf_infos),
        )

    def close(self) -> None:
        """Closes every environment, once, whatever one of them raises."""
        envs, self.envs = self.envs, []
        close_envs(envs)


def make_vec_env(
    make_env: Callable[[], gym.Env[Any, Any]],
    num_envs: int,
    store: EpisodeStore,
    *,
    objectives: Sequence[str] = (),
) -> RewardVecEnv:
    """Makes `num_envs` recorded environments whose reward can be replaced; the true one until then.

    Args:
        make_env: makes one environment.
        num_envs: how many are stepped side by side.
        store: receives every episode.
        objectives: entries of `info` that are recorded as true rewards of their own.

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
        raise ConfigError(f"num_envs is {num_envs}; expected 1 to {MOST_ENVS:,}")
    envs, reason = open_envs(make_env, num_envs)
    if reason:
        close_envs(envs)
        raise ConfigError(
            f"num_envs is {num_envs}, but of {env_name(envs[0])} only {len(envs)} could be made "
            f"({reason}); use {option('num_envs', len(envs))}"
        )
    return side_by_side(envs, store, objectives=objectives)


def side_by_side(
    envs: Sequence[gym.Env[Any, Any]], store: EpisodeStore, *, objectives: Sequence[str] = ()
) -> RewardVecEnv:
    """Makes the same stack of environments that are there already; closing it closes them.

    Raises:
        SpaceError: observations or actions do not flatten to numbers; the environments are closed.
    """
    try:
        for env in envs:
            # Before SB3 looks at the space, which names nothing when it cannot use it.
            check_observation_space(env.observation_space, env_name(env))
        makers = [lambda env=env: env for env in envs]
        venv = SameProcessVecEnv(makers)  # type: ignore[arg-type]
        spec = venv.envs[0].spec
        recorder = Recorder(venv, store, env_id=env_name(venv.envs[0]), objectives=objectives)
        check_faultless(describe_all(recorder)[0], "a run")
        return RewardVecEnv(recorder, None, env_id=spec.id if spec else None)
    except BaseException:
        close_envs(envs)
        raise


def env_name(env: gym.Env[Any, Any]) -> str:
    """Returns the environment's Gymnasium id, or the name of its class where it has none."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__
