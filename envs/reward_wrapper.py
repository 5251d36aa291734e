"""`RewardWrapper`: a learned reward in place of a Gymnasium environment's own."""

import os
from collections.abc import Sequence
from typing import Any, NoReturn, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from prefrl.arguments import path
from prefrl.envs.compatibility import check_faultless, check_fits
from prefrl.envs.copies import copied, copied_info
from prefrl.envs.description import describe, wrapper_in
from prefrl.envs.encoding import action_encoder, batch_of_one, observation_encoder
from prefrl.envs.ends import kept_observation
from prefrl.envs.env_checker import check_env, env_name
from prefrl.envs.outcomes import observation_check, reset_outcome, step_outcome
from prefrl.envs.reward_source import (
    EnsembleReward,
    NoveltyAware,
    RewardSource,
    as_reward_function,
    own_rewards,
)
from prefrl.errors import ArgumentError, ConfigError, name_of, not_a
from prefrl.segments import FloatArray

HINDSIGHT = (
    "hindsight replay (HerReplayBuffer) asks for compute_reward, the environment's own reward, and "
    "would mix it with the learned one; leave replay_buffer_class out"
)
"""Refuses a goal environment's own reward where it is asked for beside a learned one."""


class SpecOfReward(EnvSpec):
    """An environment's spec with a reward function in it, which is no JSON."""

    def to_json(self) -> str:
        """Refuses, as only the path of a reward model is text.

        Raises:
            ArgumentError: always.
        """
        given = [
            wrapper.kwargs["reward"]
            for wrapper in self.additional_wrappers
            if wrapper.name == RewardWrapper.__name__ and wrapper.kwargs
        ]
        reward = next(reward for reward in given if not isinstance(reward, str))
        what = f"the reward function {name_of(reward)}, which is"
        if hasattr(reward, "config"):
            what = "a reward model, which is"
        raise ArgumentError(
            f"the spec of {self.id} holds {what} no JSON; save a reward model, and give "
            "RewardWrapper the path of its folder"
        )


