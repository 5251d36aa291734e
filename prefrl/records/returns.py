"""Returns of the episodes that an agent has finished."""

import math
from collections.abc import Sequence

import numpy as np

from prefrl.types import EpisodeReturns


def return_metrics(
    episodes: Sequence[EpisodeReturns], *, is_exploration: bool = False
) -> dict[str, float]:
    """Returns mean returns of the episodes that ended in a phase; NaN where none did."""
    true = np.array([episode.true_return for episode in episodes])
    learned = np.array([episode.learned_return for episode in episodes])
    some = len(episodes) > 0
    return {
        "true_return": float(true.mean()) if some else math.nan,
        "true_return_std": float(true.std()) if some else math.nan,
        # While exploring there is no learned reward to sum.
        "learned_return": float(learned.mean()) if some and not is_exploration else math.nan,
        "num_episodes": float(len(episodes)),
        "terminated_share": float(np.mean([e.is_terminated for e in episodes])) if some else 0.0,
    }
