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


def write_state(data: Any, row: NDArray[np.floating[Any]]) -> None:
    """Puts a state that `StateReader` copied back into a simulation of the same model.

    Raises:
        SpaceError: it is of another size than the simulation's states, or not finite.
    """
    views = _flat_parts(data)
    dim = sum(view.size for view in views)
    if row.shape != (dim,):
        raise SpaceError(f"a state has shape {row.shape}; this simulation's have ({dim},)")
    if not np.isfinite(row).all():
        raise SpaceError("a state holds NaN or an infinity")
    at = 0
    for view in views:
        view[:] = row[at : at + view.size]
        at += view.size


def restore(simulation: Any, row: NDArray[np.floating[Any]]) -> None:
    """Puts a state back, and computes from it all that is not part of it.

    Args:
        simulation: what `simulation_of` returned.
        row: (Q,) the state.

    Raises:
        SpaceError: as `write_state`.
    """
    write_state(simulation.data, row)
    if type(simulation.data).__module__ == _MUJOCO:
        import mujoco

        mujoco.mj_forward(simulation.model, simulation.data)


def state_reader(envs: Sequence[Any]) -> StateReader | None:
    """Makes a reader of the environments' simulations; None where one has no MuJoCo state."""
    owners = [simulation_of(env) for env in envs]
    if not owners or any(owner is None for owner in owners):
        return None
    return StateReader(owners)


def simulation_of(env: Any) -> Any:
    """Returns what has an environment's simulation as `data`; None where there is no MuJoCo in it.

    It has the model as `model`, too, at least in Gymnasium's tasks and in dm_control's.
    """
    owner = env.unwrapped
    if _has_state(owner):
        return owner
    try:
        physics = _Physics(owner)
    except Exception:  # noqa: BLE001 - of these names others may have anything
        return None
    return physics if _has_state(physics) else None


class _Physics:
    """Finds the simulation of dm_control's environments, whose `physics` may be made anew.

    Args:
        owner: what has one.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        owner.physics.data.ptr  # noqa: B018 - Others than dm_control's have none.

    @property
    def data(self) -> Any:
        """Returns MuJoCo's own object, which dm_control's stands around."""
        return self._owner.physics.data.ptr

    @property
    def model(self) -> Any:
        """Returns MuJoCo's own object, likewise."""
        return self._owner.physics.model.ptr


def _has_state(owner: Any) -> bool:
    try:
        data = owner.data
    except Exception:  # noqa: BLE001 - of that name others may have anything
        return False
    parts = [getattr(data, name, False) for name in _PARTS]
    return all(part is None or hasattr(part, "reshape") for part in parts)
