"""What the on-policy and the off-policy agent share: exact steps, fresh legs, swapped rewards."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from prefrl.errors import ConfigError
from prefrl.seeding import seed_global_generators
from prefrl.types import EpisodeReturns, RewardFunction, State


@runtime_checkable
class RewardStage(Protocol):
    """The vector environment of a stack that replaces rewards: `prefrl.envs.RewardVecEnv`."""

    num_envs: int
    action_space: Any
    env_id: str | None

    def set_reward(self, reward: RewardFunction | None) -> None:
        """Uses another reward from the next step on."""
        ...

    def flat(self, observations: Any) -> Any:
        """(N, O) float32 rows of a batch of observations."""
        ...

    def encode_actions(self, actions: Any) -> Any:
        """(N, A) float32 rows of a batch of actions."""
        ...

    def pop_finished(self) -> list[EpisodeReturns]:
        """The episodes that ended since the last call."""
        ...

    def step(self, actions: Any) -> Any:
        """One step of all environments, as SB3's."""
        ...


def find_reward_stage(venv: VecEnv | None) -> RewardStage:
    """The part of a stack of vector environments in which the reward can be replaced.

    Raises:
        ConfigError: there is none, so no reward could be replaced.
    """
    while isinstance(venv, VecEnvWrapper):
        if isinstance(venv, RewardStage):
            return venv
        venv = venv.venv
    raise ConfigError(
        "the model's environment has no RewardVecEnv in it; build it with prefrl.envs.make_vec_env"
    )


class ProgressCallback(BaseCallback):
    """Tells someone how many steps were taken; nothing else happens on SB3's hot path."""

    def __init__(self, on_step: Callable[[int], None] | None) -> None:
        super().__init__()
        self._tell = on_step

    def _on_step(self) -> bool:
        if self._tell is not None:
            self._tell(self.num_timesteps)
        return True


class SB3Agent(ABC):
    """An SB3 model as the loop's `Agent`.

    Args:
        model: built on a stack that contains a `RewardVecEnv`.
        on_step: called with the number of steps taken, every step of all environments.
    """

    def __init__(
        self, model: BaseAlgorithm, *, on_step: Callable[[int], None] | None = None
    ) -> None:
        self.model = model
        self.venv = find_reward_stage(model.get_env())
        self.on_step = on_step

    @property
    def num_steps(self) -> int:
        """Environment steps taken so far, over all environments."""
        return self.model.num_timesteps

    @property
    def num_envs(self) -> int:
        """Environments stepped side by side."""
        return self.venv.num_envs

    def begin_leg(self, seed: int) -> None:
        """Resets environments and every generator SB3 draws from.

        What a leg does then depends on the saved state and the seed alone, which is what makes a
        resumed run end as the uninterrupted one does.
        """
        env = self.model.get_env()
        assert env is not None
        seed_global_generators(seed)
        self.model.action_space.seed(seed)
        self.venv.action_space.seed(seed)
        env.seed(seed)
        # SB3 resets its environments only when it first learns; a leg does so every time.
        self.model._last_obs = env.reset()
        self.model._last_episode_starts = np.ones(self.num_envs, dtype=bool)

    def set_reward(self, reward_function: RewardFunction) -> None:
        """From the next step on this is the reward."""
        self.venv.set_reward(reward_function)

    def pop_finished(self) -> list[EpisodeReturns]:
        """The episodes that ended since the last call."""
        return self.venv.pop_finished()

    def _learn(self, num_steps: int) -> None:
        self.model.learn(
            num_steps,
            callback=ProgressCallback(self.on_step),
            reset_num_timesteps=False,
            tb_log_name="agent",
        )

    @abstractmethod
    def explore(self, num_steps: int) -> None:
        """Gathers exactly `num_steps` steps before any reward is known."""

    @abstractmethod
    def train(self, num_steps: int) -> None:
        """Learns over exactly `num_steps` further steps."""

    @abstractmethod
    def relabel(self, reward_function: RewardFunction) -> None:
        """Computes rewards already stored anew."""

    def predict(self, observations: Any) -> Any:
        """(N, O) raw observations -> the policy's deterministic actions."""
        return self.model.predict(observations, deterministic=True)[0]

    def save_policy(self, path: Path) -> None:
        """Writes SB3's own archive of the model; it takes raw observations when loaded."""
        self.model.save(path)

    def state(self) -> State:
        """Weights, optimisers and step counts."""
        counters = {
            name: getattr(self.model, name)
            for name in ("num_timesteps", "_n_updates", "_episode_num")
        }
        variables = self.model._get_torch_save_params()[1]
        tensors = {name: getattr(self.model, name).detach().clone() for name in variables
                   if getattr(self.model, name, None) is not None}
        return {
            "counters": counters,
            "parameters": self.model.get_parameters(),
            "variables": tensors,
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        for name, value in state["counters"].items():
            setattr(self.model, name, value)
        self.model.set_parameters(state["parameters"], exact_match=True)
        for name, value in state["variables"].items():
            with torch.no_grad():
                getattr(self.model, name).copy_(torch.as_tensor(np.asarray(value)))

