"""The layers of a reward ensemble, and the one function that everything it says is a view of.

Axes: S segments, T steps, D input dims, F features, K heads, M objectives; "..." are any.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prefrl.config import RewardModelConfig
from prefrl.errors import ArgumentError, DataError, not_a, shown
from prefrl.rewards.model.bank import FeatureBank
from prefrl.rewards.model.layers import HeadwiseLinear, SeededDropout, ensemble_trunk
from prefrl.rewards.model.storage import without_pooling

# Numbers of a hidden layer computed at once: 2 MiB, so that they stay in cache.
CACHED_NUMBERS = 2**19


class RewardNetwork(nn.Module):
    """A trunk and K heads computed as one batched product, with a bank of segments beside them.

    Of a step's inputs x, in this order:

        rows     = (x - input_mean) / input_std                                  (D)
        features = trunk(rows)                           (F), or (K, F) of independent trunks
        hidden   = relu(head_in(features)), with a LayerNorm before on request   (K, F)
        nats     = (hidden . head_out + head_bias) / scale + rows . linear       (K, M)
        nats     = nats + reward_std * pull(features), where the bank pulls      (K, M)
        reward   = (nats - reward_mean) / reward_std, combined over objectives   (K)

    What agents are given is `reward`; segments are scored, compared and fitted by the sum of `nats`
    over their steps. That is linear in `hidden` and in `rows`, so these are summed first, wherever
    the bank does not pull. Padding is neither seen nor counted.

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
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ArgumentError(not_a("generator", generator, "a torch.Generator or None"))
        if isinstance(input_dim, str):
            raise ArgumentError(not_a("input_dim", input_dim, "a whole number, 1 or more"))
        self.config = config = RewardModelConfig(input_dim, **without_pooling(settings))
        input_dim = config.input_dim  # the number, whatever it was given as
        width, heads = config.hidden_dim, config.num_reward_heads
        self.trunk = ensemble_trunk(config)
        self.head_in = HeadwiseLinear(heads, width, width, takes_heads=not config.shared_trunk)
        if config.head_layer_norm:
            self.head_scale = nn.Parameter(torch.ones(heads, width))
            self.head_shift = nn.Parameter(torch.zeros(heads, width))
        outputs = heads * config.num_objectives  # head k's objective m is output k M + m
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
        if config.linear_part:  # In nats a step and a standardised input.
            self.register_buffer("linear", torch.zeros(config.num_objectives, input_dim))
        self.bank = FeatureBank(config.bank_size or 0, width, policy=config.bank_policy)
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
        """Sets where dropout draws from while fitting; None is torch's global generator.

        Args:
            generator: on the model's device.
        """
        for module in self.modules():
            if isinstance(module, SeededDropout):
                module.generator = generator

    def rows_of(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Maps (..., D) inputs -> (..., D) of zero mean and unit variance over what was fitted.

        Args:
            inputs: raw.
            mask: (...) 0 at padding, whose rows are zeros whatever it holds.
        """
        dims = inputs.shape[-1] if inputs.ndim else 0
        if dims != self.config.input_dim:
            raise DataError(
                f"inputs have {dims} dims a row; this model takes {self.config.input_dim}"
            )
        inputs = inputs.to(self.input_mean)  # its device and dtype
        rows = (inputs - self.input_mean) / self.input_std
        if mask is None:
            return rows
        # Filled, not multiplied: padding may hold anything, NaN too.
        return rows.masked_fill(mask.to(rows.device)[..., None] == 0, 0.0)

    def hidden_of(self, features: Tensor) -> Tensor:
        """Maps (..., F) or (..., K, F) features -> (..., K, F) the heads' hidden layers."""
        hidden: Tensor = self.head_in(features)
        if self.config.head_layer_norm:
            hidden = F.layer_norm(hidden, (self.config.hidden_dim,))
            hidden = torch.addcmul(self.head_shift, hidden, self.head_scale)
        return torch.relu(hidden)

    def read_out(self, hidden: Tensor, rows: Tensor, num_steps: Tensor | int = 1) -> Tensor:
        """Gives the network's and the linear part's rewards, without what the bank adds.

        Args:
            hidden: (..., K, F) of a step, or summed over steps.
            rows: (..., D), or (..., K, D) of each head's own; summed like `hidden`.
            num_steps: how many steps were summed; a tensor says it of each, (..., 1).

        Returns:
            (..., K, M) in nats.
        """
        config = self.config
        shape = (config.num_reward_heads, config.num_objectives)
        bias = num_steps * self.head_bias
        if config.num_objectives == 1:
            rewards = ((hidden * self.head_out).sum(-1) + bias)[..., None]
        else:
            products = hidden[..., None, :] * self.head_out.view(*shape, -1)
            rewards = products.sum(-1) + bias.unflatten(-1, shape)
        rewards = rewards / (config.segment_length * self.segment_spread)
        if not config.linear_part:
            return rewards
        linear = rows @ self.linear.T
        return rewards + (linear if linear.ndim == rewards.ndim else linear[..., None, :])

    def nats_of(self, features: Tensor, rows: Tensor) -> Tensor:
        """Gives the rewards of single steps, what the bank adds included.

        Args:
            features: (..., F), or (..., K, F) of independent trunks.
            rows: (..., D).

        Returns:
            (..., K, M) in nats.
        """
        nats = self.read_out(self.hidden_of(features), rows)
        return nats + self._pull(nats, features) if self.is_pulled else nats

    def normalised(self, nats: Tensor) -> Tensor:
        """Returns (..., K, M) of zero mean and unit variance over what was fitted.

        So that no head outweighs the others (Christiano et al. 2017, section 2.2.1).
        """
        shape = nats.shape[-2:]
        return (nats - self.reward_mean.view(shape)) / self.reward_std.view(shape)

    def objective_weights(self, weights: Sequence[float] | None = None) -> Tensor:
        """Returns (M,) how much each objective counts: those given, or equal shares.

        Raises:
            ArgumentError: they are no numbers.
            DataError: there are not M of them, or one is not finite.
        """
        num = self.config.num_objectives
        if weights is None:
            return self.reward_mean.new_full((num,), 1.0 / num)
        try:
            given = torch.as_tensor(weights, dtype=self.reward_mean.dtype)
        except Exception as error:  # whatever an object of somebody's does
            expected = f"a sequence of {num} finite numbers, or None for equal shares"
            raise ArgumentError(not_a("objective_weights", weights, expected)) from error
        if given.shape != (num,) or not bool(given.isfinite().all()):
            raise DataError(f"objective_weights is {shown(weights)}; expected {num} finite numbers")
        return given.to(self.reward_mean.device)

    def rewards_of(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        objective_weights: Sequence[float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Gives each head's reward of every step, and the features it is made from.

        Args:
            inputs: (..., D) raw.
            mask: (...) 0 at padding, which is rewarded with 0.
            objective_weights: M numbers; None takes equal shares.

        Returns:
            (..., K) normalised rewards, and (..., F) features.
        """
        rows = self.rows_of(inputs, mask)
        features = self.trunk(rows)
        nats = self.nats_of(features, rows)
        rewards = self.normalised(nats) @ self.objective_weights(objective_weights)
        if mask is not None:
            rewards = rewards.masked_fill(mask.to(rewards.device)[..., None] == 0, 0.0)
        return rewards, self._shared(features)

    def segment_scores(self, sequences: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sums the rewards of each segment's steps.

        Args:
            sequences: (..., T, D) raw.
            mask: (..., T) 0 at padding; None: there is none.

        Returns:
            (..., K, M) in nats.
        """
        *leading, steps, dims = sequences.shape
        flat = sequences.reshape(math.prod(leading), steps, dims)
        flat_mask = None if mask is None else mask.reshape(len(flat), steps)
        # Dropout draws for all of them at once.
        is_whole = self.training and self.config.dropout > 0
        size = max(1, len(flat)) if is_whole else self._at_once(steps)
        scores = torch.cat([self._scores_of(*part) for part in _parts(flat, flat_mask, size)])
        return scores.view(*leading, *scores.shape[1:])

    def _scores_of(self, sequences: Tensor, mask: Tensor | None) -> Tensor:
        """Maps (S, T, D) -> (S, K, M)."""
        rows = self.rows_of(sequences, mask)
        return self._sum_of(self.trunk(rows), rows, mask)

    def _sum_of(self, features: Tensor, rows: Tensor, mask: Tensor | None) -> Tensor:
        """Sums what `nats_of` gives over T: (S, T, F) or (S, T, K, F) features -> (S, K, M)."""
        is_real = None if mask is None else mask.to(rows)
        if self.is_pulled:
            nats = self.nats_of(features, rows)
            return (nats if is_real is None else nats * is_real[..., None, None]).sum(1)
        hidden = self.hidden_of(features)
        if is_real is not None:
            hidden = hidden * is_real[..., None, None]
        num_steps = rows.shape[1] if is_real is None else is_real.sum(1)[:, None]
        return self.read_out(
            hidden.sum(1), rows.sum(1) if self.config.linear_part else rows, num_steps
        )

    def _at_once(self, steps: int) -> int:
        """Returns how many sequences have hidden layers that stay in a CPU's cache."""
        if self.input_mean.device.type != "cpu":
            return sys.maxsize
        width = self.config.num_reward_heads * self.config.hidden_dim
        return max(1, CACHED_NUMBERS // (max(1, steps) * width))

    @property
    def can_score_apart(self) -> bool:
        """`head_scores` are what `segment_scores` are: dropout would draw otherwise in them."""
        return not (self.config.shared_trunk or self.config.dropout or self.is_pulled)

    def head_scores(self, sequences: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scores sequences of each member's own, for members that each see other answers.

        Args:
            sequences: (S, K, T, D) raw.
            mask: (S, K, T) 0 at padding; None: there is none.

        Returns:
            (S, K, M) in nats.
        """
        scores = []
        for part, part_mask in _parts(sequences, mask, self._at_once(sequences.shape[2])):
            rows = self.rows_of(part, part_mask).transpose(1, 2)  # (S, T, K, D)
            features = rows
            for layer in self.trunk:
                run = layer.of_heads if isinstance(layer, HeadwiseLinear) else layer
                features = run(features)
            hidden = self.hidden_of(features)
            num_steps: Tensor | int = part.shape[2]
            if part_mask is not None:
                is_real = part_mask.to(rows).transpose(1, 2)  # (S, T, K)
                hidden = hidden * is_real[..., None]
                num_steps = is_real.sum(1).repeat_interleave(self.config.num_objectives, dim=1)
            scores.append(self.read_out(hidden.sum(1), rows.sum(1), num_steps))
        return torch.cat(scores)

    def embed(self, sequences: Tensor, mask: Tensor | None = None) -> Tensor:
        """Maps (S, T, D) segments -> (S, F) mean features of their steps.

        What the bank holds and coverage queries measure by.

        Args:
            sequences: raw.
            mask: (S, T) 0 at padding; None: there is none.
        """
        features = self._shared(self.trunk(self.rows_of(sequences, mask)))
        if mask is None:
            return features.mean(1)
        is_real = mask.to(features)
        return (features * is_real[..., None]).sum(1) / is_real.sum(1)[:, None]

    @torch.no_grad()
    def linear_inputs(self, sequences: Tensor, mask: Tensor | None = None) -> Tensor:
        """Maps (..., T, D) -> (..., D) what `linear` is multiplied with to score a sequence."""
        return self.rows_of(sequences, mask).sum(-2)

    def _shared(self, features: Tensor) -> Tensor:
        """Returns (..., F) features, of independent trunks their mean over heads."""
        return features if self.config.shared_trunk else features.mean(-2)

    @property
    def is_pulled(self) -> bool:
        """The bank draws rewards: not while fitting, and not where it has several objectives.

        It remembers one number a segment.
        """
        is_scoring = not self.training and self.config.num_objectives == 1
        return is_scoring and bool(self.bank_alpha != 0) and not self.bank.is_empty

    def _pull(self, nats: Tensor, features: Tensor) -> Tensor:
        """Returns (..., K, 1) what the bank adds to every head's reward, in that head's nats."""
        predicted = self.normalised(nats).detach()[..., 0].mean(-1).reshape(-1)
        queries = self._shared(features).reshape(-1, self.config.hidden_dim)
        adjusted = self.bank.adjusted(
            predicted, queries, alpha=float(self.bank_alpha), k=self.config.bank_neighbours
        )
        pull = (adjusted - predicted).view(*nats.shape[:-2], 1, 1)
        return pull * self.reward_std[:, None]


def _parts(sequences: Tensor, mask: Tensor | None, size: int) -> list[tuple[Tensor, Tensor | None]]:
    parts = sequences.split(size)
    masks = [None] * len(parts) if mask is None else mask.split(size)
    return list(zip(parts, masks, strict=True))
