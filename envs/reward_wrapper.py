"""`RewardWrapper`: a learned reward in place of a Gymnasium environment's own."""

from collections.abc import Sequence
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from prefrl.envs.encoding import (
    action_dim,
    action_encoder,
    batch_of_one,
    observation_dim,
    observation_encoder,
)
from prefrl.errors import SpaceError
from prefrl.segments import FloatArray
from prefrl.types import RewardFunction


@runtime_checkable
class HasRewardFunction(Protocol):
    """A reward model that gives a frozen reward function of itself.

    One of several objectives takes their weights there, too.
    """

    def reward_function(self) -> RewardFunction:
        """Returns the present reward."""
        ...


@runtime_checkable
class EnsembleReward(Protocol):
    """A reward function that also knows how unsure it is."""

    def with_uncertainty(
        self, obs: FloatArray, action: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Returns (N,) rewards and (N,) uncertainties."""
        ...


@runtime_checkable
class NoveltyAware(Protocol):
    """A reward function that also knows how new to it an input is."""

    @property
    def knows_novelty(self) -> bool:
        """True where there is anything to compare with."""
        ...

    def novelty(self, obs: FloatArray, action: FloatArray) -> FloatArray:
        """Returns (N,) 0 for what was seen in training, larger for what is unlike it."""
        ...


def as_reward_function(
    reward: RewardFunction | HasRewardFunction, objective_weights: Sequence[float] | None = None
) -> RewardFunction:
    """Returns the reward function itself, or the frozen present one of a reward model.

    Args:
        reward: either of them.
        objective_weights: how much each of the model's objectives counts; None takes equal shares.

    Raises:
        TypeError: it is neither, or a function is given weights.
    """
    if isinstance(reward, HasRewardFunction):
        if objective_weights is None:
            return reward.reward_function()
        model: Any = reward  # the protocol asks for no weights, as few models have objectives
        return model.reward_function(objective_weights)  # type: ignore[no-any-return]
    if objective_weights is not None:
        raise TypeError("objective_weights are for a reward model; a function has its own")
    if not callable(reward):
        raise TypeError(
            f"expected a reward function or a reward model, got {type(reward).__name__}"
        )
    return reward


def check_fits(
    reward: object,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    env_id: str | None,
    *,
    check_env_id: bool = True,
) -> None:
    """Refuses an environment that is not the one a reward model was trained on.

    Args:
        reward: what carries a reward model's `config` is checked; a plain function knows no spaces.
        observation_space: the environment's.
        action_space: the environment's.
        env_id: the environment's Gymnasium id, where it has one.
        check_env_id: False accepts another environment whose spaces have the same sizes.

    Raises:
        SpaceError: sizes or names differ; both are named.
    """
    config: Any = getattr(reward, "config", None)
    if not (hasattr(config, "input_dim") and hasattr(config, "observation_dim")):
        return
    name = env_id or "this environment"
    sizes = observation_dim(observation_space), action_dim(action_space)
    if config.observation_dim is None:
        if sum(sizes) != config.input_dim:
            raise SpaceError(
                f"{name} has {sizes[0]} observation and {sizes[1]} action dims; "
                f"the reward model takes rows of {config.input_dim}"
            )
        return
    known = config.observation_dim, config.input_dim - config.observation_dim
    trained_on = f"the reward model was trained on {config.env_id or 'an environment'}"
    if sizes != known:
        raise SpaceError(
            f"{name} has {sizes[0]} observation and {sizes[1]} action dims; "
            f"{trained_on} with {known[0]} and {known[1]}"
        )
    if check_env_id and config.env_id and env_id and config.env_id != env_id:
        raise SpaceError(
            f"{trained_on}, this is {env_id}; pass check_env_id=False if its rows mean the same"
        )


class RewardWrapper(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Replaces an environment's reward; everything else reaches the agent untouched.

    `info["true_reward"]` keeps the environment's own reward; for an ensemble,
    `info["reward_uncertainty"]` is the heads' standard deviation, and for a reward model with a
    feature bank `info["reward_novelty"]` says how unlike all segments in it the step is (0 to 2).
    The reward function sees observations and actions flattened (discrete ones one-hot), before any
    normalisation you wrap around this.

    Args:
        env: any Gymnasium environment whose spaces flatten to numbers.
        reward: a reward function, or a reward model (a frozen copy of its present reward is used).
        check_env_id: see `check_fits`.
        objective_weights: how much each objective of a reward model counts; None takes equal
            shares.

    Raises:
        SpaceError: the spaces do not flatten, or are not those the reward model was trained on.

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

    def __init__(
        self,
        env: gym.Env[Any, Any],
        reward: RewardFunction | HasRewardFunction,
        *,
        check_env_id: bool = True,
        objective_weights: Sequence[float] | None = None,
    ) -> None:
        self.reward_function = as_reward_function(reward, objective_weights)
        # Lets Gymnasium make the same stack again from `env.spec`.
        gym.utils.RecordConstructorArgs.__init__(
            self, _disable_deepcopy=True, reward=self.reward_function, check_env_id=check_env_id
        )
        gym.Wrapper.__init__(self, env)
        env_id = env.spec.id if env.spec else None
        name = env_id or "this environment"
        self._encode = observation_encoder(env.observation_space, name)
        self._encode_action = action_encoder(env.action_space, name)
        check_fits(
            self.reward_function,
            env.observation_space,
            env.action_space,
            env_id,
            check_env_id=check_env_id,
        )
        self._obs: FloatArray | None = None

    def _flat(self, observation: Any) -> FloatArray:
        # A copy: environments may hand out the very array they overwrite in the next step.
        return self._encode(batch_of_one(self.env.observation_space, observation)).copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._obs = self._flat(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Takes one step, rewarded by the reward function."""
        if self._obs is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        taken = np.array(action)  # Before the environment can change it in place.
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        obs, next_obs = self._obs, self._flat(observation)
        row = self._encode_action(taken[None])
        if isinstance(self.reward_function, EnsembleReward):
            rewards, uncertainty = self.reward_function.with_uncertainty(obs, row)
            info["reward_uncertainty"] = float(uncertainty[0])
        else:
            rewards = self.reward_function(obs, row, next_obs, np.array([bool(terminated)]))
        if isinstance(self.reward_function, NoveltyAware) and self.reward_function.knows_novelty:
            info["reward_novelty"] = float(self.reward_function.novelty(obs, row)[0])
        info["true_reward"] = float(true_reward)
        self._obs = next_obs
        return observation, float(rewards[0]), terminated, truncated, info
