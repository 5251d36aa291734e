"""`RewardVecEnv`: a learned reward in place of an SB3 vector environment's own.

Axes: N environments.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from prefrl.envs.encoding import action_encoder, check_observation_space, flat_observations
from prefrl.envs.reward_wrapper import (
    EnsembleReward,
    HasRewardFunction,
    as_reward_function,
    check_fits,
)
from prefrl.types import EpisodeReturns, RewardFunction


class RewardVecEnv(VecEnvWrapper):
    """Replaces the reward of all environments in one batch a step.

    SB3's vector environments reset within the step that ends an episode; the reward of that last
    step is computed from `info["terminal_observation"]`, not from the next episode's first one.
    `info["true_reward"]` and, for an ensemble, `info["reward_uncertainty"]` stand beside the reward;
    the last step of an episode adds `true_return` and `learned_return`.

    Args:
        venv: an SB3 vector environment; a Monitor belongs inside it, where it sees the true reward.
        reward: a reward function or a reward model; None passes the true reward through.
        env_id: the environments' Gymnasium id; read from the first one by default.
        check_env_id: see `prefrl.envs.reward_wrapper.check_fits`.

    Raises:
        SpaceError: the spaces do not flatten, or are not those the reward model was trained on.
    """

    def __init__(
        self,
        venv: VecEnv,
        reward: RewardFunction | HasRewardFunction | None,
        *,
        env_id: str | None = None,
        check_env_id: bool = True,
    ) -> None:
        super().__init__(venv)
        if env_id is None:
            spec = venv.get_attr("spec", [0])[0]
            env_id = spec.id if spec else None
        self.env_id = env_id
        check_observation_space(venv.observation_space, env_id or "this environment")
        self._check_env_id = check_env_id
        self._encode_action = action_encoder(venv.action_space, env_id or "this environment")
        self._is_plain = (
            isinstance(venv.observation_space, spaces.Box)
            and len(venv.observation_space.shape) == 1
        )
        self.set_reward(reward)
        self._true_return = np.zeros(venv.num_envs)
        self._learned_return = np.zeros(venv.num_envs)
        self._length = np.zeros(venv.num_envs, dtype=np.int64)
        self.finished: list[EpisodeReturns] = []

    def set_reward(self, reward: RewardFunction | HasRewardFunction | None) -> None:
        """Uses another reward from the next step on."""
        self.reward_function = None if reward is None else as_reward_function(reward)
        self._is_ensemble = isinstance(self.reward_function, EnsembleReward)
        check_fits(
            self.reward_function,
            self.venv.observation_space,
            self.venv.action_space,
            self.env_id,
            check_env_id=self._check_env_id,
        )

    def flat(self, observations: VecEnvObs) -> Any:
        """(N, O) float32 rows of a batch of observations."""
        if self._is_plain:
            return np.asarray(observations, dtype=np.float32)
        return flat_observations(self.venv.observation_space, observations)

    def encode_actions(self, actions: Any) -> Any:
        """(N, A) float32 rows of a batch of actions."""
        return self._encode_action(actions)

    def reset(self) -> VecEnvObs:
        """Resets all environments; unfinished episodes count nowhere."""
        observations = self.venv.reset()
        self._obs = self.flat(observations)
        for total in (self._true_return, self._learned_return, self._length):
            total[:] = 0
        return observations

    def step_async(self, actions: Any) -> None:
        """Starts a step."""
        self._actions = actions
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Ends a step, rewarded by the reward function."""
        observations, true_rewards, dones, infos = self.venv.step_wait()
        flat = self.flat(observations)
        rewards = true_rewards
        if self._is_ensemble:
            rewards, uncertainty = self.reward_function.with_uncertainty(  # type: ignore[union-attr]
                self._obs, self._encode_action(self._actions)
            )
            for info, value in zip(infos, uncertainty.tolist()):
                info["reward_uncertainty"] = value
        elif self.reward_function is not None:
            next_obs = flat
            if dones.any():
                next_obs = flat.copy()
                for i in np.flatnonzero(dones):
                    last = infos[i]["terminal_observation"]
                    if isinstance(last, dict):
                        last = {key: np.asarray(value)[None] for key, value in last.items()}
                    else:
                        last = np.asarray(last)[None]
                    next_obs[i] = self.flat(last)[0]
            rewards = self.reward_function(
                self._obs, self._encode_action(self._actions), next_obs, dones
            )
        for info, value in zip(infos, true_rewards.tolist()):
            info["true_reward"] = value
        self._true_return += true_rewards
        self._learned_return += rewards
        self._length += 1
        if dones.any():
            self._finish(np.flatnonzero(dones), infos)
        self._obs = flat
        return observations, rewards, dones, infos

    def _finish(self, ended: Any, infos: list[dict[str, Any]]) -> None:
        for i in ended.tolist():
            episode = EpisodeReturns(
                true_return=float(self._true_return[i]),
                learned_return=float(self._learned_return[i]),
                length=int(self._length[i]),
                is_terminated=not infos[i].get("TimeLimit.truncated", False),
            )
            infos[i]["true_return"] = episode.true_return
            infos[i]["learned_return"] = episode.learned_return
            self.finished.append(episode)
        self._true_return[ended] = self._learned_return[ended] = self._length[ended] = 0

    def pop_finished(self) -> list[EpisodeReturns]:
        """The episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished
