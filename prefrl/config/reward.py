"""The settings of the reward model and of its fitting, and the recipes that decide them."""

from typing import Any, Literal

from prefrl.config.checking import settings
from prefrl.config.ranges import (
    CountInt,
    NonNegativeFloat,
    OpenShare,
    PositiveFloat,
    PositiveInt,
    PositiveOrInf,
    Probability,
    Share,
)
from prefrl.config.reward_model import BANK_SIZE, EnsembleConfig

Recipe = Literal["plain", "robust"]

PENALTIES = ("diversity", "calibration", "contrastive")
"""Weights of what is added to the loss of the answers; 0 adds nothing."""


@settings("reward_model")
class RewardConfig(EnsembleConfig):
    """The reward model, as `EnsembleConfig` describes it, and how it is fitted.

    Args:
        recipe: decides whatever below is None. plain: bootstrapped heads, stopped early, no prior;
            robust: a prior, and an error rate estimated from the answers, for few answers and for
            wrong ones.
        bootstrap: each head sees a bootstrap sample of the answers instead of all of them.
        error_rate: share of answers taken for random ones; auto estimates it each session from
            predictions by models that have not seen the answer.
        contradictions: answers that contradict predictions by models that have not seen them are
            kept, dropped, or the clearest of them flipped (RIME).
        l2: how strongly weights are held to their prior, in answers: its variance is 1 / l2. Where
            error_rate is auto, that is for 30% of random answers and more; fewer call for less,
            down to a third of it.
        anchored: l2 draws weights to random anchors, each head's to its own, so that heads disagree
            where answers say nothing; else to 0.
        adapt_l2: raise and lower l2 to keep the held-out loss at 1.1 to 1.5 times the training
            loss (Christiano et al. 2017).
        diversity: weight of the penalty on heads that agree.
        calibration: weight of the penalty on confidence that is not correctness.
        contrastive: weight of the loss that gathers segments of like reward; needs a bank.
        temperature: whether probabilities are rescaled on held-out answers.
        interval_coverage: share of answers that intervals around predicted score differences are
            to agree with, by conformal prediction on held-out answers; None fits none.
        bank_alpha: how far the bank's segments draw a reward; auto chooses on held-out answers, 0
            leaves rewards alone.
        scale_by_segment: rewards a step start out so small that whole segments differ by about
            one nat, whatever the length and the robot.
        learning_rate: AdamW's, after warm-up.
        cooldown: share of the gradient steps, the last ones, over which the learning rate falls to
            0.
        weight_decay: AdamW's, of all parameters alike.
        batch_size: comparisons a gradient step sees.
        step_stride: a gradient step sees every how many-th step of their segments, from a random
            first one; 1 for all of them. At least 12 are seen.
        max_updates: gradient steps per session, at most; more where min_epochs takes more.
        min_epochs: max_updates is no less than it takes to see every answer so often.
        warmup_updates: gradient steps over which the learning rate rises linearly.
        max_grad_norm: the gradient's norm is clipped here; inf never clips.
        patience: checks of the held-out loss without a new best before fitting stops.
        restart: False goes on from the last session's weights, True fits anew every session.

    Example:
        >>> from prefrl import RewardConfig
        >>> RewardConfig(recipe="plain", num_reward_heads=5).decided().bootstrap
        True
    """

    recipe: Recipe = "robust"
    bootstrap: bool | None = None
    error_rate: Share | Literal["auto"] | None = None
    contradictions: Literal["keep", "drop", "flip"] = "keep"
    l2: NonNegativeFloat | None = None
    anchored: bool = True
    adapt_l2: bool = False
    diversity: NonNegativeFloat = 0.0
    calibration: NonNegativeFloat = 0.0
    contrastive: NonNegativeFloat = 0.0
    temperature: bool = True
    interval_coverage: OpenShare | None = None
    bank_alpha: Probability | Literal["auto"] = 0.0
    scale_by_segment: bool | None = None
    learning_rate: PositiveFloat | None = None
    cooldown: Probability | None = None
    weight_decay: NonNegativeFloat = 1e-2
    batch_size: PositiveInt = 32
    step_stride: PositiveInt = 2
    max_updates: PositiveInt = 200
    min_epochs: NonNegativeFloat = 1.0
    warmup_updates: CountInt = 10
    max_grad_norm: PositiveOrInf = 1.0
    patience: PositiveInt | None = None
    restart: bool = False

    def decided(self) -> "ResolvedReward":
        """Returns the settings with nothing left open that a recipe decides."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        return ResolvedReward(**{**RECIPES[self.recipe], **own})


@settings("reward_model", kw_only=True)
class ResolvedReward(RewardConfig):
    """The reward model and how it is fitted, with nothing left to a recipe."""

    bootstrap: bool
    error_rate: Share | Literal["auto"]
    l2: NonNegativeFloat
    bank_size: CountInt
    scale_by_segment: bool
    learning_rate: PositiveFloat
    cooldown: Probability
    patience: PositiveInt


RECIPES: dict[Recipe, dict[str, Any]] = {
    "plain": {
        "bootstrap": True,
        "error_rate": 0.0,
        "l2": 0.0,
        "bank_size": 0,
        "scale_by_segment": False,
        "learning_rate": 1e-3,
        "cooldown": 0.0,
        "patience": 5,
    },
    "robust": {
        "bootstrap": False,
        "error_rate": "auto",
        "l2": 15.0,
        "bank_size": BANK_SIZE,
        "scale_by_segment": True,
        "learning_rate": 3e-3,
        "cooldown": 0.3,
        "patience": 1_000,
    },
}
"""Recipe -> the settings that it decides. Measured in docs/benchmarks."""
