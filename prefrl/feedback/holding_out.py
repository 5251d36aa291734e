"""The draw of the answers that are held out of fitting.

Axes: N answers that are there, B new ones.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Answers(Protocol):
    """The answers that are there, as a `PreferenceDataset` has them."""

    validation_fraction: float
    p_left: NDArray[np.float64]
    is_validation: NDArray[np.bool_]
    question: NDArray[np.int64]


def held_out(
    known: Answers,
    p_left: NDArray[np.float64],
    question: NDArray[np.int64],
    *,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draws which of new answers are held out.

    The held-out share is kept over the whole run, so small sessions round neither way. All answers
    to one question are on the same side: else what is held out would have been trained on.

    Args:
        known: N answers.
        p_left: (B,) those to come; NaN is a skip, which is on neither side.
        question: (B,) the question of each.
        rng: draws.

    Returns:
        (B,) held out.
    """
    is_told, was_told = ~np.isnan(p_left), ~np.isnan(known.p_left)
    num_known = int((known.is_validation & was_told).sum())
    wanted = int((was_told.sum() + is_told.sum()) * known.validation_fraction)
    num_held = max(wanted - num_known, 0)
    is_free = is_told & ~np.isin(question, known.question[was_told])
    told = np.flatnonzero(is_free)
    # Of several new answers to a question the first one is drawn.
    told = np.sort(told[np.unique(question[told], return_index=True)[1]])
    drawn = rng.choice(told, size=min(num_held, len(told)), replace=False)
    tested = known.question[known.is_validation & was_told]
    return is_told & np.isin(question, np.concatenate([question[drawn], tested]))
