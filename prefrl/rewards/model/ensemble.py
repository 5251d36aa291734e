"""The Enhanced Reward Model: an ensemble's rewards, scores and probabilities, and its folder.

Axes: B sequences, T steps, N rows, D input dims, F features, K heads, M objectives.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefrl.arguments import as_array, numbers, path
from prefrl.errors import ArgumentError, DataError, PrefrlError, StorageError, not_a, text_of
from prefrl.records import run_folder
from prefrl.records.files import is_there
from prefrl.rewards.model.frozen import CHUNK_ROWS, ModelReward
from prefrl.rewards.model.network import RewardNetwork
from prefrl.rewards.model.statistics import MIN_STD, input_statistics
from prefrl.rewards.model.storage import CONFIG, WEIGHTS, check_sizes, read_model, write_model
from prefrl.segments import FloatArray

_SEGMENTS = ("segments", "steps", "dims")


def segments_at_once(steps: int) -> int:
    """Returns how many segments of so many steps are scored at once."""
    return max(1, CHUNK_ROWS // max(1, steps))


class EnhancedRewardModel(RewardNetwork):
    """A reward ensemble: features from a trunk, K rewards from K heads.

    `RewardNetwork` says how they are computed. A bank of segment embeddings says how new an input
    is, and draws rewards towards those of like segments where fitting found that to help
    (`bank_alpha`). Scoring never changes the model.

    Args:
        input_dim: D.
        generator: draws the initial weights; None takes a fixed stream.
        **settings: the further fields of `RewardModelConfig`.

    Raises:
        ConfigError: a setting is out of range.

    Example:
        >>> import numpy as np
        >>> from prefrl import EnhancedRewardModel
        >>> model = EnhancedRewardModel(input_dim=4, num_reward_heads=3)
        >>> model.score(np.zeros((2, 50, 4))).shape  # two segments of 50 steps
        (2, 3)
        >>> model.save("reward_model")
        >>> EnhancedRewardModel.load("reward_model").config.num_reward_heads
        3
    """

    def head_rewards(
        self, inputs: Tensor, objective_weights: Sequence[float] | None = None
    ) -> Tensor:
        """Maps (..., D) -> (..., K) rewards in nats, before normalisation."""
        rows = self.rows_of(inputs)
        return self.nats_of(self.trunk(rows), rows) @ self.objective_weights(objective_weights)

    def forward(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        objective_weights: Sequence[float] | None = None,
    ) -> dict[str, Tensor]:
        """Gives rewards, their uncertainty and the features behind them.

        Args:
            inputs: (N, D) rows or (B, T, D) sequences.
            attention_mask: (B, T) 1 for real steps, 0 for padding; masked steps give zero reward.
            objective_weights: M numbers; None takes equal shares.

        Returns:
            `rewards` (..., 1), mean over heads; `uncertainty` (..., 1), population standard
            deviation over heads; `features` (..., F) (their mean over heads with independent
            trunks); `raw_rewards` (..., K), each head's normalised reward.

        Raises:
            ArgumentError: the inputs or the mask are no numbers.
            DataError: the last axis is not D, there are too many axes, the mask or the weights do
                not fit, or inputs are so large, or so little finite, that rewards are, too.
        """
        inputs = _tensor("inputs", inputs, "(rows, dims) or (sequences, steps, dims) numbers")
        if inputs.ndim not in (2, 3):
            raise DataError(
                f"inputs have shape {tuple(inputs.shape)}; expected (rows, dims) or "
                "(sequences, steps, dims)"
            )
        if attention_mask is not None:
            attention_mask = _tensor("attention_mask", attention_mask, "1 for steps, 0 for padding")
        if attention_mask is not None and attention_mask.shape != inputs.shape[:-1]:
            raise DataError(
                f"attention_mask has shape {tuple(attention_mask.shape)}; "
                f"expected {tuple(inputs.shape[:-1])}"
            )
        raw, features = self.rewards_of(inputs, attention_mask, objective_weights)
        _check_finite("inputs", raw)
        return {
            "rewards": raw.mean(-1, keepdim=True),
            # torch warns of the standard deviation of nothing.
            "uncertainty": raw.std(-1, correction=0, keepdim=True) if raw.numel() else raw[..., :1],
            "features": features,
            "raw_rewards": raw,
        }

    @torch.inference_mode()
    def preference_probability(
        self,
        left: FloatArray,
        right: FloatArray,
        *,
        attention_mask: NDArray[np.bool_] | None = None,
    ) -> FloatArray:
        """Gives the probability that a teacher who never errs prefers the left segment.

        The mean over heads of sigmoid(score difference / temperature), the temperature being that
        of the last fit (Guo et al. 2017).

        Args:
            left: (B, T, D).
            right: (B, T, D).
            attention_mask: (B, T) 0 at the padding of both; None: there is none.

        Returns:
            (B,) in [0, 1].

        Raises:
            ArgumentError, DataError: as `score`, or the sides differ in shape.
        """
        left, right = (numbers(n, s, _SEGMENTS) for n, s in (("left", left), ("right", right)))
        if left.shape != right.shape:
            raise ArgumentError(
                f"left has shape {left.shape} and right {right.shape}; expected the same "
                "(segments, steps, dims)"
            )
        scores = [self.score(side, attention_mask=attention_mask) for side in (left, right)]
        logits = torch.from_numpy(scores[0] - scores[1])
        p_left = torch.sigmoid(logits / self.temperature.cpu()).mean(-1)
        return p_left.numpy()

    @torch.no_grad()
    def set_input_statistics(
        self, rows: Tensor, mask: Tensor | None = None, *, any_unit: bool = False
    ) -> None:
        """Freezes the normalisation of inputs, from (N, D) rows or (S, T, D) segments.

        Args:
            rows: what is fitted to.
            mask: (N,) or (S, T) 0 at padding; None: there is none.
            any_unit: as in `input_statistics`.
        """
        found = input_statistics(rows, mask, any_unit=any_unit)
        self.input_mean.copy_(found.mean)
        self.input_std.copy_(found.std)
        if found.segment_spread is not None:
            self.segment_spread.copy_(found.segment_spread)

    @torch.no_grad()
    def set_reward_statistics(self, rows: Tensor) -> None:
        """Freezes each head's normalisation at its mean and standard deviation over (N, D) rows.

        Those of the network and the linear part alone: the bank's pull is measured in them.
        """
        seen = (self.rows_of(chunk) for chunk in rows.split(CHUNK_ROWS))
        nats = [self.read_out(self.hidden_of(self.trunk(chunk)), chunk) for chunk in seen]
        whole = torch.cat(nats).flatten(1)
        self.reward_mean.copy_(whole.mean(0))
        std = whole.std(0, correction=0)
        self.reward_std.copy_(torch.where(std > MIN_STD, std, torch.ones_like(std)))

    @torch.inference_mode()
    def score(
        self,
        sequences: FloatArray,
        objective_weights: Sequence[float] | None = None,
        *,
        attention_mask: NDArray[np.bool_] | None = None,
    ) -> FloatArray:
        """Sums each head's rewards over the steps of segments.

        Args:
            sequences: (S, T, D).
            objective_weights: M numbers; None takes equal shares.
            attention_mask: (S, T) 0 at padding; None: there is none.

        Returns:
            (S, K) in nats.

        Raises:
            ArgumentError: the segments or the mask are no numbers, or of another shape.
            DataError: they hold NaN, or numbers so large that scores are not finite.
        """
        sequences = numbers("sequences", sequences, _SEGMENTS)
        steps = sequences.shape[1]
        if attention_mask is not None:
            attention_mask = numbers("attention_mask", attention_mask, sequences.shape[:2])
        # torch shares memory with NumPy, and wants it writable even where it only reads.
        whole = torch.from_numpy(np.require(sequences, np.float32, ["C", "W"]))
        chunks = whole.to(self.input_mean.device).split(segments_at_once(steps))
        if attention_mask is None:
            scores = torch.cat([self.segment_scores(chunk) for chunk in chunks])
        else:
            masks = torch.from_numpy(np.ascontiguousarray(attention_mask)).split(len(chunks[0]))
            both = zip(chunks, masks, strict=True)
            scores = torch.cat([self.segment_scores(chunk, mask) for chunk, mask in both])
        scores = scores @ self.objective_weights(objective_weights)
        _check_finite("sequences", scores)
        return scores.cpu().numpy()

    def reward_function(self, objective_weights: Sequence[float] | None = None) -> ModelReward:
        """Makes a frozen copy of the present reward, to be put into environments.

        Args:
            objective_weights: M numbers; None takes equal shares.
        """
        return ModelReward(self, objective_weights)

    def save(self, folder: Path | str) -> None:
        """Writes `config.json` and `model.safetensors` into `folder`, each atomically.

        Raises:
            StorageError: the disk refused; no file is half-written.
        """
        write_model(path("folder", folder), asdict(self.config), self.state_dict())

    @staticmethod
    def load(folder: Path | str) -> "EnhancedRewardModel":
        """Reads what `save` wrote; no code from the files is run.

        Args:
            folder: of the model, or of a run, which has its model in `reward_model/`.

        Raises:
            StorageError: a file is missing, damaged, of another version, or belongs to another
                model; it is named.
        """
        folder = path("folder", folder)
        of_run = folder / run_folder.REWARD_MODEL
        if is_there(of_run):
            folder = of_run
        settings, tensors = read_model(folder)
        if settings.get("pooling") == "none":  # Versions up to 0.1 wrote it, and all said so.
            del settings["pooling"]
        check_sizes(folder, settings, tensors)
        try:
            model = EnhancedRewardModel(**settings)
        except (PrefrlError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            said = text_of(error)
            raise StorageError(f"{folder / CONFIG} describes no reward model: {said}") from None
        own = {name: (t.shape, t.dtype) for name, t in model.state_dict().items()}
        if own != {name: (t.shape, t.dtype) for name, t in tensors.items()}:
            raise StorageError(
                f"{folder / WEIGHTS} is of another model than {folder / CONFIG} describes"
            )
        model.load_state_dict(tensors)
        return model


def _tensor(name: str, value: object, expected: str) -> Tensor:
    """Returns a tensor, made of an array or a list where it is one.

    Raises:
        ArgumentError: it holds something else than numbers.
    """
    if isinstance(value, Tensor):
        if value.is_complex() or value.is_meta:
            raise ArgumentError(not_a(name, value, expected))
        return value
    try:
        array = as_array(value)
    except Exception as error:  # ragged, or whatever somebody's object does
        raise ArgumentError(not_a(name, value, expected)) from error
    if array.dtype.kind not in "fiub":
        raise ArgumentError(not_a(name, value, expected))
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _check_finite(name: str, results: Tensor) -> None:
    if not bool(torch.isfinite(results).all()):
        raise DataError(
            f"{name} hold NaN, an infinity, or numbers too large for single precision: what the "
            "model makes of them is not finite"
        )
