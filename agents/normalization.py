"""Observation normalisation that lives inside the policy, and so never reaches a reward model."""

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

CLIP = 10.0  # standard deviations, as SB3's VecNormalize


class NormalizedObservations(BaseFeaturesExtractor):
    """Observations minus their running mean, over their running standard deviation, clipped at 10.

    The statistics are part of the policy: `policy.zip` takes raw observations and needs no second
    file. They change only between a policy update and the next rollout (`update`), so that the
    probabilities PPO compares were computed on the same inputs.

    Args:
        observation_space: a flat Box.
    """

    mean: Tensor
    var: Tensor
    count: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, observation_space: gym.spaces.Box) -> None:
        size = int(observation_space.shape[0])
        super().__init__(observation_space, features_dim=size)
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, observations: Tensor) -> Tensor:
        """Returns (N, O) from (N, O)."""
        return torch.clamp((observations - self.shift) * self.scale, -CLIP, CLIP)

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Adds (N, O) raw observations to the statistics (Chan et al. 1979, pairwise update)."""
        batch = observations.to(self.mean)
        num = float(len(batch))
        total = self.count + num
        delta = batch.mean(0) - self.mean
        squares = self.var * self.count + batch.var(0, correction=0) * num
        squares += delta**2 * self.count * num / total
        self.mean += delta * num / total
        self.var.copy_(squares / total)
        self.count.copy_(total)
        self.shift.copy_(self.mean)
        self.scale.copy_((self.var + 1e-8).rsqrt())
