"""Weights of a model that computes with torch."""

import copy
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from prefrl.agents.optimizers import check_moments, is_finite
from prefrl.records.archive import open_archive
from prefrl.types import State

# What a policy's networks are called; the others are critics, and each may have a slow copy.
_ACTORS = {"actor", "actor_target", "features_extractor"}
_TARGET = "_target"


class TorchWeights:
    """The weights of a model of Stable-Baselines3 or its contrib.

    Args:
        model: whose they are.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model

    def policy(self) -> dict[str, Tensor]:
        """Returns the policy's own, by name; they are no copies."""
        tensors: dict[str, Tensor] = self._model.policy.state_dict()
        return tensors

    def load_policy(self, tensors: Mapping[str, Tensor]) -> None:
        """Gives the policy others; any exception says that they do not fit."""
        self._model.policy.load_state_dict(tensors)

    def read_archive(self, archive: Path) -> Mapping[str, Tensor]:
        """Reads the policy's from an SB3 archive, running no code that is in it."""
        with open_archive(archive, "policy") as opened:
            content = opened.read("policy.pth")
        if not content.startswith(b"PK"):  # Torch's older formats could run code.
            raise ValueError("policy.pth in it is none of Stable-Baselines3's")
        tensors: Mapping[str, Tensor] = torch.load(
            io.BytesIO(content), map_location=self._model.device, weights_only=True
        )
        return tensors

    def keep_policy(self) -> Callable[[], None]:
        """Returns what gives the policy its present ones back."""
        own = copy.deepcopy(self._model.policy.state_dict())
        return lambda: self.load_policy(own)

    def state(self) -> State:
        """Returns weights and optimisers, and what is learned beside them."""
        model = self._model
        names = model._get_torch_save_params()[1]
        return {
            "parameters": model.get_parameters(),
            "variables": {
                name: getattr(model, name).detach() for name in names if hasattr(model, name)
            },
        }

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        self._model.set_parameters(state["parameters"], exact_match=True)
        for name, value in state["variables"].items():
            getattr(self._model, name).copy_(value)
        check_moments(self._model)

    def is_finite(self) -> bool:
        """Says whether all weights, and what optimisers remember of them, are finite."""
        return is_finite(self._model)

    def renew_critics(self) -> None:
        """Makes critics, targets and optimiser moments anew; the actor stays as it is.

        Layers that do not learn, or that the actor shares, stay as well.
        """
        policy: Any = self._model.policy
        networks = dict(policy.named_children())
        kept = {
            id(module) for name in _ACTORS & set(networks) for module in networks[name].modules()
        }
        for name, critic in networks.items():
            if name in _ACTORS or name.endswith(_TARGET):
                continue
            for module in critic.modules():
                is_learned = any(p.requires_grad for p in module.parameters(recurse=False))
                if is_learned and id(module) not in kept and hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            if name + _TARGET in networks:
                networks[name + _TARGET].load_state_dict(critic.state_dict())
            # DQN's only network is its critic, and has the policy's optimiser.
            (getattr(critic, "optimizer", None) or policy.optimizer).state.clear()

    def seed(self, seed: int) -> None:
        """Does nothing: torch's models draw from the global generators."""
