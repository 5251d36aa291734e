"""The Enhanced Reward Model with a part left out, or with one that is off by default.

A variant is named as it is printed: "enhanced -temperature", "enhanced +diversity".
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from prefrl.config import QueryConfig, RewardConfig
from prefrl.errors import DataError


@dataclass(frozen=True)
class Variant:
    """A change of the enhanced model.

    Args:
        settings: of `RewardConfig`.
        validation_fraction: share of the answers held out, for the parts that look at them.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    validation_fraction: float = 0.0

    def config(self) -> RewardConfig:
        """Returns the defaults but for what is changed."""
        return dataclasses.replace(RewardConfig(), **self.settings)


_HELD_OUT = QueryConfig().validation_fraction

WITHOUT: dict[str, Variant] = {
    "bank": Variant({"bank_size": 0}),
    # Without an estimate nothing is cross-fitted, but for a linear part: held-out answers decide
    # the temperature.
    "noise-model": Variant({"error_rate": 0.0}, _HELD_OUT),
    "rate-estimate": Variant({"error_rate": 0.1}, _HELD_OUT),
    "temperature": Variant({"temperature": False}),
    "prior": Variant({"l2": 0.0}),
    "anchors": Variant({"anchored": False}),
    "ensemble": Variant({"num_reward_heads": 1}),
    "cooldown": Variant({"cooldown": 0.0}),
    "segment-scale": Variant({"scale_by_segment": False}),
    "linear-part": Variant({"linear_part": False}),
}
"""Parts that are on by default, the linear part for features; `--without` leaves one out."""

WITH: dict[str, Variant] = {
    "diversity": Variant({"diversity": 0.1}),
    "calibration": Variant({"calibration": 0.3}),
    "contrastive": Variant({"contrastive": 0.1}),
    "bootstrap": Variant({"bootstrap": True}),
    "adaptive-l2": Variant({"adapt_l2": True}, _HELD_OUT),
    "bank-pull": Variant({"bank_alpha": "auto"}, _HELD_OUT),
    "held-out": Variant({}, _HELD_OUT),
    "drop": Variant({"contradictions": "drop"}),
    "flip": Variant({"contradictions": "flip"}),
    "linear-part": Variant({"linear_part": True}),
    "layer-norm": Variant({"head_layer_norm": True}),
}
"""Parts that are off by default, the linear part for segments; `--with` switches one on."""


def variant(name: str) -> Variant:
    """Returns the variant of a name.

    Raises:
        DataError: there is none.
    """
    model, _, part = name.partition(" ")
    sign, table = part[:1], {"-": WITHOUT, "+": WITH}
    if not part and model == "enhanced":
        return Variant()
    if model != "enhanced" or part[1:] not in table.get(sign, {}):
        raise DataError(
            f"there is no variant {name!r}; choose from enhanced, "
            f"{', '.join(f'enhanced -{one}' for one in WITHOUT)}, "
            f"{', '.join(f'enhanced +{one}' for one in WITH)}"
        )
    return table[sign][part[1:]]
