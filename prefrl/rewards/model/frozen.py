"""A reward model, frozen and folded for speed: what environments are given.

Axes: N rows, D input dims, F features, K heads.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prefrl.errors import DataError
from prefrl.segments import FloatArray

if TYPE_CHECKING:
    from prefrl.rewards.model.ensemble import EnhancedRewardModel

# Rows scored at once: large enough to fill a matrix product, small enough to stay in cache.
CHUNK_ROWS = 1024

Affine = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class AffineChain:
    """Matrix products with ReLUs between them.

    Args:
        layers: (in, out) weights and (out,) biases.
        skip: (D, K) weights from the inputs to the outputs; None without a linear part.
    """

    layers: list[Affine]
    skip: FloatArray | None

    def hidden(self, rows: FloatArray, num_layers: int) -> FloatArray:
        """(N, D) -> (N, width) the first layers, each followed by a ReLU."""
        for weight, bias in self.layers[:num_layers]:
            rows = rows @ weight
            rows += bias
            np.maximum(rows, 0.0, out=rows)
        return rows

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(N, D) -> (N, K)."""
        weight, bias = self.layers[-1]
        raw: FloatArray = self.hidden(rows, len(self.layers) - 1) @ weight + bias
        return raw if self.skip is None else raw + rows @ self.skip


def affine_chain(
    model: "EnhancedRewardModel", objective_weights: Sequence[float] | None = None
) -> AffineChain | None:
    """The model as matrix products with ReLUs between them, normalisations folded in.

    An environment step scores a handful of rows, where the cost is the number of operations, not
    their size: three NumPy products take a tenth of the time of the model's own forward pass.

    Returns:
        None for a model that is no such chain (layer norms, independent trunks, rewards adjusted by
        the bank).
    """
    adjusts = objective_weights is None and float(model.bank_alpha) != 0
    if model.config.head_layer_norm or not model.config.shared_trunk or adjusts:
        return None

    def host(tensor: torch.Tensor) -> NDArray[np.float64]:
        return tensor.detach().cpu().double().numpy()

    layers = [(host(m.weight), host(m.bias)) for m in model.trunk if isinstance(m, nn.Linear)]
    weight, bias = layers[0]
    weight = weight / host(model.input_std)
    layers[0] = weight, bias - weight @ host(model.input_mean)
    heads, width = model.config.num_reward_heads, model.config.hidden_dim
    layers.append(
        (host(model.head_in.weight).reshape(-1, width), host(model.head_in.bias).reshape(-1))
    )
    # Heads are normalised objective by objective, then combined: all of it is linear.
    objectives = host(model.objective_weights(objective_weights))
    scale = model.config.segment_length * float(model.segment_spread)
    spread = host(model.reward_std) * scale
    shape = (heads, len(objectives))
    spread = spread.reshape(shape)
    out = np.zeros((heads, heads, width))
    weighted = host(model.head_out).reshape(*shape, width) * objectives[:, None] / spread[..., None]
    out[np.arange(heads), np.arange(heads)] = weighted.sum(1)
    mean = host(model.reward_mean).reshape(shape) * scale
    bias = ((host(model.head_bias).reshape(shape) - mean) * objectives / spread).sum(1)
    skip = None
    if model.config.linear_part:
        linear = host(model.linear) / host(model.input_std)  # (M, D)
        by_head = objectives / host(model.reward_std).reshape(shape) @ linear  # (K, D)
        bias = bias - by_head @ host(model.input_mean)
        skip = np.ascontiguousarray(by_head.T, np.float32)
    layers.append((out.reshape(heads, heads * width), bias))
    plain = [(np.ascontiguousarray(w.T, np.float32), b.astype(np.float32)) for w, b in layers]
    return AffineChain(plain, skip)


class ModelReward:
    """A frozen reward model as a reward function: NumPy in, NumPy out, no gradient.

    Args:
        model: copied, so later fitting does not reach into running environments.
        objective_weights: how much each of its objectives counts; None takes equal shares.
    """

    def __init__(
        self, model: "EnhancedRewardModel", objective_weights: Sequence[float] | None = None
    ) -> None:
        self.config = model.config
        self._objective_weights = objective_weights
        self._chain = affine_chain(model, objective_weights)
        self._model = None if self._chain else copy.deepcopy(model).eval().requires_grad_(False)
        entries = model.bank.embeddings_of_entries()
        # Across, as it stands in the product with the features.
        self._bank = None if model.bank.is_empty else np.ascontiguousarray(entries.cpu().numpy().T)
        heads = model.config.num_reward_heads
        self._share = np.full(heads, 1.0 / heads, dtype=np.float32)

    def __call__(
        self, obs: FloatArray, action: FloatArray, next_obs: FloatArray, done: NDArray[np.bool_]
    ) -> FloatArray:
        """(N, O), (N, A) -> (N,) float32; the next observation and the end are not looked at."""
        return self.with_uncertainty(obs, action)[0]

    def with_uncertainty(
        self, obs: FloatArray, action: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(N,) mean reward and (N,) population standard deviation over heads.

        Raises:
            DataError: the dims are not those the model was trained on.
        """
        rows = self._rows(obs, action)
        if len(rows) <= CHUNK_ROWS:
            raw = self._raw_rewards(rows)
        else:
            starts = range(0, len(rows), CHUNK_ROWS)
            raw = np.concatenate([self._raw_rewards(rows[i : i + CHUNK_ROWS]) for i in starts])
        mean = raw @ self._share
        gap = raw - mean[:, None]
        return mean, np.sqrt((gap * gap) @ self._share)

    @property
    def knows_novelty(self) -> bool:
        """Whether the model has segments in its bank to compare with."""
        return self._bank is not None

    def novelty(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """(N,) how unlike every segment in the bank: 1 - largest cosine similarity, in [0, 2].

        Raises:
            DataError: as `with_uncertainty`, or the bank is empty.
        """
        rows = self._rows(obs, action)
        if self._bank is None:
            raise DataError("this reward model has an empty feature bank; novelty needs segments")
        if self._chain is None:
            features = self._slow(rows)["features"]
        else:
            features = self._chain.hidden(rows, self.config.num_layers)
        length = np.sqrt(np.square(features).sum(1, keepdims=True))
        nearest: FloatArray = (features @ self._bank / np.maximum(length, 1e-12)).max(1)
        return np.float32(1.0) - nearest

    def _rows(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """(N, O), (N, A) -> (N, D)."""
        expected = self.config.observation_dim
        if obs.ndim != 2 or action.ndim != 2 or expected not in (None, obs.shape[1]):
            raise DataError(
                f"observations have shape {obs.shape} and actions {action.shape}; expected "
                f"(rows, {expected or 'dims'}) and (rows, dims)"
            )
        rows = np.concatenate([obs, action], axis=1, dtype=np.float32)
        if rows.shape[1] != self.config.input_dim:
            raise DataError(
                f"observation and action have {rows.shape[1]} dims a row; "
                f"this model takes {self.config.input_dim}"
            )
        return rows

    def _raw_rewards(self, rows: FloatArray) -> FloatArray:
        """(N, D) -> (N, K) normalised rewards."""
        if self._chain is None:
            return self._slow(rows)["raw_rewards"]
        return self._chain(rows)

    @torch.inference_mode()
    def _slow(self, rows: FloatArray) -> dict[str, FloatArray]:
        model: Any = self._model
        # The model takes its inputs to where it is.
        outputs = model(torch.from_numpy(rows), objective_weights=self._objective_weights)
        return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}
