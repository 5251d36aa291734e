"""A reward model, frozen and folded for speed: what environments are given.

Axes: N rows, D input dims, F features, K heads.
"""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prefrl.errors import DataError
from prefrl.segments import FloatArray

if TYPE_CHECKING:
    from prefrl.rewards.model import EnhancedRewardModel

# Rows scored at once: large enough to fill a matrix product, small enough to stay in cache.
CHUNK_ROWS = 8192

Affine = tuple[FloatArray, FloatArray]


def affine_chain(model: "EnhancedRewardModel") -> list[Affine] | None:
    """The model as matrix products with ReLUs between them, normalisations folded in.

    An environment step scores a handful of rows, where the cost is the number of operations, not
    their size: three NumPy products take a tenth of the time of the model's own forward pass.

    Returns:
        (in, out) weights and (out,) biases; None for a model that is no such chain (layer norms,
        independent trunks).
    """
    if model.config.head_layer_norm or not model.config.shared_trunk:
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
    spread = host(model.reward_std)
    out = np.zeros((heads, heads, width))
    out[np.arange(heads), np.arange(heads)] = host(model.head_out) / spread[:, None]
    bias = (host(model.head_bias) - host(model.reward_mean)) / spread
    layers.append((out.reshape(heads, heads * width), bias))
    return [(np.ascontiguousarray(w.T, np.float32), b.astype(np.float32)) for w, b in layers]


class ModelReward:
    """A frozen reward model as a reward function: NumPy in, NumPy out, no gradient.

    Args:
        model: copied, so later fitting does not reach into running environments.
    """

    def __init__(self, model: "EnhancedRewardModel") -> None:
        self.config = model.config
        self._chain = affine_chain(model)
        self._model = None if self._chain else copy.deepcopy(model).eval().requires_grad_(False)
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
        if len(rows) <= CHUNK_ROWS:
            raw = self._raw_rewards(rows)
        else:
            starts = range(0, len(rows), CHUNK_ROWS)
            raw = np.concatenate([self._raw_rewards(rows[i : i + CHUNK_ROWS]) for i in starts])
        mean = raw @ self._share
        gap = raw - mean[:, None]
        return mean, np.sqrt((gap * gap) @ self._share)

    def _raw_rewards(self, rows: FloatArray) -> FloatArray:
        """(N, D) -> (N, K) normalised rewards."""
        if self._chain is None:
            return self._slow(rows)
        *hidden, (weight, bias) = self._chain
        for hidden_weight, hidden_bias in hidden:
            rows = rows @ hidden_weight
            rows += hidden_bias
            np.maximum(rows, 0.0, out=rows)
        raw: FloatArray = rows @ weight + bias
        return raw

    @torch.inference_mode()
    def _slow(self, rows: FloatArray) -> FloatArray:
        model: Any = self._model
        # The model takes its inputs to where it is.
        raw: FloatArray = model(torch.from_numpy(rows))["raw_rewards"].cpu().numpy()
        return raw
