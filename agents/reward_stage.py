"""`RewardStage`: the place in a stack of vector environments where rewards are replaced."""

from typing import Any, Protocol

from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from prefrl.errors import ConfigError
from prefrl.types import EpisodeReturns, RewardFunction


class RewardStage(Protocol):
    """The vector environment of a stack that replaces rewards: `prefrl.envs.RewardVecEnv`."""

    num_envs: int
    observation_space: Any
    action_space: Any
    env_id: str | None

    def set_reward(self, reward: RewardFunction | None) -> None:
        """Uses another reward from the next step on."""
        ...

    def flat(self, observations: Any) -> Any:
        """Returns (N, O) float32 rows of a batch of observations."""
        ...

    def encode_actions(self, actions: Any) -> Any:
        """Returns (N, A) float32 rows of a batch of actions."""
        ...

    @property
    def observed(self) -> Any:
        """(N, O) rows of what the environments showed last."""
        ...

    def pop_finished(self) -> list[EpisodeReturns]:
        """Returns the episodes that ended since the last call."""
        ...

    def step(self, actions: Any) -> Any:
        """Steps all environments, as SB3's."""
        ...


def find_reward_stage(venv: VecEnv | None) -> RewardStage:
    """Finds the part of a stack of vector environments in which the reward can be replaced.

    Raises:
        ConfigError: there is none, so no reward could be replaced.
    """
    while isinstance(venv, VecEnvWrapper):
        # Asked of the class: an instance passes on what it lacks to the environment within it.
        if hasattr(type(venv), "set_reward"):
            stage: RewardStage = venv
            return stage
        venv = venv.venv
    raise ConfigError(
        "the model's environment has no RewardVecEnv in it; build it with prefrl.envs.make_vec_env"
    )
