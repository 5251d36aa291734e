"""The settings of a reward model: what it is made of, each with the default that is measured."""

from typing import Literal

from prefrl.config.checking import settings
from prefrl.config.environment import EnvironmentRecord
from prefrl.config.ranges import CountInt, PositiveInt, Share
from prefrl.errors import ConfigError

BankPolicy = Literal["fifo", "reservoir", "importance"]

# Segments that a bank holds where neither a recipe nor its owner says otherwise.
BANK_SIZE = 2_048


@settings("reward_model", kw_only=True)
class EnsembleConfig:
    """The layers, the heads and the bank of a reward model.

    Args:
        hidden_dim: F, width of the trunk, of the features and of each head's hidden layer.
        num_layers: hidden layers of the trunk.
        num_reward_heads: K, members of the ensemble, whose disagreement says how unsure it is.
        shared_trunk: False gives each head a trunk of its own: K fully independent members.
        head_layer_norm: normalise each head's hidden layer. Off by default: weights under a norm
            cannot be regularised by their size, so wrong answers are learned by heart, and the
            reward cannot grow with its inputs, so a faster cheetah than any seen looks no better.
        linear_part: a linear reward beside the network's, as far as that helps models to predict
            answers that they have not seen; 0 until a fit finds that it helps. None is True where
            single rows of features are compared, and False for robots' segments.
        dropout: drop probability after each hidden layer of the trunk while fitting.
        bank_size: segments in the feature bank; 0 does without. None is 0 with the recipe "plain",
            and else 2,048.
        bank_policy: which segments stay when the bank is full: fifo, reservoir or importance.
        bank_neighbours: how many of the bank's segments adjust a reward.
    """

    hidden_dim: PositiveInt = 64
    num_layers: PositiveInt = 1
    num_reward_heads: PositiveInt = 3
    shared_trunk: bool = True
    head_layer_norm: bool = False
    linear_part: bool | None = None
    dropout: Share = 0.0
    bank_size: CountInt | None = None
    bank_policy: BankPolicy = "reservoir"
    bank_neighbours: PositiveInt = 10


@settings()
class RewardModelConfig(EnsembleConfig):
    """The shape of one reward model: an ensemble, and what is known of its inputs.

    Args:
        input_dim: D, observation and action dims of a row (or a feature vector's length).
        num_objectives: M rewards a head, combined by weights given when scoring.
        segment_length: steps of the segments it is fitted to. Rewards a step start out at the order
            of 1 / segment_length nats, so that what is expected of whole segments before the
            first answer does not depend on their length.
        observation_dim: how many of the D inputs are observations; None where rows are features.
        env_id: the environment it was trained in; None where there is none.
        environment: what that environment's rows are and which wrappers transform them; None where
            nobody wrote it down, as in models of a file of answers.

    Raises:
        ConfigError: a setting is out of range.

    Example:
        >>> from prefrl.rewards import RewardModelConfig
        >>> RewardModelConfig(input_dim=23).num_reward_heads
        3
    """

    input_dim: PositiveInt
    num_objectives: PositiveInt = 1
    segment_length: PositiveInt = 1
    observation_dim: PositiveInt | None = None
    env_id: str | None = None
    environment: EnvironmentRecord | None = None

    def __post_init__(self) -> None:
        if self.observation_dim is not None and self.observation_dim > self.input_dim:
            raise ConfigError(
                f"observation_dim is {self.observation_dim}; "
                f"expected 1 to input_dim ({self.input_dim})"
            )
        # What settings leave open for whoever knows the data is closed for a model made by hand.
        if self.linear_part is None:
            object.__setattr__(self, "linear_part", False)
        if self.bank_size is None:
            object.__setattr__(self, "bank_size", BANK_SIZE)
