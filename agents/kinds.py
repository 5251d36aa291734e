"""The kind of an agent, as the table of agents holds it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from prefrl.agents.presets import Preset


@dataclass(frozen=True)
class AgentKind:
    """An algorithm of Stable-Baselines3, or of its form, with settings that work.

    Args:
        algorithm: its class.
        preset_for_task: task ("HalfCheetah") -> what a run leaves to the preset.
        takes_discrete_actions: whether it can act in spaces other than boxes.
        normalizes_observations: whether `normalize_observations` may put running statistics into
            its policy.
        title: how the literature writes it; "" where its class is called so.
    """

    algorithm: type[BaseAlgorithm]
    preset_for_task: Callable[[str], Preset]
    takes_discrete_actions: bool = False
    normalizes_observations: bool = False
    title: str = ""

    def make(self, env: Any, **settings: Any) -> BaseAlgorithm:
        """Makes the model; settings are SB3's."""
        # Of the base class more is asked than of any algorithm.
        make: Any = self.algorithm
        model: BaseAlgorithm = make("MlpPolicy", env, **settings)
        return model
