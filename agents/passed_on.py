"""Steps between a model and its environments: wrappers of one's own must pass them on unchanged.

A policy that was trained through a wrapper that changes actions or observations is another one
where it is evaluated and used without that wrapper; stored rewards are relabelled without it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from prefrl.agents.supported import between, changed_observations, wrappers_between
from prefrl.errors import ConfigError

# Known to pass on everything but on-policy rewards, which nobody stores.
_KNOWN = {VecCheckNan, VecMonitor, VecNormalize, VecTransposeImage}


class PassedOn(BaseCallback):
    """Compares what a model does and sees with what its environments take and show, at every step.

    Args:
        model: built on a stack that contains `stage`.
        stage: the stack's `RewardVecEnv`.
    """

    def __init__(self, model: BaseAlgorithm, stage: Any) -> None:
        super().__init__()
        self._of, self._stage = model, stage
        self._taken: tuple[Any, ...] = ()
        stage.on_step = self._note

    def _note(self, *taken: Any) -> None:
        self._taken = tuple(np.array(part) for part in taken)

    def _on_step(self) -> bool:
        self.check(self.locals)
        return True

    def check(self, seen: Mapping[str, Any]) -> None:
        """Compares a step with the one that the environments have just taken.

        Args:
            seen: by SB3's names: `clipped_actions` or `actions`, `new_obs`, `rewards`, `dones`.

        Raises:
            ConfigError: a wrapper between them changed something.
        """
        model, stage = self._of, self._stage
        actions, rewards, dones = self._taken
        if model.observation_space == stage.observation_space and not np.array_equal(
            stage.flat(seen["new_obs"]), stage.observed, equal_nan=True
        ):
            raise changed_observations(model, stage)
        own = np.asarray(seen.get("clipped_actions", seen["actions"]))
        if not np.array_equal(own.reshape(-1), actions.reshape(-1)):
            raise self._changed("actions", "a policy must act as it will without")
        if not np.array_equal(seen["dones"], dones):
            raise self._changed("ends of episodes", "a policy must see them as they are")
        if isinstance(model, OffPolicyAlgorithm) and not np.array_equal(
            np.asarray(seen["rewards"]).reshape(-1), rewards, equal_nan=True
        ):
            raise self._changed("rewards", "those that are stored are relabelled without")

    def _changed(self, what: str, why: str) -> ConfigError:
        name, wrappers = type(self._of).__name__, between(self._of, self._stage)
        return ConfigError(
            f"the {name}'s {what} are not those of its environments{wrappers}; {why}: wrap each "
            "environment instead, in make_env"
        )


def watched(model: BaseAlgorithm, stage: Any) -> PassedOn | None:
    """Returns a check of what wrappers of one's own pass on; None where there are none."""
    own = [venv for venv in wrappers_between(model, stage) if type(venv) not in _KNOWN]
    return PassedOn(model, stage) if own else None
