"""On-policy algorithms of SB3 behind the `Agent` protocol."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.agents.base import SB3Agent
from prefrl.agents.normalization import NormalizedObservations
from prefrl.errors import ConfigError, with_type
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
        try:
            self._made_buffer(1)
        except Exception as error:  # a class of the user's own may ask for anything
            raise ConfigError(
                f"the rollout buffer {type(model.rollout_buffer).__name__} cannot be made for "
                f"shorter rollouts ({with_type(error)}); leave rollout_buffer_class out"
            ) from error
        self._normalizers = [
            module
            for module in model.policy.modules()
            if isinstance(module, NormalizedObservations)
        ]

    @property
    def rollout_steps(self) -> int:
        """Returns the steps of a whole rollout, over all environments."""
        return self._rollout_steps * self.num_envs

    def explore(self, num_steps: int) -> None:
        """Takes uniformly random actions; nothing is learned but statistics of observations."""
        self._check_steps(num_steps)
        model = self.model
        observations: list[Any] = [model._last_obs]
        # Through wrappers of one's own, so that they are known for what they are before a teacher
        # is asked; others need not see this.
        env: Any = self.venv if self._passed_on is None else model.get_env()
        for step in range(num_steps // self.num_envs):
            if self.explore_episode_steps and step and step % self.explore_episode_steps == 0:
                self._reset_environments()
            actions = np.stack([self.venv.action_space.sample() for _ in range(self.num_envs)])
            last, rewards, dones, _ = env.step(actions)
            if self._passed_on is not None:
                self._passed_on.check(
                    {"actions": actions, "new_obs": last, "rewards": rewards, "dones": dones}
                )
            model._last_episode_starts = dones
            observations.append(last)
            model._last_obs = last
            model.num_timesteps += self.num_envs
            if self.on_step is not None:
                self.on_step(model.num_timesteps)
        if self._normalizers:
            self._update_normalizers(np.concatenate(observations))

    def train(self, num_steps: int) -> None:
        """Collects rollouts and updates over exactly `num_steps` steps."""
        self._check_steps(num_steps)
        per_env = num_steps // self.num_envs
        num_rollouts = -(-per_env // self._rollout_steps)
        cuts = np.linspace(0, per_env, num_rollouts + 1).astype(int)
        end = self.num_steps + num_steps
        for size in np.diff(cuts).tolist():
            self._set_rollout_steps(size)
            self._learn(size * self.num_envs)
            if self._normalizers:
                rows = self.model.rollout_buffer.observations
                self._update_normalizers(rows.reshape(size * self.num_envs, -1))
        self._set_rollout_steps(self._rollout_steps)
        self._check_taken(end)

    def _update_normalizers(self, rows: NDArray[Any]) -> None:
        for normalizer in self._normalizers:
            normalizer.update(torch.from_numpy(rows))

    def _set_rollout_steps(self, size: int) -> None:
        self.model.n_steps = size
        if self.model.rollout_buffer.buffer_size != size:
            self.model.rollout_buffer = self._made_buffer(size)

    def _made_buffer(self, size: int) -> RolloutBuffer:
        model = self.model
        return type(model.rollout_buffer)(
            size,
            model.observation_space,
            model.action_space,
            device=model.rollout_buffer.device,
            gae_lambda=model.gae_lambda,
            gamma=model.gamma,
            n_envs=self.num_envs,
            **getattr(model, "rollout_buffer_kwargs", {}),  # since SB3 2.3
        )

    def relabel(self, reward_function: RewardFunction) -> None:
        """Does nothing: no reward is stored between rollouts."""

    def state(self) -> State:
        """Returns weights, optimiser, step counts, and the running variance of returns."""
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
