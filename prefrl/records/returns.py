"""Returns of the episodes that an agent has finished."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from prefrl.types import EpisodeReturns


def return_metrics(
    episodes: Sequence[EpisodeReturns], *, is_exploration: bool = False
) -> dict[str, float]:
    """Returns mean returns of the episodes that ended in a phase; NaN where none did.

    Their rate of success is there only where the environment reports success.
    """
    true = np.array([episode.true_return for episode in episodes])
    learned = np.array([episode.learned_return for episode in episodes])
    some = len(episodes) > 0
    known = [e.has_succeeded for e in episodes if e.has_succeeded is not None]
    success = {"success_rate": float(np.mean(known))} if known else {}
    return {
        "true_return": float(true.mean()) if some else math.nan,
        "true_return_std": float(true.std()) if some else math.nan,
        # While exploring there is no learned reward to sum.
        "learned_return": float(learned.mean()) if some and not is_exploration else math.nan,
        "num_episodes": float(len(episodes)),
        "terminated_share": float(np.mean([e.is_terminated for e in episodes])) if some else 0.0,
        **success,
    }


def warn_of_early_ends(metrics: Mapping[str, float]) -> bool:
    """Warns of episodes that end early, if there are any; returns whether there are.

    Args:
        metrics: what `return_metrics` has returned.
    """
    if not metrics["terminated_share"] > 0:
        return False
    warnings.warn(
        "episodes end early in this environment, which tells the agent about the reward it is "
        "to learn: a reward below zero teaches it to end them. Give the environment a fixed "
        "horizon if you can (a setting such as terminate_when_unhealthy=False)",
        stacklevel=3,
    )
    return True
