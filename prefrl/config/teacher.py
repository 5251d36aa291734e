"""The settings of a simulated teacher."""

import dataclasses
from typing import Annotated

import tyro

from prefrl.config.ranges import STRICT, NonNegativeFloat, NonNegativeOrInf, Probability


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
    """Who answers, and how reliably.

    Args:
        name: oracle, noisy, mistake, skip, equal or myopic (B-Pref's simulated teachers).
        beta: rationality per standard deviation of segment returns; inf never errs, 0 tosses coins.
        gamma: myopia, the weight lost per step into the segment's past; 1 forgets nothing.
        p_mistake: share of decisive answers that are flipped.
        skip_fraction: how large the skip threshold is; 0 never skips.
        equal_fraction: how large the tie threshold is; 0 ties only exact equals.
    """

    name: Annotated[str, tyro.conf.arg(name="")] = "oracle"
    beta: NonNegativeOrInf | None = None
    gamma: Probability | None = None
    p_mistake: Probability | None = None
    skip_fraction: NonNegativeFloat | None = None
    equal_fraction: NonNegativeFloat | None = None

    __pydantic_config__ = STRICT
