"""PPO, or any on-policy algorithm of SB3, behind the `Agent` protocol."""

from collections.abc import Callable

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.agents.base import SB3Agent
from prefrl.agents.normalization import NormalizedObservations
from prefrl.types import RewardFunction, State


class OnPolicyAgent(SB3Agent):
    """Learns from the newest rollout only, so a new reward leaves nothing stale behind.

    A stretch of training is cut into equal rollouts, none longer than the model's `n_steps`: SB3
    alone would overshoot to the next whole rollout.

    Args:
        model: built on a stack that contains a `RewardVecEnv`.
        on_step: called with the number of steps taken.
    """

    model: OnPolicyAlgorithm

    def __init__(
        self, model: OnPolicyAlgorithm, *, on_step: Callable[[int], None] | None = None
    ) -> None:
        super().__init__(model, on_step=on_step)
        self._rollout_steps = model.n_steps
        extractor = getattr(model.policy, "features_extractor", None)
        self._normalizer = extractor if isinstance(extractor, NormalizedObservations) else None

    def explore(self, num_steps: int) -> None:
        """Takes uniformly random actions; nothing is learned but the spread of observations."""
        observations = [self.model._last_obs]
        for _ in range(num_steps // self.num_envs):
            actions = np.stack([self.venv.action_space.sample() for _ in range(self.num_envs)])
            observations.append(self.venv.step(actions)[0])
            self.model.num_timesteps += self.num_envs
            if self.on_step is not None:
                self.on_step(self.model.num_timesteps)
        if self._normalizer is not None:
            self._normalizer.update(torch.from_numpy(np.concatenate(observations)))

    def train(self, num_steps: int) -> None:
        """Rollouts and updates over exactly `num_steps` steps."""
        per_env = num_steps // self.num_envs
        num_rollouts = -(-per_env // self._rollout_steps)
        cuts = np.linspace(0, per_env, num_rollouts + 1).astype(int)
        for size in np.diff(cuts).tolist():
            self._set_rollout_steps(size)
            self._learn(size * self.num_envs)
            if self._normalizer is not None:
                rows = self.model.rollout_buffer.observations
                rows = rows.reshape(size * self.num_envs, -1)
                self._normalizer.update(torch.from_numpy(rows))
        self._set_rollout_steps(self._rollout_steps)

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
                "mean": float(rms.mean), "var": float(rms.var), "count": float(rms.count)
            }
        return state

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        super().restore(state)
        scaling = self.model.get_vec_normalize_env()
        if scaling is not None:
            for name, value in state["return_scaling"].items():
                setattr(scaling.ret_rms, name, np.float64(value))
