"""`RewardVecEnv`: a learned reward in place of an SB3 vector environment's own.

Axes: N environments.
"""

import inspect
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_normalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from prefrl.envs.encoding import action_encoder, observation_encoder
from prefrl.envs.ends import is_terminated, last_observation
from prefrl.envs.reward_wrapper import (
    EnsembleReward,
    HasRewardFunction,
    as_reward_function,
    check_fits,
)
from prefrl.envs.success import ANY_STEP, SuccessTally
from prefrl.errors import DataError, SpaceError
from prefrl.segments import FloatArray
from prefrl.types import EpisodeReturns, RewardFunction


class RewardVecEnv(VecEnvWrapper):
    """Replaces the reward of all environments in one batch a step.

    SB3's vector environments reset within the step that ends an episode; the reward of that last
    step is computed from `info["terminal_observation"]`, not from the next episode's first one.
    `info["true_reward"]` and, for an ensemble, `info["reward_uncertainty"]` stand beside the
    reward; the last step of an episode adds `true_return` and, with a reward, `learned_return`.

    Args:
        venv: an SB3 vector environment; a Monitor belongs inside it, where it sees the true reward,
            and VecNormalize outside of this, as reward functions are made for raw observations.
        reward: a reward function or a reward model; None passes the true reward through.
        env_id: the environments' Gymnasium id; read from the first one by default.
        check_env_id: see `prefrl.envs.reward_wrapper.check_fits`.

    Raises:
        SpaceError: the spaces do not flatten, or are not those the reward model was trained on.

    Example:
        >>> import numpy as np
        >>> from stable_baselines3.common.env_util import make_vec_env
        >>> from prefrl import RewardVecEnv
        >>> def stays_calm(obs, action, next_obs, done):
        ...     return -np.abs(action).sum(axis=1, dtype=np.float32)
        >>> venv = RewardVecEnv(make_vec_env("Pendulum-v1", n_envs=2), stays_calm)
        >>> _ = venv.reset()
        >>> _, rewards, _, _ = venv.step(np.array([[0.5], [1.0]], dtype=np.float32))
        >>> rewards.tolist()
        [-0.5, -1.0]
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
        self._check_env_id = check_env_id
        name = env_id or "this environment"
        self._encode = observation_encoder(venv.observation_space, name)
        self._encode_action = action_encoder(venv.action_space, name)
        scaled = unwrap_vec_normalize(venv)
        if scaled is not None and scaled.norm_obs:
            raise SpaceError(
                f"{name}: VecNormalize inside RewardVecEnv would show normalised observations to "
                "the reward function; put it outside: VecNormalize(RewardVecEnv(venv, reward))"
            )
        self.set_reward(reward)
        self._true_return = np.zeros(venv.num_envs)
        self._learned_return = np.zeros(venv.num_envs)
        self._length = np.zeros(venv.num_envs, dtype=np.int64)
        self._successes = SuccessTally(venv.num_envs)
        self.finished: list[EpisodeReturns] = []

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out what SB3 looks up of the class itself, which cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "class_attributes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, class_attributes=dict(inspect.getmembers(type(self))))

    def set_reward(self, reward: RewardFunction | HasRewardFunction | None) -> None:
        """Uses another reward from the next step on; None passes the true one through.

        Raises:
            SpaceError: the reward model was trained on other spaces; the reward stays as it was.
        """
        reward_function = None if reward is None else as_reward_function(reward)
        check_fits(
            reward_function,
            self.venv.observation_space,
            self.venv.action_space,
            self.env_id,
            check_env_id=self._check_env_id,
        )
        self.reward_function = reward_function
        self._is_ensemble = isinstance(reward_function, EnsembleReward)

    def flat(self, observations: Any) -> FloatArray:
        """Returns (N, O) float32 rows of a batch of observations."""
        return self._encode(observations)

    def encode_actions(self, actions: Any) -> FloatArray:
        """Returns (N, A) float32 rows of a batch of actions, in the environment's own units."""
        return self._encode_action(actions)

    def reset(self) -> VecEnvObs:
        """Resets all environments; unfinished episodes count nowhere."""
        observations = self.venv.reset()
        self._obs = self.flat(observations)
        for total in (self._true_return, self._learned_return, self._length):
            total[:] = 0
        self._successes.reset()
        return observations

    def step_async(self, actions: Any) -> None:
        """Starts a step."""
        if self.reward_function is not None:
            # A copy, before the environments can change it in place.
            self._action_rows = self._encode_action(actions).copy()
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Ends a step, rewarded by the reward function.

        Raises:
            DataError: the reward function returned anything but one reward an environment.
        """
        observations, true_rewards, dones, infos = self.venv.step_wait()
        flat = self.flat(observations)
        rewards = true_rewards
        if self._is_ensemble:
            rewards, uncertainty = self.reward_function.with_uncertainty(  # type: ignore[union-attr]
                self._obs, self._action_rows
            )
            for info, value in zip(infos, uncertainty.tolist(), strict=True):
                info["reward_uncertainty"] = value
        elif self.reward_function is not None:
            next_obs, terminated = self._reached(flat, dones, infos)
            rewards = self.reward_function(self._obs, self._action_rows, next_obs, terminated)
        if np.shape(rewards) != dones.shape:
            raise DataError(
                f"the reward function returned rewards of shape {np.shape(rewards)}; "
                f"expected {dones.shape}"
            )
        reports_success = False
        for info, value in zip(infos, true_rewards.tolist(), strict=True):
            info["true_reward"] = value
            reports_success |= ANY_STEP in info
        if reports_success:
            self._successes.note(infos)
        self._true_return += true_rewards
        self._learned_return += rewards
        self._length += 1
        if np.count_nonzero(dones):  # a quarter of the time of any(), in every step
            self._finish(np.flatnonzero(dones), infos)
        self._obs = flat
        return observations, rewards, dones, infos

    def _reached(
        self, flat: FloatArray, dones: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns what each step led to, (N, O), and whether nothing can come after it, (N,).

        `flat` has the first observation of the next episode where one ended; an episode that was
        cut ended, but was not terminated.
        """
        if not np.count_nonzero(dones):
            return flat, dones
        reached, terminated = flat.copy(), dones.copy()
        for i in np.flatnonzero(dones).tolist():
            reached[i] = last_observation(infos[i], self.venv.observation_space, self._encode)
            terminated[i] = is_terminated(infos[i])
        return reached, terminated

    def _finish(self, ended: Any, infos: list[dict[str, Any]]) -> None:
        is_replaced = self.reward_function is not None
        for i in ended.tolist():
            episode = EpisodeReturns(
                true_return=float(self._true_return[i]),
                learned_return=float(self._learned_return[i]) if is_replaced else math.nan,
                length=int(self._length[i]),
                is_terminated=is_terminated(infos[i]),
                has_succeeded=self._successes.pop(i, infos[i]),
            )
            infos[i]["true_return"] = episode.true_return
            if is_replaced:
                infos[i]["learned_return"] = episode.learned_return
            self.finished.append(episode)
        self._true_return[ended] = self._learned_return[ended] = self._length[ended] = 0

    def pop_finished(self) -> list[EpisodeReturns]:
        """Returns the episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished
