"""The shape of a reward model."""

from dataclasses import dataclass

from prefrl.rewards.model.bank import POLICIES

POOLINGS = ("none", "mean", "last")


@dataclass(frozen=True)
class RewardModelConfig:
    """The shape of a reward model.

    Args:
        input_dim: D, observation and action dims of a row (or a feature vector's length).
        hidden_dim: F, width of the trunk, of the features and of each head's hidden layer.
        num_reward_heads: K.
        bank_size: capacity of the feature bank; 0 does without.
        dropout: drop probability after each trunk layer while fitting.
        num_layers: hidden layers of the trunk.
        shared_trunk: False gives each head a trunk of its own.
        head_layer_norm: normalise each head's hidden layer. Off by default: weights under a norm
            cannot be regularised by their size, so wrong answers are learned by heart, and the
            reward cannot grow with its inputs, so a faster cheetah than any seen looks no better.
        linear_part: adds a linear function of the inputs to every head's reward; 0 until a fit
            finds that it helps.
        pooling: "none" rewards every step of a sequence; "mean" and "last" reward a sequence once,
            by the mean of its steps' features or by its last step's.
        num_objectives: M rewards a head, combined by weights given when scoring.
        segment_length: steps of the segments it is fitted to. Rewards a step start out at the order
            of 1 / segment_length nats, so that what is expected of whole segments before the
            first answer does not depend on their length.
        bank_policy: which segments the bank keeps: fifo, reservoir or importance.
        bank_neighbours: k, how many entries adjust a reward.
        observation_dim: how many of the D inputs are observations; None where rows are features.
        env_id: the environment it was trained in; None where there is none.
    """

    input_dim: int
    hidden_dim: int = 256
    num_reward_heads: int = 3
    bank_size: int = 0
    dropout: float = 0.0
    num_layers: int = 2
    shared_trunk: bool = True
    head_layer_norm: bool = False
    linear_part: bool = False
    pooling: str = "none"
    num_objectives: int = 1
    segment_length: int = 1
    bank_policy: str = "fifo"
    bank_neighbours: int = 10
    observation_dim: int | None = None
    env_id: str | None = None

    def __post_init__(self) -> None:
        for name in (
            *("input_dim", "hidden_dim", "num_reward_heads", "num_layers"),
            *("num_objectives", "segment_length", "bank_neighbours"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for name, valid in (("pooling", POOLINGS), ("bank_policy", tuple(POLICIES))):
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(valid)}"
                )
        if self.bank_size < 0:
            raise ValueError(f"bank_size is {self.bank_size}; expected 0 or more")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; expected 0 or more and less than 1")
        if self.observation_dim is not None and not 0 < self.observation_dim <= self.input_dim:
            raise ValueError(
                f"observation_dim is {self.observation_dim}; "
                f"expected 1 to input_dim ({self.input_dim})"
            )
