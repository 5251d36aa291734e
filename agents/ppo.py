"""PPO, or any on-policy algorithm of SB3, behind the `Agent` protocol."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.agents.base import SB3Agent
from prefrl.agents.normalization import NormalizedObservations
from prefrl.errors import ConfigError
from prefrl.types import RewardFunction, State


class OnPolicyAgent(SB3Agent):
    """Learns from the newest rollout only, so a new reward leaves nothing stale behind.

    A stretch of training is cut into equal rollouts, none longer than the model's `n_steps`: SB3
    alone would overshoot to the next whole rollout.

    Args:
        model: built on a stack that contains a `RewardVecEnv`.
        on_step: called with the number of steps taken.
        total_steps: of the whole run; schedules need it.

    Raises:
        ConfigError: the model stands on normalised observations, or see `SB3Agent`.
    """

    model: OnPolicyAlgorithm

    def __init__(
        self,
        model: OnPolicyAlgorithm,
        *,
        on_step: Callable[[int], None] | None = None,
        total_steps: int | None = None,
    ) -> None:
        super().__init__(model, on_step=on_step, total_steps=total_steps)
        scaled = model.get_vec_normalize_env()
        if scaled is not None and scaled.norm_obs:
            raise ConfigError(
                "an on-policy model must not stand on normalised observations: its policy would "
                "not take raw ones; use features_extractor_class=NormalizedObservations"
            )
        self._rollout_steps = model.n_steps
        self._normalizers = [
            module
            for module in model.policy.modules()
            if isinstance(module, NormalizedObservations)
        ]

    def explore(self, num_steps: int) -> None:
        """Takes uniformly random actions; nothing is learned but the spread of observations."""
        self._check_steps(num_steps)
        model = self.model
        observations: list[Any] = [model._last_obs]
        for step in range(num_steps // self.num_envs):
            if self.explore_episode_steps and step and step % self.explore_episode_steps == 0:
                self._reset_environments()
            actions = np.stack([self.venv.action_space.sample() for _ in range(self.num_envs)])
            last, _, model._last_episode_starts, _ = self.venv.step(actions)
            observations.append(last)
            model._last_obs = last
            model.num_timesteps += self.num_envs
            if self.on_step is not None:
                self.on_step(model.num_timesteps)
        if self._normalizers:
            self._update_normalizers(np.concatenate(observations))

    def train(self, num_steps: int) -> None:
        """Rollouts and updates over exactly `num_steps` steps."""
        self._check_steps(num_steps)
        per_env = num_steps // self.num_envs
        num_rollouts = -(-per_env // self._rollout_steps)
        cuts = np.linspace(0, per_env, num_rollouts + 1).astype(int)
        for size in np.diff(cuts).tolist():
            self._set_rollout_steps(size)
            self._learn(size * self.num_envs)
            if self._normalizers:
                rows = self.model.rollout_buffer.observations
                self._update_normalizers(rows.reshape(size * self.num_envs, -1))
        self._set_rollout_steps(self._rollout_steps)

    def _update_normalizers(self, rows: NDArray[Any]) -> None:
        for normalizer in self._normalizers:
            normalizer.update(torch.from_numpy(rows))

    def _set_rollout_steps(self, size: int) -> None:
        model, buffer = self.model, self.model.rollout_buffer
        model.n_steps = size
        if buffer.buffer_size != size:
            model.rollout_buffer = type(buffer)(
                size,
                model.observation_space,
                model.action_space,
                device=model.device,
                gae_lambda=model.gae_lambda,
                gamma=model.gamma,
                n_envs=self.num_envs,
            )

    def relabel(self, reward_function: RewardFunction) -> None:
        """Nothing is stored between rollouts."""

    def state(self) -> State:
        """Weights, optimiser, step counts, and the running spread of returns."""
        state = super().state()
        scaling = self.model.get_vec_normalize_env()
        if scaling is not None:
            rms = scaling.ret_rms
            state["return_scaling"] = {
                "mean": float(rms.mean),
                "var": float(rms.var),
                "count": float(rms.count),
            }
        return state

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        super().restore(state)
        scaling = self.model.get_vec_normalize_env()
        if scaling is not None:
            for name, value in state["return_scaling"].items():
                setattr(scaling.ret_rms, name, np.float64(value))
