"""A reward network as matrix products with ReLUs between them, read off the network itself.

Axes: N rows, D input dims, F features, K heads.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from prefrl.rewards.model.network import RewardNetwork
from prefrl.segments import FloatArray


@dataclass(frozen=True)
class AffineChain:
    """Matrix products with ReLUs between them.

    Args:
        layers: (in, out) weights and (out,) biases.
        skip: (D, K) weights from the inputs to the outputs; None without a linear part.
    """

    layers: list[tuple[FloatArray, FloatArray]]
    skip: FloatArray | None

    def features(self, rows: FloatArray) -> FloatArray:
        """Maps (N, D) -> (N, F): all but the two layers of the heads."""
        return self._hidden(rows, len(self.layers) - 2)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Maps (N, D) -> (N, K) normalised rewards."""
        weight, bias = self.layers[-1]
        raw: FloatArray = self._hidden(rows, len(self.layers) - 1) @ weight + bias
        return raw if self.skip is None else raw + rows @ self.skip

    def _hidden(self, rows: FloatArray, num_layers: int) -> FloatArray:
        for weight, bias in self.layers[:num_layers]:
            rows = rows @ weight
            rows += bias
            np.maximum(rows, 0.0, out=rows)
        return rows


@torch.no_grad()
def affine_chain(
    network: RewardNetwork, objective_weights: Sequence[float] | None = None
) -> AffineChain | None:
    """Reads the products off a network: each stage between two ReLUs is affine.

    An environment step scores a handful of rows, where the cost is the number of operations, not
    their size: three NumPy products take a tenth of the time of the network's own forward pass.

    Args:
        network: it is not changed.
        objective_weights: M numbers; None takes equal shares.

    Returns:
        None for a network that is no such chain: layer norms, independent trunks, rewards drawn by
        the bank.
    """
    frozen = copy.deepcopy(network).eval()
    config = frozen.config
    if config.head_layer_norm or not config.shared_trunk or frozen.is_pulled:
        return None
    frozen.double()
    weights = frozen.objective_weights(objective_weights)
    width = config.num_reward_heads * config.hidden_dim

    def first(rows: Tensor) -> Tensor:
        return frozen.trunk[0](frozen.rows_of(rows))  # type: ignore[no-any-return]

    def heads(features: Tensor) -> Tensor:
        return frozen.head_in(features).flatten(-2)  # type: ignore[no-any-return]

    def last(hidden: Tensor, inputs: Tensor) -> Tensor:
        hidden = hidden.unflatten(-1, (config.num_reward_heads, config.hidden_dim))
        nats = frozen.read_out(hidden, frozen.rows_of(inputs))
        return frozen.normalised(nats) @ weights

    trunk = [layer for layer in frozen.trunk if isinstance(layer, nn.Linear)]
    where = frozen.input_mean
    nothing_seen, nothing_hidden = where.new_zeros(1, config.input_dim), where.new_zeros(1, width)
    stages: list[tuple[Callable[[Tensor], Tensor], int]] = [
        (first, config.input_dim),
        *((layer, config.hidden_dim) for layer in trunk[1:]),
        (heads, config.hidden_dim),
        (lambda hidden: last(hidden, nothing_seen), width),
    ]
    layers = [_affine(stage, dim, like=where) for stage, dim in stages]
    skip = None
    if config.linear_part:
        skip = _affine(lambda rows: last(nothing_hidden, rows), config.input_dim, like=where)[0]
    return AffineChain(layers, skip)


def _affine(
    stage: Callable[[Tensor], Tensor], dim: int, *, like: Tensor
) -> tuple[FloatArray, FloatArray]:
    """Reads the (dim, out) weights and the (out,) bias of an affine map off what it does."""
    bias = stage(like.new_zeros(1, dim))
    weight = stage(torch.eye(dim).to(like)) - bias
    return _host(weight), _host(bias[0])


def _host(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)
