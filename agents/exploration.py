"""The reward of an agent that knows none yet: states unlike those it has seen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefrl.errors import DataError
from prefrl.segments import FloatArray

# Neighbours are looked for among this many visited states: the estimate needs no more, and the
# distances stay a fraction of a second's work.
MAX_REFERENCE = 4096
_CHUNK_ROWS = 1024


def no_reward(
    obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
) -> FloatArray:
    """Returns zero everywhere: the reward of an agent that explores without a goal."""
    return np.zeros(len(obs), dtype=np.float32)


class StateEntropyReward:
    """Distance to the k-th nearest visited state: a particle estimate of state entropy.

    PEBBLE (Lee et al. 2021, eq. 7) with k = 5. Unlike there, each observation dimension is measured
    in its own standard deviation and the reward in its mean over the visited states, so no unit
    dominates.

    Args:
        visited: (M, O) observations seen so far.
        k: which neighbour.
        rng: draws the reference states where there are more than 4,096.

    Raises:
        DataError: fewer than two states were visited.
    """

    def __init__(self, visited: FloatArray, *, k: int = 5, rng: np.random.Generator) -> None:
        if len(visited) > MAX_REFERENCE:
            visited = visited[rng.choice(len(visited), size=MAX_REFERENCE, replace=False)]
        self.k = min(k, len(visited) - 1)
        if self.k < 1:
            raise DataError(f"{len(visited)} visited states; state entropy needs 2 or more")
        reference = torch.from_numpy(np.array(visited, dtype=np.float32))
        std = reference.std(0, correction=0)
        self._scale = 1.0 / torch.where(std > 1e-6, std, torch.ones_like(std))
        self._reference = reference * self._scale
        # A reference state is its own nearest neighbour, so the k-th other one comes after it.
        own = self._distances(self._reference, self.k + 1)
        self._unit = float(own.mean().clamp(min=1e-6))

    def _distances(self, rows: Tensor, k: int) -> Tensor:
        chunks = rows.split(_CHUNK_ROWS)
        return torch.cat([torch.cdist(c, self._reference).kthvalue(k).values for c in chunks])

    def __call__(
        self, obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
    ) -> FloatArray:
        """Returns (N,) the distance of the state reached from those visited, in mean distances."""
        with torch.inference_mode():
            # A copy: torch warns of arrays that may not be written.
            rows = torch.from_numpy(np.array(next_obs, dtype=np.float32)) * self._scale
            return (self._distances(rows, self.k) / self._unit).numpy()
