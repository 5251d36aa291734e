"""Reads the states of MuJoCo simulations, from which a clip is rendered later."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import EnvironmentFault, SpaceError

_MUJOCO = "mujoco._structs"
_PARTS = ("qpos", "qvel", "act", "mocap_pos", "mocap_quat")


class StateReader:
    """Copies the states of simulations side by side: positions, velocities, activations, mocap.

    Args:
        owners: what has the simulations as `data`, MjData of one model each. An owner may make
            another at any time, as many do in every reset.

    Raises:
        SpaceError: their states differ in size.
    """

    def __init__(self, owners: Sequence[Any]) -> None:
        self._owners = tuple(owners)
        self._look()
        dims = {sum(part.size for part in _flat_parts(data)) for data in self._simulations}
        if len(dims) != 1:
            raise SpaceError(
                f"{type(self._owners[0]).__name__} has simulations side by side with states of "
                f"{sorted(dims)} dims; expected those of one model"
            )
        self.dim = dims.pop()

    def _look(self) -> None:
        """Finds the simulations' arrays, which stay valid as long as MuJoCo's simulations live."""
        self._simulations = [owner.data for owner in self._owners]
        # MuJoCo's own, unlike somebody's object of the same names, never gets other arrays.
        self._are_mujocos = all(type(data).__module__ == _MUJOCO for data in self._simulations)
        # Settled here, since this is read in every step: joining memory takes a fifth of the time
        # that NumPy takes to concatenate so many small arrays.
        self._memory = [
            np.ascontiguousarray(part, dtype=np.float64).data
            for data in self._simulations
            for part in _flat_parts(data)
        ]

    def __call__(self) -> bytes:
        """Returns the present states, (N, Q) float64 one after the other.

        Raises:
            EnvironmentFault: a new simulation has a state of another size.
        """
        if not self._are_mujocos or self._are_others():
            self._look_again()
        return b"".join(self._memory)

    def _are_others(self) -> bool:
        for owner, known in zip(self._owners, self._simulations, strict=True):
            if owner.data is not known:  # A loop, as this is faster than what reads better.
                return True
        return False

    def _look_again(self) -> None:
        try:
            self._look()
        except AttributeError:
            self._memory = []
        if sum(map(len, self._memory)) != len(self._owners) * self.dim:
            raise EnvironmentFault(
                f"{type(self._owners[0]).__name__} has made a simulation whose state is of another "
                f"size than the {self.dim} dims of the first"
            )


def _flat_parts(data: Any) -> list[NDArray[np.float64]]:
    views = [getattr(data, name) for name in _PARTS]
    return [view.reshape(-1) for view in views if view is not None and view.size]


def write_state(data: Any, row: NDArray[np.float64]) -> None:
    """Puts a state that `StateReader` copied back into a simulation of the same model."""
    at = 0
    for view in _flat_parts(data):
        view[:] = row[at : at + view.size]
        at += view.size


def state_reader(envs: Sequence[Any]) -> StateReader | None:
    """Makes a reader of the environments' simulations; None where one has no MuJoCo state."""
    owners = [env.unwrapped for env in envs]
    if not owners or not all(_has_state(owner) for owner in owners):
        return None
    return StateReader(owners)


def _has_state(owner: Any) -> bool:
    try:
        data = owner.data
    except Exception:  # noqa: BLE001 - of that name others may have anything
        return False
    parts = [getattr(data, name, False) for name in _PARTS]
    return all(part is None or hasattr(part, "reshape") for part in parts)
