"""Weights of a model, whichever library computes with them: named, saved, put back and judged."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from prefrl.agents.torch_weights import TorchWeights
from prefrl.errors import DataError
from prefrl.types import State

BACKEND = "backend"
"""The entry of an agent's state that names the library; torch's states have none."""

_SBX = ("sbx.common.on_policy_algorithm", "sbx.common.off_policy_algorithm")


class ModelWeights(Protocol):
    """An agent's access to its model's weights, and to what optimisers remember of them."""

    def policy(self) -> dict[str, Tensor]:
        """Returns the policy's own, by name; they may be views."""
        ...

    def load_policy(self, tensors: Mapping[str, Tensor]) -> None:
        """Gives the policy others; any exception says that they do not fit."""
        ...

    def read_archive(self, archive: Path) -> Mapping[str, Tensor]:
        """Reads the policy's from an SB3 archive, running no code that is in it."""
        ...

    def keep_policy(self) -> Callable[[], None]:
        """Returns what gives the policy its present ones back."""
        ...

    def state(self) -> State:
        """Returns all that learning changes, but counters: `parameters`, `variables`."""
        ...

    def restore(self, state: State) -> None:
        """Puts back what `state` returned.

        Raises:
            DataError: it does not fit; what does not is named.
        """
        ...

    def is_finite(self) -> bool:
        """Says whether all weights, and what optimisers remember of them, are finite."""
        ...

    def renew_critics(self) -> None:
        """Makes critics, targets and optimiser moments anew; the actor stays as it is."""
        ...

    def seed(self, seed: int) -> None:
        """Seeds the generators that are the model's own."""
        ...


def is_jax(model: BaseAlgorithm) -> bool:
    """Says whether a model is one of SBX's; jax is not imported to find out."""
    return isinstance(model, jax_bases())


def jax_bases() -> tuple[type[Any], ...]:
    """Returns the base classes of SBX's models, as far as they are imported."""
    modules = [vars(sys.modules[name]) for name in _SBX if name in sys.modules]
    names = ("OnPolicyAlgorithmJax", "OffPolicyAlgorithmJax")
    return tuple(module[name] for module in modules for name in names if name in module)


def model_weights(model: BaseAlgorithm) -> ModelWeights:
    """Returns the weights of a model of Stable-Baselines3, its contrib or SBX."""
    if is_jax(model):
        from prefrl.agents.jax_weights import JaxWeights

        return JaxWeights(model)
    return TorchWeights(model)


def check_backend(found: Any, model_state: State) -> None:
    """Refuses the saved state of an agent whose model computes with another library.

    Args:
        found: the saved state.
        model_state: the agent's own.

    Raises:
        DataError: they differ; both are named.
    """
    if isinstance(found, dict) and found.get(BACKEND) != model_state.get(BACKEND):
        saved, own = (state.get(BACKEND, "torch") for state in (found, model_state))
        raise DataError(
            f"its agent was saved by a model of {saved}, this run's is one of {own}; go on with "
            "the model that it was begun with"
        )
