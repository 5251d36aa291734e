"""A reward model, frozen for speed: what environments are given.

Axes: N rows, O observation dims, A action dims, D input dims, K heads.
"""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from prefrl.arguments import instance, numbers
from prefrl.errors import DataError
from prefrl.rewards.model.chain import affine_chain
from prefrl.rewards.model.network import RewardNetwork
from prefrl.segments import FloatArray

# Rows scored at once: large enough to fill a matrix product, small enough to stay in cache.
CHUNK_ROWS = 1024


class ModelReward:
    """A frozen reward model as a reward function: NumPy in, NumPy out, no gradient.

    Args:
        model: copied, so later fitting does not reach into running environments.
        objective_weights: how much each of its objectives counts; None takes equal shares.

    Example:
        >>> import numpy as np
        >>> from prefrl import EnhancedRewardModel
        >>> reward = EnhancedRewardModel(input_dim=4).reward_function()
        >>> obs, action = np.zeros((2, 3)), np.zeros((2, 1))
        >>> reward(obs, action, obs, np.array([False, True])).shape
        (2,)
    """

    def __init__(
        self, model: RewardNetwork, objective_weights: Sequence[float] | None = None
    ) -> None:
        self.config = instance("model", model, RewardNetwork, "a reward model").config
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
        """Returns (N,) float32; the next observation and the end are not looked at."""
        return self.with_uncertainty(obs, action)[0]

    def with_uncertainty(
        self, obs: FloatArray, action: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Returns (N,) mean reward and (N,) population standard deviation over heads.

        Raises:
            ArgumentError: observations or actions are no numbers.
            DataError: the dims are not those the model was trained on, or the reward is not finite.
        """
        rows = self._rows(obs, action)
        with np.errstate(over="ignore", invalid="ignore"):  # What is not finite is refused below.
            if len(rows) <= CHUNK_ROWS:
                raw = self._raw_rewards(rows)
            else:
                starts = range(0, len(rows), CHUNK_ROWS)
                raw = np.concatenate([self._raw_rewards(rows[i : i + CHUNK_ROWS]) for i in starts])
            mean = raw @ self._share
            gap = raw - mean[:, None]
            std = np.sqrt((gap * gap) @ self._share)
            # NaN and infinities of rewards and of inputs come through to here.
            if not math.isfinite(std.sum()):
                raise DataError(
                    "observations or actions hold NaN, an infinity, or numbers too large for "
                    "single precision: the reward that the model gives them is not finite"
                )
        return mean, std

    @property
    def knows_novelty(self) -> bool:
        """The model has segments in its bank to compare with."""
        return self._bank is not None

    def novelty(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """Returns (N,) 1 - the largest cosine similarity to a segment in the bank, in [0, 2].

        Raises:
            DataError: as `with_uncertainty`, or the bank is empty.
        """
        rows = self._rows(obs, action)
        if self._bank is None:
            raise DataError("this reward model has an empty feature bank; novelty needs segments")
        features = self._slow(rows)[1] if self._chain is None else self._chain.features(rows)
        length = np.sqrt(np.square(features).sum(1, keepdims=True))
        nearest: FloatArray = (features @ self._bank / np.maximum(length, 1e-12)).max(1)
        return np.float32(1.0) - nearest

    def _rows(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """Maps (N, O), (N, A) -> (N, D)."""
        expected = self.config.observation_dim
        if not type(obs) is type(action) is np.ndarray:  # nor a matrix, nor a masked array
            obs = numbers("obs", obs, ("rows", expected or "dims"))
            action = numbers("action", action, ("rows", "dims"))
        if (
            obs.ndim != 2
            or action.ndim != 2
            or len(obs) != len(action)
            or expected not in (None, obs.shape[1])
        ):
            raise DataError(
                f"observations have shape {obs.shape} and actions {action.shape}; expected "
                f"(rows, {expected or 'dims'}) and (rows, dims)"
            )
        try:
            rows = np.concatenate([obs, action], axis=1, dtype=np.float32)
        except TypeError:
            numbers("obs", obs, ("rows", "dims"))
            numbers("action", action, ("rows", "dims"))
            raise
        if rows.shape[1] != self.config.input_dim:
            raise DataError(
                f"observation and action have {rows.shape[1]} dims a row; "
                f"this model takes {self.config.input_dim}"
            )
        return rows

    def _raw_rewards(self, rows: FloatArray) -> FloatArray:
        """Maps (N, D) -> (N, K) normalised rewards."""
        if self._chain is None:
            return self._slow(rows)[0]
        return self._chain(rows)

    @torch.inference_mode()
    def _slow(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Maps (N, D) -> (N, K) normalised rewards and (N, F) features, by the model itself."""
        assert self._model is not None
        # The model takes its inputs to where it is.
        outputs = self._model.rewards_of(
            torch.from_numpy(rows), objective_weights=self._objective_weights
        )
        rewards, features = (tensor.cpu().numpy() for tensor in outputs)
        return rewards, features
