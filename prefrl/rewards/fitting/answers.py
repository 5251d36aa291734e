"""Answers as a fit sees them: tensors on the model's device.

Axes: B answers, S segments, T steps, D input dims, K heads.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.feedback.comparisons import Comparisons

# Steps of a segment that a gradient step looks at, at least: so few say little of jerky motions.
MIN_STEPS = 12


@dataclass(frozen=True)
class AnswerTensors:
    """Comparisons on the model's device.

    Args:
        pairs: (B, 2, T, D) left and right segments; padding is zero.
        p_left: (B,) answers.
        objective: (B,) which of the M objectives each is about.
        weights: (B, K) how much each counts for each head; 0 hides it.
        mask: (B, T) False at the padding of both segments; None: there is none.
    """

    pairs: Tensor
    p_left: Tensor
    objective: Tensor
    weights: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.p_left)

    @staticmethod
    def of(comparisons: Comparisons, weights: Tensor, device: torch.device) -> "AnswerTensors":
        """Moves comparisons over."""
        pairs = np.stack([comparisons.left, comparisons.right], axis=1)
        mask = None
        if (comparisons.length < pairs.shape[2]).any():
            is_real = comparisons.mask()
            pairs = np.where(is_real[:, None, :, None], pairs, np.float32(0))
            mask = torch.from_numpy(is_real).to(device)
        return AnswerTensors(
            torch.from_numpy(pairs).to(device),
            torch.from_numpy(comparisons.p_left).to(device),
            torch.from_numpy(comparisons.objective).to(device),
            weights.to(device),
            mask,
        )

    @property
    def pair_mask(self) -> Tensor | None:
        """Returns (B, 2, T) the mask of both sides."""
        return None if self.mask is None else self.mask[:, None].expand(-1, 2, -1)

    def segments(self) -> tuple[Tensor, Tensor | None]:
        """Returns (2 B, T, D) all segments, and their mask (2 B, T)."""
        mask = self.pair_mask
        return self.pairs.flatten(0, 1), None if mask is None else mask.flatten(0, 1)

    def steps(self) -> Tensor:
        """Returns (N, D) the steps of all segments, without padding."""
        mask = self.pair_mask
        return self.pairs.flatten(0, 2) if mask is None else self.pairs[mask]

    def at(self, rows: list[int]) -> "AnswerTensors":
        """Returns the answers of some rows."""
        return AnswerTensors(
            self.pairs[rows],
            self.p_left[rows],
            self.objective[rows],
            self.weights[rows],
            None if self.mask is None else self.mask[rows],
        )

    def every(self, stride: int, *, first: int = 0) -> "AnswerTensors":
        """Returns views of every `stride`-th step of all segments, from a `first` one."""
        mask = None if self.mask is None else self.mask[:, first::stride]
        return replace(self, pairs=self.pairs[:, :, first::stride], mask=mask)


def stride_of(config: RewardConfig, answers: AnswerTensors) -> int:
    """Returns every how many-th step of a segment a gradient step looks at."""
    shortest = answers.pairs.shape[2]
    if answers.mask is not None and len(answers):
        shortest = int(answers.mask.sum(1).min())
    return max(1, min(config.step_stride, shortest // MIN_STEPS))


def thinned(
    answers: AnswerTensors, stride: int, rng: np.random.Generator
) -> tuple[AnswerTensors, Tensor | float]:
    """Leaves out all but every `stride`-th step of all segments, from a random first one.

    Robots move smoothly: neighbouring steps say nearly the same, so that a sum over some of them,
    grown by the share they are, stands for the sum over all in a fraction of the time.

    Returns:
        views of the answers with t of T steps, and the share t / T; where segments are padded,
        (B, 1) each answer's share.
    """
    if stride == 1:
        return answers, 1.0
    some = answers.every(stride, first=int(rng.integers(stride)))
    if answers.mask is None or some.mask is None:
        return some, some.pairs.shape[2] / answers.pairs.shape[2]
    return some, (some.mask.sum(1) / answers.mask.sum(1))[:, None]
