"""Fits a reward ensemble to comparisons, session after session.

Axes: B comparisons, T steps, D input dims, K heads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import Comparisons, PreferenceDataset
from prefrl.rewards.inference import ModelReward
from prefrl.rewards.losses import bradley_terry_nll, preference_accuracy
from prefrl.rewards.model import EnhancedRewardModel
from prefrl.seeding import Streams
from prefrl.segments import FloatArray, SegmentBatch
from prefrl.types import State

# Gradient steps between looks at the held-out loss.
CHECK_EVERY = 10


@dataclass(frozen=True)
class _Tensors:
    """Comparisons on the model's device: pairs (B, 2, T, D), p_left (B,)."""

    pairs: Tensor
    p_left: Tensor

    @staticmethod
    def of(comparisons: Comparisons, device: torch.device) -> "_Tensors":
        pairs = np.stack([comparisons.left, comparisons.right], axis=1)
        return _Tensors(
            torch.from_numpy(pairs).to(device), torch.from_numpy(comparisons.p_left).to(device)
        )


def comparison_logits(model: EnhancedRewardModel, pairs: Tensor) -> Tensor:
    """(B, 2, T, D) -> (B, K) left score minus right score, in nats.

    The score is the *sum* of rewards over a segment, as in Christiano et al. 2017, eq. 1.
    """
    scores = model.head_rewards(pairs).sum(2)
    return scores[:, 0] - scores[:, 1]


def bootstrap_counts(num_answers: int, num_heads: int, *, rng: np.random.Generator) -> Tensor:
    """How often each head's bootstrap sample holds each answer.

    Returns:
        (B, K) counts, from Poisson(1). From the same stream, the first rows are the same however
        many follow, and every head holds something; a single head holds every answer once.
    """
    if num_heads == 1:
        return torch.ones(num_answers, 1)
    counts = rng.poisson(1.0, size=(num_answers, num_heads)).astype(np.float32)
    counts[:, counts.sum(0) == 0] = 1.0  # A head left empty-handed by few answers sees them all.
    return torch.from_numpy(counts)


class RewardTrainer:
    """A reward model and everything it is fitted with; the loop's `RewardLearner`.

    Args:
        model: the ensemble, changed in place by `fit`.
        config: how to fit.
        streams: the run's random streams; each session draws from its own.
    """

    def __init__(
        self, model: EnhancedRewardModel, config: RewardConfig, *, streams: Streams
    ) -> None:
        self.model = model
        self.config = config
        self._streams = streams

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, K) each head's reward summed over each segment, in nats."""
        return self.model.score(segments.inputs())

    def reward_function(self) -> ModelReward:
        """The present reward, frozen."""
        return self.model.reward_function()

    def fit(self, comparisons: PreferenceDataset, *, session: int) -> dict[str, float]:
        """Fits to every answer so far; warm from the last session unless told to start anew.

        Each head sees its own bootstrap sample of the training answers: counts drawn from
        Poisson(1), the limit of drawing |D| with replacement (Christiano et al. 2017, section
        2.2.1), so an answer keeps its counts as others arrive. Fitting stops after `max_updates`
        gradient steps, or when the held-out loss has found no new best for `patience` checks.

        Args:
            comparisons: all queries and answers of the run.
            session: the round of queries just answered.

        Returns:
            losses in nats, accuracies as shares, and the number of gradient steps.

        Raises:
            DataError: there is no answer to train on.
        """
        train_set, held_set = comparisons.split()
        if len(train_set) == 0:
            raise DataError("no answer to fit a reward model to: every query so far was skipped")
        device = self.model.input_mean.device
        train, held = _Tensors.of(train_set, device), _Tensors.of(held_set, device)
        if self.config.restart:
            self.model.reset(self._streams.torch_generator("reward-weights", session))
        rows = train.pairs.flatten(0, 2)
        self.model.set_input_statistics(rows)
        counts = bootstrap_counts(
            len(train_set),
            self.model.config.num_reward_heads,
            rng=self._streams.generator("bootstrap"),
        ).to(device)
        noise = torch.Generator(device).manual_seed(self._streams.integer("dropout", session))
        self.model.set_dropout_generator(noise)
        try:
            rng = self._streams.generator("minibatch", session)
            num_updates = self._descend(train, held, counts, rng)
        finally:  # Whatever ends fitting, Ctrl-C too: nobody scores with dropout on.
            self.model.set_dropout_generator(None)
            self.model.eval()
        self.model.set_reward_statistics(rows)
        return {"reward_updates": float(num_updates), **self._report(train, held)}

    def _descend(
        self, train: _Tensors, held: _Tensors, counts: Tensor, rng: np.random.Generator
    ) -> int:
        config, model = self.config, self.model
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        num, best, checks_since_best, update = len(train.p_left), float("inf"), 0, 0
        order: list[int] = []
        model.train()
        while update < config.max_updates and checks_since_best < config.patience:
            if not order:
                order = rng.permutation(num).tolist()
            rows, order = order[: config.batch_size], order[config.batch_size :]
            rate = min(1.0, (update + 1) / (config.warmup_updates + 1)) * config.learning_rate
            optimizer.param_groups[0]["lr"] = rate
            logits = comparison_logits(model, train.pairs[rows])
            loss = bradley_terry_nll(logits, train.p_left[rows], counts[rows]).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()
            update += 1
            if update % CHECK_EVERY == 0 and len(held.p_left):
                held_loss = self._held_loss(held)
                checks_since_best = 0 if held_loss < best - 1e-3 else checks_since_best + 1
                best = min(best, held_loss)
        return update

    def _held_loss(self, held: _Tensors) -> float:
        self.model.eval()
        loss = float(self._losses(held).mean())
        self.model.train()
        return loss

    @torch.no_grad()
    def _losses(self, data: _Tensors) -> Tensor:
        logits = comparison_logits(self.model, data.pairs)
        return bradley_terry_nll(logits, data.p_left, torch.ones_like(logits))

    @torch.no_grad()
    def _report(self, train: _Tensors, held: _Tensors) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name, data in (("train", train), ("holdout", held)):
            if len(data.p_left) == 0:
                figures |= {f"reward_{name}_loss": np.nan, f"reward_{name}_accuracy": np.nan}
                continue
            logits = comparison_logits(self.model, data.pairs)
            loss = bradley_terry_nll(logits, data.p_left, torch.ones_like(logits)).mean()
            figures[f"reward_{name}_loss"] = float(loss)
            # What the mean over normalised heads, the reward that is used, would answer.
            preferred = (logits / self.model.reward_std).mean(-1)
            figures[f"reward_{name}_accuracy"] = preference_accuracy(preferred, data.p_left)
        return figures

    def state(self) -> State:
        """The model's weights and statistics; the optimiser starts afresh every session."""
        # Copies: fitting changes the model's own tensors in place.
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        self.model.load_state_dict(state)
