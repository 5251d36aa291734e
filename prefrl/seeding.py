"""One seed becomes independent, named random streams.

Streams are addressed by name and index (`streams.generator(TEACHER, 3)`: the teacher's draws from
the fourth query on), so a resumed run finds the very same numbers without any generator state on
disk. The names below are those of prefrl's own streams; any other text names one of your own.
"""

import contextlib
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from prefrl.errors import ConfigError, option

if TYPE_CHECKING:
    import torch


# What a name says is part of every published run's numbers: it never changes.
# Runs: by the phase's number, but for the first and the last one.
POLICY_WEIGHTS = "policy-weights"
AGENT = "agent"
EVALUATION = "evaluation"
EVALUATION_WHILE_TRAINING = "evaluation-while-training"
# Sessions: by the number of queries put before; OBSERVE by the session's number.
OBSERVE = "observe"
CANDIDATES = "candidates"
SPREAD = "spread"
STRATEGY = "strategy"
AUDIT = "audit"
UNASKED = "unasked"
TEACHER = "teacher"
SPLIT = "split"
REPEAT = "repeat"  # by the number of repeats put before
# The reward model and its fitting: by the session's number, but for BOOTSTRAP, which has one.
REWARD_WEIGHTS = "reward-weights"
MINIBATCH = "minibatch"
DROPOUT = "dropout"
BANK = "bank"
BOOTSTRAP = "bootstrap"
FOLDS = "folds"
FOLD_WEIGHTS = "fold-weights"
# Learning from recorded answers: which are held out, and what chance alone would show.
HELD_OUT = "held-out"
CHANCE = "chance"


_EPISODES_A_SEED = 1_000_003  # A prime, so that seeds whose product is past 2**31 differ, too.


def redrawn(name: str, draw: int) -> str:
    """Names the stream of a further draw for the same purpose; draw 0 is the stream itself."""
    return f"{name} {draw}" if draw else name


@dataclass(frozen=True)
class Streams:
    """The named random streams of one run.

    Args:
        seed: the run's seed, 0 or more; 0 is a seed like any other.

    Raises:
        ConfigError: the seed is no whole number from 0 up.
    """

    seed: int

    def __post_init__(self) -> None:
        seed: Any = self.seed
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise ConfigError(f"{option('seed')} is {seed!r}; expected a whole number, 0 or more")
        object.__setattr__(self, "seed", int(seed))

    def _sequence(self, name: str, index: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, zlib.crc32(name.encode()), index])

    def generator(self, name: str, index: int = 0) -> np.random.Generator:
        """Returns a NumPy generator that depends on (seed, name, index) alone."""
        return np.random.default_rng(self._sequence(name, index))

    def integer(self, name: str, index: int = 0) -> int:
        """Returns a seed in [0, 2**31) for a library that takes whole numbers."""
        return int(self._sequence(name, index).generate_state(1)[0] >> 1)

    def torch_generator(self, name: str, index: int = 0) -> "torch.Generator":
        """Returns a CPU torch generator that depends on (seed, name, index) alone."""
        import torch  # here, so that what asks and labels does without it

        return torch.Generator().manual_seed(self.integer(name, index))


def first_episode_seed(seed: int) -> int:
    """Returns the environment's seed in the first of the episodes that a finished policy plays.

    Further episodes have the next ones. Seeds lie so far apart that neighbouring ones share
    no episode; and those of seed 0 are 0, 1, 2, ..., as they have been in every version.

    Args:
        seed: what somebody has chosen, 0 or more.

    Returns:
        a seed in [0, 2**31), which libraries of any age take.
    """
    low = Streams(seed).seed * _EPISODES_A_SEED
    # What is past 31 bits would be lost in the remainder, as is the product of it.
    high = seed >> 31
    return (low + (Streams(high).integer(EVALUATION) if high else 0)) % 2**31


def seed_global_generators(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's global generators.

    Stable-Baselines3 samples actions and minibatches from them; nothing else in prefrl does. Called
    at the start of every phase of a run.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def untouched_global_generators() -> Iterator[None]:
    """Puts the global generators back as they were, whatever was drawn from them meanwhile.

    An evaluation in the middle of training plays environments of other people, which may draw from
    them or seed them; training then goes on with the numbers it would have had.
    """
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
