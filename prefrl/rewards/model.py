"""The Enhanced Reward Model: a shared trunk and K heads computed as one batched product.

Axes: B sequences, T steps, N rows, D input dims, F features, K heads.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prefrl.errors import DataError, StorageError
from prefrl.rewards.inference import CHUNK_ROWS, ModelReward
from prefrl.rewards.storage import CONFIG, WEIGHTS, read_model, write_model
from prefrl.segments import FloatArray

# An input or a head that moves less over the fitted rows stands still; it is not divided by that.
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class RewardModelConfig:
    """The shape of a reward model.

    Args:
        input_dim: D, observation and action dims of a row (or a feature vector's length).
        hidden_dim: F, width of the trunk, of the features and of each head's hidden layer.
        num_reward_heads: K.
        bank_size: capacity of the feature bank; recorded, used once the model has a bank.
        dropout: drop probability after each trunk layer while fitting.
        num_layers: hidden layers of the trunk.
        shared_trunk: False gives each head a trunk of its own.
        head_layer_norm: normalise each head's hidden layer. It bounds how far a reward can grow
            with its inputs, so it is off by default: a faster cheetah than any seen must look
            better.
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
    observation_dim: int | None = None
    env_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("input_dim", "hidden_dim", "num_reward_heads", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.bank_size < 0:
            raise ValueError(f"bank_size is {self.bank_size}; expected 0 or more")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; expected 0 or more and less than 1")
        if self.observation_dim is not None and not 0 < self.observation_dim <= self.input_dim:
            raise ValueError(
                f"observation_dim is {self.observation_dim}; "
                f"expected 1 to input_dim ({self.input_dim})"
            )


class HeadwiseLinear(nn.Module):
    """K linear maps in one product: (..., D) or (..., K, D) -> (..., K, out)."""

    def __init__(self, num_heads: int, in_dim: int, out_dim: int, *, takes_heads: bool) -> None:
        super().__init__()
        self.takes_heads = takes_heads
        self.weight = nn.Parameter(torch.empty(num_heads, out_dim, in_dim))
        self.bias = nn.Parameter(torch.zeros(num_heads, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Applies head k's map to the shared rows, or to the rows of head k."""
        if self.takes_heads:
            return torch.einsum("...ki,koi->...ko", x, self.weight) + self.bias
        heads, out_dim, in_dim = self.weight.shape
        flat = F.linear(x, self.weight.view(heads * out_dim, in_dim), self.bias.view(-1))
        return flat.view(*x.shape[:-1], heads, out_dim)


class SeededDropout(nn.Module):
    """Dropout that draws from `generator` where there is one, from torch's global one elsewhere."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """In training mode, drops with probability p and scales the rest by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return x
        draw = torch.rand(x.shape, generator=self.generator, dtype=x.dtype, device=x.device)
        return x * (draw >= self.p) / (1 - self.p)


class EnhancedRewardModel(nn.Module):
    """A reward ensemble: features from a trunk, K rewards from K heads.

    Each head is Linear, ReLU, Linear (with a LayerNorm before the ReLU on request). Heads are
    normalised to zero mean and unit spread over the fitted transitions before they are averaged
    (Christiano et al. 2017, section 2.2.1), so that no head outweighs the others. Scoring never
    changes the model.

    Args:
        input_dim: D.
        generator: draws the initial weights; None takes a fixed stream.
        **settings: the further fields of `RewardModelConfig`.
    """

    input_mean: Tensor
    input_std: Tensor
    reward_mean: Tensor
    reward_std: Tensor

    def __init__(
        self, input_dim: int, *, generator: torch.Generator | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self.config = RewardModelConfig(input_dim, **settings)
        width, heads = self.config.hidden_dim, self.config.num_reward_heads
        layers: list[nn.Module] = []
        for layer in range(self.config.num_layers):
            in_dim = input_dim if layer == 0 else width
            if self.config.shared_trunk:
                # Its own initialisation would draw from torch's global generator; reset() draws.
                layers.append(nn.utils.skip_init(nn.Linear, in_dim, width))
            else:
                layers.append(HeadwiseLinear(heads, in_dim, width, takes_heads=layer > 0))
            layers += [nn.ReLU(), SeededDropout(self.config.dropout)]
        self.trunk = nn.Sequential(*layers)
        self.head_in = HeadwiseLinear(heads, width, width, takes_heads=not self.config.shared_trunk)
        if self.config.head_layer_norm:
            self.head_scale = nn.Parameter(torch.ones(heads, width))
            self.head_shift = nn.Parameter(torch.zeros(heads, width))
        self.head_out = nn.Parameter(torch.empty(heads, width))
        self.head_bias = nn.Parameter(torch.zeros(heads))
        self.register_buffer("input_mean", torch.zeros(input_dim))
        self.register_buffer("input_std", torch.ones(input_dim))
        self.register_buffer("reward_mean", torch.zeros(heads))
        self.register_buffer("reward_std", torch.ones(heads))
        self.reset(generator or torch.Generator().manual_seed(0))
        self.eval()

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draws all weights anew; every head starts from its own.

        Args:
            generator: a CPU one, wherever the model is, so that all devices start alike.
        """

        def draw(parameter: Tensor, bound: float) -> None:
            fresh = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
            parameter.copy_(fresh)

        for module in self.modules():
            if isinstance(module, (nn.Linear, HeadwiseLinear)):
                bound = module.weight.shape[-1] ** -0.5  # as torch's Linear
                draw(module.weight, bound)
                draw(module.bias, bound)
        draw(self.head_out, self.config.hidden_dim**-0.5)
        if self.config.head_layer_norm:
            self.head_scale.fill_(1.0)
            self.head_shift.zero_()
        self.head_bias.zero_()

    def set_dropout_generator(self, generator: torch.Generator | None) -> None:
        """Where dropout draws from while fitting; None is torch's global generator.

        Args:
            generator: on the model's device.
        """
        for module in self.modules():
            if isinstance(module, SeededDropout):
                module.generator = generator

    def _head_features(self, inputs: Tensor) -> Tensor:
        """(..., D) -> (..., F), or (..., K, F) with independent trunks."""
        dims = inputs.shape[-1] if inputs.ndim else 0
        if dims != self.config.input_dim:
            raise DataError(
                f"inputs have {dims} dims a row; this model takes {self.config.input_dim}"
            )
        inputs = inputs.to(self.input_mean)  # its device and dtype
        features: Tensor = self.trunk((inputs - self.input_mean) / self.input_std)
        return features

    def head_rewards(self, inputs: Tensor) -> Tensor:
        """(..., D) -> (..., K) rewards in nats, before normalisation: what fitting works on."""
        return self._rewards_of(self._head_features(inputs))

    def _rewards_of(self, features: Tensor) -> Tensor:
        hidden = self.head_in(features)
        if self.config.head_layer_norm:
            hidden = F.layer_norm(hidden, (self.config.hidden_dim,))
            hidden = torch.addcmul(self.head_shift, hidden, self.head_scale)
        return (torch.relu(hidden) * self.head_out).sum(-1) + self.head_bias

    def forward(self, inputs: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        """Rewards, their uncertainty and the features behind them.

        Args:
            inputs: (N, D) rows or (B, T, D) sequences.
            attention_mask: (B, T) 1 for real steps, 0 for padding; masked steps give zero reward.

        Returns:
            `rewards` (..., 1), mean over heads; `uncertainty` (..., 1), population standard
            deviation over heads; `features` (..., F) (their mean over heads with independent
            trunks); `raw_rewards` (..., K), each head's normalised reward.

        Raises:
            DataError: the last axis is not D, there are too many axes, or the mask does not fit.
        """
        if inputs.ndim not in (2, 3):
            raise DataError(
                f"inputs have shape {tuple(inputs.shape)}; expected (rows, dims) or "
                "(sequences, steps, dims)"
            )
        features = self._head_features(inputs)
        raw = (self._rewards_of(features) - self.reward_mean) / self.reward_std
        if not self.config.shared_trunk:
            features = features.mean(-2)
        if attention_mask is not None:
            if attention_mask.shape != inputs.shape[:-1]:
                raise DataError(
                    f"attention_mask has shape {tuple(attention_mask.shape)}; "
                    f"expected {tuple(inputs.shape[:-1])}"
                )
            # Filled, not multiplied: padding may hold anything, NaN too.
            raw = raw.masked_fill(attention_mask.to(raw.device)[..., None] == 0, 0.0)
        return {
            "rewards": raw.mean(-1, keepdim=True),
            # torch warns of the spread of nothing.
            "uncertainty": raw.std(-1, correction=0, keepdim=True) if raw.numel() else raw[..., :1],
            "features": features,
            "raw_rewards": raw,
        }

    @torch.no_grad()
    def set_input_statistics(self, rows: Tensor) -> None:
        """Freezes the normalisation of inputs at the mean and spread of (N, D) rows."""
        self.input_mean.copy_(rows.mean(0))
        spread = rows.std(0, correction=0)
        self.input_std.copy_(torch.where(spread > MIN_SPREAD, spread, torch.ones_like(spread)))

    @torch.no_grad()
    def set_reward_statistics(self, rows: Tensor) -> None:
        """Freezes each head's normalisation at its mean and spread over (N, D) rows."""
        rewards = torch.cat([self.head_rewards(chunk) for chunk in rows.split(CHUNK_ROWS)])
        self.reward_mean.copy_(rewards.mean(0))
        spread = rewards.std(0, correction=0)
        self.reward_std.copy_(torch.where(spread > MIN_SPREAD, spread, torch.ones_like(spread)))

    @torch.inference_mode()
    def score(self, sequences: FloatArray) -> FloatArray:
        """(S, T, D) -> (S, K) each head's reward summed over T, in nats."""
        num, steps, dims = sequences.shape
        # torch shares memory with NumPy, and wants it writable even where it only reads.
        rows = torch.from_numpy(np.require(sequences, np.float32, ["C", "W"])).view(-1, dims)
        rows = rows.to(self.input_mean.device)
        rewards = torch.cat([self.head_rewards(chunk) for chunk in rows.split(CHUNK_ROWS)])
        scores = rewards.view(num, steps, self.config.num_reward_heads).sum(1)
        return scores.cpu().numpy()

    def reward_function(self) -> ModelReward:
        """A frozen copy of the present reward, to be put into environments."""
        return ModelReward(self)

    def save(self, folder: Path | str) -> None:
        """Writes `config.json` and `model.safetensors` into `folder`, each atomically.

        Raises:
            StorageError: the disk refused; no file is half-written.
        """
        write_model(Path(folder), asdict(self.config), self.state_dict())

    @staticmethod
    def load(folder: Path | str) -> "EnhancedRewardModel":
        """Reads what `save` wrote; no code from the files is run.

        Raises:
            StorageError: a file is missing, damaged, of another version, or belongs to another
                model; it is named.
        """
        folder = Path(folder)
        settings, tensors = read_model(folder)
        try:
            model = EnhancedRewardModel(**settings)
        except (ValueError, TypeError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise StorageError(f"{folder / CONFIG} describes no reward model: {said}") from None
        own = {name: (t.shape, t.dtype) for name, t in model.state_dict().items()}
        if own != {name: (t.shape, t.dtype) for name, t in tensors.items()}:
            raise StorageError(
                f"{folder / WEIGHTS} is of another model than {folder / CONFIG} describes"
            )
        model.load_state_dict(tensors)
        return model
