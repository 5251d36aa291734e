"""The layers of a reward ensemble: K heads as one product, dropout from a stream of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prefrl.config import RewardModelConfig


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
            return self.of_heads(x)
        heads, out_dim, in_dim = self.weight.shape
        flat = F.linear(x, self.weight.view(heads * out_dim, in_dim), self.bias.view(-1))
        return flat.view(*x.shape[:-1], heads, out_dim)

    def of_heads(self, x: Tensor) -> Tensor:
        """Maps (..., K, D) -> (..., K, out): head k's map of the rows of head k."""
        rows = x.reshape(-1, *x.shape[-2:]).transpose(0, 1)  # (K, N, D)
        by_head = torch.baddbmm(self.bias[:, None], rows, self.weight.transpose(1, 2))
        return by_head.transpose(0, 1).view(*x.shape[:-1], self.weight.shape[1])


class SeededDropout(nn.Module):
    """Dropout that draws from `generator` where there is one, from torch's global one elsewhere."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drops with probability p in training mode, and scales the rest by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return x
        draw = torch.rand(  # noqa: TID251 - a stream of its own
            x.shape, generator=self.generator, dtype=x.dtype, device=x.device
        )
        return x * (draw >= self.p) / (1 - self.p)


def ensemble_trunk(config: RewardModelConfig) -> nn.Sequential:
    """Makes the hidden layers below the heads: one trunk, or one for each head."""
    width = config.hidden_dim
    layers: list[nn.Module] = []
    for layer in range(config.num_layers):
        in_dim = config.input_dim if layer == 0 else width
        if config.shared_trunk:
            # Its own initialisation would draw from torch's global generator; reset() draws.
            layers.append(nn.utils.skip_init(nn.Linear, in_dim, width))
        else:
            layers.append(
                HeadwiseLinear(config.num_reward_heads, in_dim, width, takes_heads=layer > 0)
            )
        layers += [nn.ReLU(), SeededDropout(config.dropout)]
    return nn.Sequential(*layers)
