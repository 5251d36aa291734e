"""`RewardVecEnv`: a learned reward in place of an SB3 vector environment's own.

Axes: N environments.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from prefrl.arguments import optional
from prefrl.envs.careful import made_careful
from prefrl.envs.compatibility import check_alike, check_faultless, check_fits
from prefrl.envs.description import describe_all
from prefrl.envs.encoding import action_encoder, observation_encoder
from prefrl.envs.ends import is_terminated, last_observation
from prefrl.envs.reward_source import (
    EnsembleReward,
    RewardSource,
    as_reward_function,
    own_rewards,
)
from prefrl.envs.reward_wrapper import HINDSIGHT
from prefrl.envs.success import ANY_STEP, SuccessTally
from prefrl.envs.vec_outcomes import outcomes_of
from prefrl.errors import ArgumentError, ConfigError, not_a
from prefrl.segments import FloatArray
from prefrl.types import EpisodeReturns


class RewardVecEnv(VecEnvWrapper):
    """Replaces the reward of all environments in one batch a step.

    SB3's vector environments reset within the step that ends an episode; the reward of that last
    step is computed from `info["terminal_observation"]`, not from the next episode's first one.
    `info["true_reward"]` and, for an ensemble, `info["reward_uncertainty"]` stand beside the
    reward; the last step of an episode adds `true_return` and, with a reward, `learned_return`.

    Args:
        venv: an SB3 vector environment; a Monitor belongs inside it, where it sees the true reward,
            and VecNormalize outside of this, as reward functions are made for raw observations.
        reward: a reward function, a reward model, or the path of its folder or of the run's that
            learned it; None passes the true reward through.
        env_id: the environments' Gymnasium id; read from the first one by default.
        check: as `RewardWrapper`'s.
        check_env_id: as `RewardWrapper`'s.

    Raises:
        ArgumentError: `venv` is no vector environment of SB3's, or `reward` no reward.
        SpaceError: the spaces do not flatten, the environments are of several kinds, or not those
            that the reward model was trained on (`prefrl.envs.compatibility.check_fits`).
        StorageError: the path is of no reward model.

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

    replaces_reward = True
    hands_out_its_own = True

    def __init__(
        self,
        venv: VecEnv,
        reward: RewardSource | None,
        *,
        env_id: str | None = None,
        check: bool = True,
        check_env_id: bool = True,
    ) -> None:
        _check_is_vector_environment(venv)
        optional("env_id", env_id, str, "the environments' Gymnasium id")
        super().__init__(venv)
        described = describe_all(venv)
        self._checks = {"check": check, "check_env_id": check_env_id}
        self.env_id = env_id = env_id or described[0].env_id
        self.described = replace(described[0], env_id=env_id)
        name = env_id or "this environment"
        self._encode = observation_encoder(venv.observation_space, name)
        self._encode_action = action_encoder(venv.action_space, name)
        if check:
            check_faultless(self.described, "RewardVecEnv")
            check_alike(described, "RewardVecEnv")
        self._outcomes = outcomes_of(venv, name)
        # Told the actions, rewards and ends of every step.
        self.on_step: Callable[[Any, Any, Any], None] | None = None
        self._actions: Any = None
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
        made_careful(self.venv)  # Some environments make themselves anew when they are copied.

    def set_reward(self, reward: RewardSource | None) -> None:
        """Uses another reward from the next step on; None passes the true one through.

        Raises:
            SpaceError: the reward model was trained on other spaces; the reward stays as it was.
        """
        reward_function = None if reward is None else as_reward_function(reward)
        check_fits(reward_function, self.described, "RewardVecEnv", **self._checks)
        self.reward_function = reward_function
        self._is_ensemble = isinstance(reward_function, EnsembleReward)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of environments.

        Raises:
            ConfigError: hindsight replay asks for the environments' own reward beside the learned.
        """
        if method_name == "compute_reward" and self.reward_function is not None:
            raise ConfigError(HINDSIGHT)
        return self.venv.env_method(method_name, *method_args, indices=indices, **method_kwargs)

    def flat(self, observations: Any) -> FloatArray:
        """Returns (N, O) float32 rows of a batch of observations."""
        return self._encode(observations)

    def encode_actions(self, actions: Any) -> FloatArray:
        """Returns (N, A) float32 rows of a batch of actions, in the environment's own units."""
        return self._encode_action(actions)

    def reset(self) -> VecEnvObs:
        """Resets all environments; unfinished episodes count nowhere."""
        observations = self.venv.reset()
        if self._outcomes is not None:
            observations = self._outcomes.observations(observations)
        self._obs = self.flat(observations)
        for total in (self._true_return, self._learned_return, self._length):
            total[:] = 0
        self._successes.reset()
        return observations

    def step_async(self, actions: Any) -> None:
        """Starts a step."""
        if self.reward_function is not None:
            # Before the environments can change them in place.
            self._action_rows = self._encode_action(actions)
        self._actions = actions
        if self._outcomes is not None:
            actions = self._outcomes.actions(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Ends a step, rewarded by the reward function.

        Raises:
            DataError: the reward function returned anything but one reward an environment.
        """
        outcome = self.venv.step_wait()
        if self._outcomes is not None:
            outcome = self._outcomes.step(outcome)
        observations, true_rewards, dones, infos = outcome
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
        if self.reward_function is not None:
            rewards = own_rewards(rewards, len(dones))
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
        if self.on_step is not None:
            self.on_step(self._actions, rewards, dones)
        return observations, rewards, dones, infos

    def _reached(
        self, flat: FloatArray, dones: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns what each step led to, (N, O), and whether nothing can come after it, (N,).

        `flat` has the first observation of the next episode where one ended; an episode that was
        cut ended, but was not terminated. Copies, as somebody's function may write to them.
        """
        reached, terminated = flat.copy(), dones.copy()
        if not np.count_nonzero(dones):
            return reached, terminated
        for i in np.flatnonzero(dones).tolist():
            space, name = self.venv.observation_space, self.env_id or "this environment"
            reached[i] = last_observation(infos[i], space, self._encode, name)
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

    @property
    def observed(self) -> FloatArray:
        """(N, O) rows of what the environments showed last, as they showed it."""
        return self._obs

    def pop_finished(self) -> list[EpisodeReturns]:
        """Returns the episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished


def _check_is_vector_environment(venv: object) -> None:
    if isinstance(venv, VecEnv):
        return
    expected = "one of Stable-Baselines3's vector environments"
    if isinstance(venv, gym.vector.VectorEnv):
        expected += "; of Gymnasium's, wrap each of the environments it is made of in RewardWrapper"
    elif isinstance(venv, gym.Env):
        expected += "; RewardWrapper is for a single one"
    raise ArgumentError(not_a("venv", venv, expected))
