"""Outcomes of a vector environment's `reset` and `step`, checked and copied as they come.

Axes: N environments.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from prefrl.envs.careful import made_careful
from prefrl.envs.copies import copied, copied_info
from prefrl.envs.outcomes import observation_check
from prefrl.errors import ContractError


def outcomes_of(venv: VecEnv, name: str) -> "VecOutcomes | None":
    """Makes what takes a vector environment's outcomes, and its environments careful.

    Args:
        venv: an SB3 vector environment, not yet stepped.
        name: of its environments, for errors.

    Returns:
        None where the class says `hands_out_its_own`, which is believed: what it returns is new at
        every step, and checked.
    """
    made_careful(venv)
    # Asked of the class: an instance passes on what it lacks to the environment within it.
    return None if getattr(type(venv), "hands_out_its_own", False) else VecOutcomes(venv, name)


class VecOutcomes:
    """Takes what a vector environment returns, checks it, and copies what may be written to again.

    Simulators with a vector environment of their own return the buffers that they write to; some
    leave out what SB3's do by habit.

    Args:
        venv: an SB3 vector environment, not yet stepped.
        name: of its environments, for errors.
    """

    def __init__(self, venv: VecEnv, name: str) -> None:
        self._name, self._num_envs = name, venv.num_envs
        self._check = observation_check(venv.observation_space, name, batch=(venv.num_envs,))

    def actions(self, actions: Any) -> Any:
        """Returns actions for the vector environment, which may write to them."""
        return copied(actions)

    def observations(self, observations: VecEnvObs) -> VecEnvObs:
        """Returns observations that stay as they are.

        Raises:
            EnvironmentFault: they are not what the space declares.
        """
        self._check(observations)
        own: VecEnvObs = copied(observations)
        return own

    def step(self, outcome: VecEnvStepReturn) -> VecEnvStepReturn:
        """Returns what a step returned, as it will stay, with infos that may be added to.

        Raises:
            ContractError: it is not what SB3's vector environments return.
            EnvironmentFault: observations are not what the space declares.
        """
        if not isinstance(outcome, (tuple, list)) or len(outcome) != 4:
            raise ContractError(
                f"the vector environment of {self._name} did not return four things from a step; "
                "expected (observations, rewards, dones, infos), as SB3's do"
            )
        observations, rewards, dones, infos = outcome
        return (
            self.observations(observations),
            self._numbers(rewards, "rewards"),
            self._numbers(dones, "dones").astype(bool),
            self._infos(infos),
        )

    def _numbers(self, values: Any, what: str) -> NDArray[Any]:
        """Returns (N,) numbers of a list, or of an array that has an axis too many."""
        try:
            array = np.array(values)
        except ValueError:  # lists of unequal lengths
            array = np.array(None)
        if array.dtype.kind not in "biuf" or array.shape not in (
            (self._num_envs,),
            (self._num_envs, 1),
        ):
            raise ContractError(
                f"the vector environment of {self._name} returned {what} of shape {array.shape} "
                f"and type {array.dtype}; expected ({self._num_envs},) numbers"
            )
        array = array.reshape(-1)
        return array if array.dtype.kind == "f" else array.astype(np.float32)

    def _infos(self, infos: Any) -> list[dict[str, Any]]:
        if (
            not isinstance(infos, (list, tuple))
            or len(infos) != self._num_envs
            or not all(isinstance(info, Mapping) for info in infos)
        ):
            raise ContractError(
                f"the vector environment of {self._name} returned infos that are not one dict for "
                f"each of its {self._num_envs} environments"
            )
        return [copied_info(dict(info)) for info in infos]
