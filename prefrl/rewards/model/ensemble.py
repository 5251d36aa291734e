"""The Enhanced Reward Model: a shared trunk and K heads computed as one batched product.

Axes: B sequences, T steps, N rows, D input dims, F features, K heads, M objectives.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prefrl.config import RewardModelConfig
from prefrl.errors import DataError, PrefrlError, StorageError
from prefrl.rewards.model.bank import FeatureBank
from prefrl.rewards.model.frozen import CHUNK_ROWS, ModelReward
from prefrl.rewards.model.layers import HeadwiseLinear, SeededDropout
from prefrl.rewards.model.statistics import MIN_SPREAD, input_statistics
from prefrl.rewards.model.storage import CONFIG, WEIGHTS, read_model, without_pooling, write_model
from prefrl.segments import FloatArray

# Numbers of a hidden layer computed at once: 2 MiB, so that they stay in cache.
CACHED_NUMBERS = 2**19


class EnhancedRewardModel(nn.Module):
    """A reward ensemble: features from a trunk, K rewards from K heads.

    Each head is Linear, ReLU, Linear (with a LayerNorm before the ReLU on request). Heads are
    normalised to zero mean and unit spread over the fitted transitions before they are averaged
    (Christiano et al. 2017, section 2.2.1), so that no head outweighs the others. A bank of segment
    embeddings says how new an input is, and draws rewards towards those of like segments where
    fitting found that to help (`bank_alpha`). Scoring never changes the model.

    Args:
        input_dim: D.
        generator: draws the initial weights; None takes a fixed stream.
        **settings: the further fields of `RewardModelConfig`.
    """

    input_mean: Tensor
    input_std: Tensor
    segment_spread: Tensor
    reward_mean: Tensor
    reward_std: Tensor
    temperature: Tensor
    bank_alpha: Tensor
    interval: Tensor
    linear: Tensor

    def __init__(
        self, input_dim: int, *, generator: torch.Generator | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self.config = RewardModelConfig(input_dim, **without_pooling(settings))
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
        outputs = heads * self.config.num_objectives  # head k's objective m is output k M + m
        self.head_out = nn.Parameter(torch.empty(outputs, width))
        # Comparisons say nothing of it: what gradient it had would be rounding, and Adam's step
        # does not shrink with the gradient.
        self.head_bias = nn.Parameter(torch.zeros(outputs), requires_grad=False)
        self.register_buffer("input_mean", torch.zeros(input_dim))
        self.register_buffer("input_std", torch.ones(input_dim))
        self.register_buffer("segment_spread", torch.ones(()))
        self.register_buffer("reward_mean", torch.zeros(outputs))
        self.register_buffer("reward_std", torch.ones(outputs))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bank_alpha", torch.zeros(()))
        # Coverage and factor of `conformal.ConformalInterval`; a coverage of 0 is none.
        self.register_buffer("interval", torch.zeros(2, dtype=torch.float64))
        if self.config.linear_part:  # In nats a step and a standardised input.
            self.register_buffer("linear", torch.zeros(self.config.num_objectives, input_dim))
        self.bank = FeatureBank(self.config.bank_size or 0, width, policy=self.config.bank_policy)
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
        if self.config.linear_part:
            self.linear.zero_()

    def set_dropout_generator(self, generator: torch.Generator | None) -> None:
        """Where dropout draws from while fitting; None is torch's global generator.

        Args:
            generator: on the model's device.
        """
        for module in self.modules():
            if isinstance(module, SeededDropout):
                module.generator = generator

    def _standardised(self, inputs: Tensor) -> Tensor:
        """(..., D) of zero mean and unit spread over what was fitted."""
        dims = inputs.shape[-1] if inputs.ndim else 0
        if dims != self.config.input_dim:
            raise DataError(
                f"inputs have {dims} dims a row; this model takes {self.config.input_dim}"
            )
        inputs = inputs.to(self.input_mean)  # its device and dtype
        return (inputs - self.input_mean) / self.input_std

    def head_rewards(
        self, inputs: Tensor, objective_weights: Sequence[float] | None = None
    ) -> Tensor:
        """(..., D) -> (..., K) rewards in nats, before normalisation."""
        rows = self._standardised(inputs)
        return self._combined(self._rewards_of(self.trunk(rows), rows), objective_weights)

    def _rewards_of(self, features: Tensor, rows: Tensor) -> Tensor:
        """(..., F) or (..., K, F) features of (..., D) rows -> (..., K, M) in nats."""
        outputs = self._outputs(self._activated(self.head_in(features)), num_steps=1)
        return self._with_linear(outputs, rows)

    def _with_linear(self, rewards: Tensor, rows: Tensor) -> Tensor:
        """(..., K, M) rewards of the network and of the linear part, which all heads share."""
        if not self.config.linear_part:
            return rewards
        return rewards + (rows @ self.linear.T)[..., None, :]

    def _activated(self, hidden: Tensor) -> Tensor:
        """(..., K, F) -> (..., K, F) what follows the heads' first layer."""
        if self.config.head_layer_norm:
            hidden = F.layer_norm(hidden, (self.config.hidden_dim,))
            hidden = torch.addcmul(self.head_shift, hidden, self.head_scale)
        return torch.relu(hidden)

    def _summed_outputs(self, hidden: Tensor) -> Tensor:
        """(S, T, K, F) -> (S, K, M): the heads' first layer, before its ReLU, to scores.

        A reward is linear in its head's hidden layer, so that is what is summed over T: (S, K, F)
        numbers go on from there instead of (S, T, K, F).
        """
        return self._outputs(self._activated(hidden).sum(1), num_steps=hidden.shape[1])

    def _outputs(self, hidden: Tensor, *, num_steps: int) -> Tensor:
        """(..., K, F) hidden layers, summed over steps -> (..., K, M) in nats."""
        config = self.config
        shape = (config.num_reward_heads, config.num_objectives)
        bias = num_steps * self.head_bias
        if config.num_objectives == 1:
            rewards = ((hidden * self.head_out).sum(-1) + bias)[..., None]
        else:
            products = hidden[..., None, :] * self.head_out.view(*shape, -1)
            rewards = products.sum(-1) + bias.view(shape)
        return rewards / (config.segment_length * self.segment_spread)

    def _combined(self, rewards: Tensor, weights: Sequence[float] | None) -> Tensor:
        """(..., K, M) -> (..., K)."""
        return rewards @ self.objective_weights(weights)

    def objective_weights(self, weights: Sequence[float] | None = None) -> Tensor:
        """(M,) how much each objective counts: those given, or equal shares.

        Raises:
            DataError: there are not M of them, or one is not finite.
        """
        num = self.config.num_objectives
        if weights is None:
            return self.reward_mean.new_full((num,), 1.0 / num)
        given = torch.as_tensor(weights, dtype=self.reward_mean.dtype)
        if given.shape != (num,) or not bool(given.isfinite().all()):
            raise DataError(f"objective_weights is {weights}; expected {num} finite numbers")
        return given.to(self.reward_mean.device)

    def _normalised(self, rewards: Tensor) -> Tensor:
        """(..., K, M) of zero mean and unit spread over what was fitted."""
        shape = rewards.shape[-2:]
        return (rewards - self.reward_mean.view(shape)) / self.reward_std.view(shape)

    def forward(
        self,
        inputs: Tensor,
        attention_mask: Tensor | None = None,
        objective_weights: Sequence[float] | None = None,
    ) -> dict[str, Tensor]:
        """Rewards, their uncertainty and the features behind them.

        Args:
            inputs: (N, D) rows or (B, T, D) sequences.
            attention_mask: (B, T) 1 for real steps, 0 for padding; masked steps give zero reward.
            objective_weights: M numbers; None takes equal shares.

        Returns:
            `rewards` (..., 1), mean over heads; `uncertainty` (..., 1), population standard
            deviation over heads; `features` (..., F) (their mean over heads with independent
            trunks); `raw_rewards` (..., K), each head's normalised reward.

        Raises:
            DataError: the last axis is not D, there are too many axes, or the mask or the weights
                do not fit.
        """
        if inputs.ndim not in (2, 3):
            raise DataError(
                f"inputs have shape {tuple(inputs.shape)}; expected (rows, dims) or "
                "(sequences, steps, dims)"
            )
        if attention_mask is not None and attention_mask.shape != inputs.shape[:-1]:
            raise DataError(
                f"attention_mask has shape {tuple(attention_mask.shape)}; "
                f"expected {tuple(inputs.shape[:-1])}"
            )
        rows = self._standardised(inputs)
        features = self.trunk(rows)
        raw = self._combined(self._normalised(self._rewards_of(features, rows)), objective_weights)
        if not self.config.shared_trunk:
            features = features.mean(-2)
        if not self.training and self.bank_alpha != 0 and objective_weights is None:
            raw = raw + self._bank_pull(raw, features)
        if attention_mask is not None:
            # Filled, not multiplied: padding may hold anything, NaN too.
            raw = raw.masked_fill(attention_mask.to(raw.device)[..., None] == 0, 0.0)
        return {
            "rewards": raw.mean(-1, keepdim=True),
            # torch warns of the spread of nothing.
            "uncertainty": raw.std(-1, correction=0, keepdim=True) if raw.numel() else raw[..., :1],
            "features": features,
            "raw_rewards": raw,
        }

    def _bank_pull(self, raw: Tensor, features: Tensor) -> Tensor:
        """(..., 1) what the bank adds to every head's reward."""
        predicted = raw.detach().mean(-1).reshape(-1)
        queries = features.reshape(-1, features.shape[-1]).nan_to_num()  # padding may be NaN
        adjusted = self.bank.adjusted(
            predicted, queries, alpha=float(self.bank_alpha), k=self.config.bank_neighbours
        )
        return (adjusted - predicted).view(*raw.shape[:-1], 1)

    def segment_scores(self, sequences: Tensor) -> Tensor:
        """(..., T, D) -> (..., K, M) in nats: the sum of rewards over T."""
        *leading, steps, dims = sequences.shape
        flat = sequences.reshape(math.prod(leading), steps, dims)
        # Dropout draws for all of them at once.
        is_whole = self.training and self.config.dropout > 0
        parts = [flat] if is_whole else flat.split(self._at_once(steps))
        scores = torch.cat([self._scores_of(part) for part in parts])
        return scores.view(*leading, *scores.shape[1:])

    def _at_once(self, steps: int) -> int:
        """Sequences whose hidden layers stay in a CPU's cache."""
        if self.input_mean.device.type != "cpu":
            return sys.maxsize
        width = self.config.num_reward_heads * self.config.hidden_dim
        return max(1, CACHED_NUMBERS // (max(1, steps) * width))

    def _scores_of(self, sequences: Tensor) -> Tensor:
        """(S, T, D) -> (S, K, M)."""
        rows = self._standardised(sequences)
        features = self.trunk(rows)
        if self.config.linear_part:
            rows = rows.sum(1)
        return self._with_linear(self._summed_outputs(self.head_in(features)), rows)

    @torch.no_grad()
    def linear_inputs(self, sequences: Tensor) -> Tensor:
        """(..., T, D) -> (..., D) what is multiplied with `linear` to make a sequence's score."""
        return self._standardised(sequences).sum(-2)

    @property
    def can_score_apart(self) -> bool:
        """`head_scores` are what `segment_scores` are: dropout would draw otherwise in them."""
        return not (self.config.shared_trunk or self.config.dropout)

    def head_scores(self, sequences: Tensor) -> Tensor:
        """(S, K, T, D) -> (S, K, M) in nats: member k's score of sequences of its own.

        For independent members that each see other answers.
        """
        scores = []
        for part in sequences.split(self._at_once(sequences.shape[2])):
            rows = (part - self.input_mean) / self.input_std
            hidden = rows.transpose(1, 2)  # (S, T, K, D)
            for layer in self.trunk:
                run = layer.of_heads if isinstance(layer, HeadwiseLinear) else layer
                hidden = run(hidden)
            score = self._summed_outputs(self.head_in(hidden))
            if self.config.linear_part:
                score = score + rows.sum(2) @ self.linear.T
            scores.append(score)
        return torch.cat(scores)

    def embed(self, sequences: Tensor) -> Tensor:
        """(B, T, D) -> (B, F) mean features of the steps of each segment.

        What the bank holds and coverage queries measure by.
        """
        features: Tensor = self.trunk(self._standardised(sequences))
        if not self.config.shared_trunk:
            features = features.mean(-2)
        return features.mean(1)

    @torch.inference_mode()
    def preference_probability(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """How probably a teacher who never errs prefers the left segment.

        The mean over heads of sigmoid(score difference / temperature), the temperature being that
        of the last fit (Guo et al. 2017).

        Args:
            left: (B, T, D).
            right: (B, T, D).

        Returns:
            (B,) in [0, 1].
        """
        logits = torch.from_numpy(self.score(left) - self.score(right))
        p_left = torch.sigmoid(logits / self.temperature.cpu()).mean(-1)
        return p_left.numpy()

    @torch.no_grad()
    def set_input_statistics(self, rows: Tensor, *, any_unit: bool = False) -> None:
        """Freezes the normalisation of inputs, from (N, D) rows or (S, T, D) segments.

        As `input_statistics` tells them.
        """
        told = input_statistics(rows, any_unit=any_unit)
        self.input_mean.copy_(told.mean)
        self.input_std.copy_(told.std)
        if told.segment_spread is not None:
            self.segment_spread.copy_(told.segment_spread)

    @torch.no_grad()
    def set_reward_statistics(self, rows: Tensor) -> None:
        """Freezes each head's normalisation at its mean and spread over (N, D) rows."""
        standardised = (self._standardised(chunk) for chunk in rows.split(CHUNK_ROWS))
        rewards = torch.cat([self._rewards_of(self.trunk(x), x) for x in standardised]).flatten(1)
        self.reward_mean.copy_(rewards.mean(0))
        spread = rewards.std(0, correction=0)
        self.reward_std.copy_(torch.where(spread > MIN_SPREAD, spread, torch.ones_like(spread)))

    @torch.inference_mode()
    def score(
        self, sequences: FloatArray, objective_weights: Sequence[float] | None = None
    ) -> FloatArray:
        """(S, T, D) -> (S, K) each head's reward summed over T, in nats."""
        steps = sequences.shape[1]
        # torch shares memory with NumPy, and wants it writable even where it only reads.
        whole = torch.from_numpy(np.require(sequences, np.float32, ["C", "W"]))
        chunks = whole.to(self.input_mean.device).split(max(1, CHUNK_ROWS // max(1, steps)))
        scores = torch.cat([self.segment_scores(chunk) for chunk in chunks])
        return self._combined(scores, objective_weights).cpu().numpy()

    def reward_function(self, objective_weights: Sequence[float] | None = None) -> ModelReward:
        """A frozen copy of the present reward, to be put into environments.

        Args:
            objective_weights: M numbers; None takes equal shares.
        """
        return ModelReward(self, objective_weights)

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
        if settings.get("pooling") == "none":  # Versions up to 0.1 wrote it, and all said so.
            del settings["pooling"]
        try:
            model = EnhancedRewardModel(**settings)
        except (PrefrlError, TypeError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise StorageError(f"{folder / CONFIG} describes no reward model: {said}") from None
        own = {name: (t.shape, t.dtype) for name, t in model.state_dict().items()}
        if own != {name: (t.shape, t.dtype) for name, t in tensors.items()}:
            raise StorageError(
                f"{folder / WEIGHTS} is of another model than {folder / CONFIG} describes"
            )
        model.load_state_dict(tensors)
        return model