class RewardWrapper(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Replaces an environment's reward; everything else reaches the agent untouched.

    `info["true_reward"]` keeps the environment's own reward; for an ensemble,
    `info["reward_uncertainty"]` is the heads' standard deviation, and for a reward model with a
    feature bank `info["reward_novelty"]` says how unlike all segments in it the step is (0 to 2).
    The reward function sees observations and actions flattened (discrete ones one-hot), before any
    normalisation you wrap around this.

    Args:
        env: any Gymnasium environment whose spaces flatten to numbers. What normalises, rescales or
            stacks observations or actions belongs around this wrapper, unless the reward model was
            trained with it inside.
        reward: a reward function, a reward model (a frozen copy of its present reward is used), or
            the path of a reward model's folder or of the run's that learned it. `env.spec` keeps a
            path as it is given, and can be written as JSON with one; a relative path is looked up
            where the environment is made again.
        check: False checks no more than that the model takes rows of this size: neither names nor
            bounds nor wrappers.
        check_env_id: False accepts another environment whose rows mean the same.
        objective_weights: how much each objective of a reward model counts; None takes equal
            shares.

    Raises:
        ArgumentError: `env` is no environment, or `reward` no reward.
        SpaceError: the spaces do not flatten, or the environment is not the one that the reward
            model was trained on; `prefrl.envs.compatibility.check_fits` says what is compared.
        StorageError: the path is of no reward model.

    Example:
        >>> import gymnasium as gym
        >>> import numpy as np
        >>> from prefrl import RewardWrapper
        >>> def stays_calm(obs, action, next_obs, done):
        ...     return -np.abs(action).sum(axis=1, dtype=np.float32)
        >>> env = RewardWrapper(gym.make("Pendulum-v1"), stays_calm)
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, info = env.step(np.array([0.5], dtype=np.float32))
        >>> reward
        -0.5
        >>> sorted(info)
        ['true_reward']
    """

    replaces_reward = True

    def __init__(
        self,
        env: gym.Env[Any, Any],
        reward: RewardSource,
        *,
        check: bool = True,
        check_env_id: bool = True,
        objective_weights: Sequence[float] | None = None,
    ) -> None:
        _check_is_one_environment(env)
        self.reward_function = as_reward_function(reward, objective_weights)
        settings: dict[str, Any] = {"check": check, "check_env_id": check_env_id}
        if isinstance(reward, (str, os.PathLike)):
            path("reward", reward)
            reward = os.fspath(reward)
            if objective_weights is not None:
                settings["objective_weights"] = [float(weight) for weight in objective_weights]
        else:
            reward = self.reward_function  # with its weights
        # Lets Gymnasium make the same stack again from `env.spec`.
        gym.utils.RecordConstructorArgs.__init__(
            self, _disable_deepcopy=True, reward=reward, **settings
        )
        gym.Wrapper.__init__(self, env)
        check_env(env)
        self._name = name = env_name(env)
        self._check = observation_check(env.observation_space, name)
        self._encode = observation_encoder(env.observation_space, name)
        self._encode_action = action_encoder(env.action_space, name)
        found = describe(env)
        if check:
            check_faultless(found, "RewardWrapper")
        check_fits(
            self.reward_function, found, "RewardWrapper", check=check, check_env_id=check_env_id
        )
        self._obs: FloatArray | None = None
        self._autoreset = wrapper_in(env, "Autoreset")

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # as in `gymnasium.Wrapper`
        """Returns what Gymnasium makes the same stack from again."""
        spec = super().spec
        if spec is not None and not isinstance(self._saved_kwargs["reward"], str):
            spec.__class__ = SpecOfReward
        return spec

    def compute_reward(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to give the environment's own reward of a goal in the learned one's place.

        Raises:
            ConfigError: always; hindsight replay asks for it.
        """
        raise ConfigError(HINDSIGHT)

    def _flat(self, observation: Any) -> FloatArray:
        self._check(observation)
        return self._encode(batch_of_one(self.env.observation_space, observation))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the environment."""
        outcome = self.env.reset(seed=seed, options=options)
        observation, info = reset_outcome(outcome, self._name)
        self._obs = self._flat(observation)
        return copied(observation), copied_info(info)

    def _step_that_resets(
        self, action: Any
    ) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Begins the next episode, which Gymnasium's Autoreset does in place of a step."""
        outcome = step_outcome(self.env.step(copied(action)), self._name)
        observation, true_reward, terminated, truncated, info = outcome
        self._obs, info = self._flat(observation), copied_info(info)
        info["true_reward"] = float(true_reward)
        return copied(observation), 0.0, terminated, truncated, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Takes one step, rewarded by the reward function; 0 for one that resets by itself."""
        if getattr(self._autoreset, "autoreset", False):
            return self._step_that_resets(action)
        if self._obs is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        row = self._encode_action(np.asarray(action)[None])
        # A copy, as the environment may change it in place.
        outcome = step_outcome(self.env.step(copied(action)), self._name)
        observation, true_reward, terminated, truncated, info = outcome
        obs, next_obs, info = self._obs, self._flat(observation), copied_info(info)
        if isinstance(self.reward_function, EnsembleReward):
            rewards, uncertainty = self.reward_function.with_uncertainty(obs, row)
            info["reward_uncertainty"] = float(uncertainty[0])
        else:
            reached = next_obs.copy()  # as the function may write to it
            if terminated or truncated:
                # The next episode's first observation is returned where it reset by itself.
                kept = kept_observation(info, self.env.observation_space, self._encode, self._name)
                reached = reached if kept is None else kept[None]
            done = np.array([bool(terminated)])
            rewards = self.reward_function(obs, row, reached, done)
        if isinstance(self.reward_function, NoveltyAware) and self.reward_function.knows_novelty:
            info["reward_novelty"] = float(self.reward_function.novelty(obs, row)[0])
        info["true_reward"] = float(true_reward)
        self._obs = next_obs
        reward = float(own_rewards(rewards, 1)[0])
        return copied(observation), reward, terminated, truncated, info


def _check_is_one_environment(env: object) -> None:
    # Gymnasium's vector environments once were environments.
    if isinstance(env, gym.Env) and not isinstance(env, gym.vector.VectorEnv):
        return
    expected = "a gymnasium.Env"
    if isinstance(env, gym.vector.VectorEnv):
        expected += "; wrap each of the environments that it is made of"
    elif hasattr(env, "num_envs"):
        expected += "; RewardVecEnv is for Stable-Baselines3's vector environments"
    elif isinstance(env, type) or callable(env):
        expected += ", made already"
    elif isinstance(env, str):
        expected += ", as gymnasium.make returns it"
    raise ArgumentError(not_a("env", env, expected))
