"""Makes environments careful that live in vector environments of Stable-Baselines3's own.

Those reset an environment before they look at an episode's last observation and info again, and
step the next environment; either may overwrite what the first one returned, and nobody above can
tell. So the environment's own `step` hands out copies. Nothing else of somebody else's changes.
"""

import inspect
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from prefrl.envs.copies import copied, copied_info
from prefrl.envs.env_checker import env_name
from prefrl.envs.outcomes import ObservationCheck, observation_check, reset_outcome, step_outcome


class CarefulStep:
    """An environment's `step`, which hands out copies.

    Args:
        env: the environment.
        name: it is checked what it returns, and this named; None does not, as in a process of its
            own an error would end that process.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str | None = None) -> None:
        self._step, self._name = env.step, name
        self._check = _check_of(env, name)

    def __call__(self, action: Any) -> Any:
        """Takes a step.

        Raises:
            EnvironmentFault: it is not what the spaces and Gymnasium's API say.
        """
        outcome = self._step(action)
        if self._name is not None:
            outcome = step_outcome(outcome, self._name)
        if self._check is not None:
            self._check(outcome[0])
        return _own(outcome)


class CarefulReset:
    """An environment's `reset`, which hands out copies, checked.

    Args:
        env: the environment.
        name: of it, for errors.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str) -> None:
        self._reset, self._name = env.reset, name
        self._check = _check_of(env, name)

    def __call__(self, **arguments: Any) -> Any:
        """Resets the environment.

        Raises:
            EnvironmentFault: what it returns is not what the spaces and Gymnasium's API say.
        """
        outcome = reset_outcome(self._reset(**arguments), self._name)
        if self._check is not None:
            self._check(outcome[0])
        return _own(outcome)


def _check_of(env: gym.Env[Any, Any], name: str | None) -> ObservationCheck | None:
    return None if name is None else observation_check(env.observation_space, name)


def _own(outcome: Any) -> Any:
    if isinstance(outcome, (tuple, list)) and outcome and isinstance(outcome[-1], dict):
        return (*map(copied, outcome[:-1]), copied_info(outcome[-1]))
    return outcome


def _is_careful(env: Any) -> bool:
    return isinstance(vars(env).get("step"), CarefulStep)


class _Visit:
    """Makes the environment careful in whose process it arrives; there it is an ordinary class.

    SB3's workers take commands for their environment, and none lets code of ours have it. But what
    a command brings is unpickled where they keep it.
    """

    def __reduce__(self) -> Any:
        return _visited, ()


def _visited() -> type:
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") != SubprocVecEnv.__module__:
        frame = frame.f_back
    env = frame.f_locals.get("env") if frame else None
    # Into the instance alone: some wrappers hand attributes on to what they wrap.
    if isinstance(env, gym.Env) and not _is_careful(env):
        vars(env)["step"] = CarefulStep(env)
    return _Visit


def made_careful(venv: VecEnv) -> None:
    """Lets the environments of SB3's vector environments, bare or in wrappers, step carefully."""
    innermost = venv.unwrapped
    if getattr(type(innermost), "hands_out_its_own", False):
        return
    if isinstance(innermost, SubprocVecEnv):
        innermost.env_is_wrapped(_Visit())  # type: ignore[arg-type]
    elif isinstance(innermost, DummyVecEnv):
        for env in innermost.envs:
            if not _is_careful(env):
                name = env_name(env)
                own = {"step": CarefulStep(env, name), "reset": CarefulReset(env, name)}
                vars(env).update(own)
