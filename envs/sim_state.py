"""Reads the states of MuJoCo simulations, from which a clip is rendered later."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class StateReader:
    """Copies the states of simulations side by side: positions, velocities, activations, mocap.

    Args:
        simulations: MjData of one model each; their arrays stay valid for their whole life, resets
            included.

    Raises:
        ValueError: there is none, or their states differ in size.
    """

    def __init__(self, simulations: Sequence[Any]) -> None:
        self._simulations = tuple(simulations)  # their arrays live as long as they do
        # Settled here, since this is read in every step: one call then copies all of it.
        self._views = [view for data in simulations for view in _flat_parts(data)]
        dims = {sum(view.size for view in _flat_parts(data)) for data in simulations}
        if len(dims) != 1:
            raise ValueError(f"states of {sorted(dims)} dims; expected those of one model")
        self.dim = dims.pop()

    def __call__(self, rows: NDArray[np.float64]) -> None:
        """Writes the present states into `rows` (N, Q), contiguous in memory."""
        if self._views:
            np.concatenate(self._views, out=rows.reshape(-1))


def _flat_parts(data: Any) -> list[NDArray[np.float64]]:
    views = [data.qpos, data.qvel, data.act, data.mocap_pos, data.mocap_quat]
    return [view.reshape(-1) for view in views if view is not None and view.size]


def write_state(data: Any, row: NDArray[np.float64]) -> None:
    """Puts a state that `StateReader` copied back into a simulation of the same model."""
    at = 0
    for view in _flat_parts(data):
        view[:] = row[at : at + view.size]
        at += view.size


def state_reader(envs: Sequence[Any]) -> StateReader | None:
    """Makes a reader of the environments' simulations; None where one has no MuJoCo state."""
    simulations = [getattr(env.unwrapped, "data", None) for env in envs]
    if not simulations or not all(
        hasattr(data, "qpos") and hasattr(data, "qvel") for data in simulations
    ):
        return None
    return StateReader(simulations)
