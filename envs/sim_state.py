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
        self._data = data  # its arrays live as long as it does
        views = [data.qpos, data.qvel, data.act, data.mocap_pos, data.mocap_quat]
        flat = [view.reshape(-1) for view in views if view is not None and view.size]
        ends = np.cumsum([view.size for view in flat])
        self.dim = sum(view.size for view in flat)
        # Settled here, since this runs for every environment in every step.
        self._parts = [(slice(int(e) - v.size, int(e)), v) for e, v in zip(ends, flat, strict=True)]

    def __call__(self, row: NDArray[np.float64]) -> None:
        """Writes the present state into `row` (Q,)."""
        for part, view in self._parts:
            row[part] = view


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
