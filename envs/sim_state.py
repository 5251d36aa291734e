"""Reads the state of a MuJoCo simulation, from which a clip is rendered later."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class StateReader:
    """Copies generalised positions, velocities, activations and mocap poses of one simulation.

    Args:
        data: the simulation's MjData; its arrays stay valid for its whole life, resets included.
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        views = [data.qpos, data.qvel, data.act, data.mocap_pos, data.mocap_quat]
        self._views = [view for view in views if view is not None and view.size]
        self.dim = sum(view.size for view in self._views)

    def __call__(self, row: NDArray[np.float64]) -> None:
        """Writes the present state into `row` (Q,)."""
        at = 0
        for view in self._views:
            row[at : at + view.size] = view if view.ndim == 1 else view.reshape(-1)
            at += view.size


def write_state(data: Any, row: NDArray[np.float64]) -> None:
    """Puts a state that `StateReader` copied back into a simulation of the same model."""
    at = 0
    for view in (data.qpos, data.qvel, data.act, data.mocap_pos, data.mocap_quat):
        if view is not None and view.size:
            view[...] = row[at : at + view.size].reshape(view.shape)
            at += view.size


def state_reader(env: Any) -> StateReader | None:
    """A reader of the environment's simulation; None where it has no MuJoCo state."""
    data = getattr(env.unwrapped, "data", None)
    if data is None or not hasattr(data, "qpos") or not hasattr(data, "qvel"):
        return None
    return StateReader(data)
