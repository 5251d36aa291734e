"""One seed becomes independent, named random streams.

Streams are addressed by name and index (`streams.generator("teacher", 3)`: the teacher's draws in
session 3), so a resumed run finds the very same numbers without any generator state on disk.
"""

import random
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Streams:
    """The named random streams of one run.

    Args:
        seed: the run's seed, 0 or more; 0 is a seed like any other.
    """

    seed: int

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; expected a whole number, 0 or more")

    def _sequence(self, name: str, index: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, zlib.crc32(name.encode()), index])

    def generator(self, name: str, index: int = 0) -> np.random.Generator:
        """A NumPy generator that depends on (seed, name, index) alone."""
        return np.random.default_rng(self._sequence(name, index))

    def integer(self, name: str, index: int = 0) -> int:
        """A seed in [0, 2**31) for a library that takes whole numbers."""
        return int(self._sequence(name, index).generate_state(1)[0] >> 1)

    def torch_generator(self, name: str, index: int = 0) -> "torch.Generator":
        """A CPU torch generator that depends on (seed, name, index) alone."""
        import torch  # here, so that what asks and labels does without it

        return torch.Generator().manual_seed(self.integer(name, index))


def seed_global_generators(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's global generators.

    Stable-Baselines3 samples actions and minibatches from them; nothing else in prefrl does. Called
    at the start of every phase of a run.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
