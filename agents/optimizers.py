"""Weights and optimisers of an SB3 model, looked at before they are kept or used again."""

import operator

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from prefrl.errors import DataError


def is_finite(model: BaseAlgorithm) -> bool:
    """Says whether all weights, and what optimisers remember of them, are finite."""
    moments = [
        moment
        for optimizer in _optimizers(model).values()
        for of_one in optimizer.state.values()
        for moment in of_one.values()
        if isinstance(moment, torch.Tensor)
    ]
    return all(torch.isfinite(tensor).all() for tensor in (*model.policy.parameters(), *moments))


def check_moments(model: BaseAlgorithm) -> None:
    """Refuses moments of other shapes than their weights', which torch finds out in a step.

    Raises:
        DataError: the optimiser is named.
    """
    for name, optimizer in _optimizers(model).items():
        _check_moments(optimizer, name)


def _optimizers(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    parts = {n: operator.attrgetter(n)(model) for n in model._get_torch_save_params()[0]}
    return {n: part for n, part in parts.items() if isinstance(part, torch.optim.Optimizer)}


def _check_moments(optimizer: torch.optim.Optimizer, name: str) -> None:
    """Refuses moments of other shapes than their weights', which torch finds out in a step."""
    kinds = {frozenset(moments) for moments in optimizer.state.values() if moments}
    if len(kinds) > 1:
        raise DataError(f"{name} remembers other things of some of its weights than of others")
    for weights, moments in optimizer.state.items():
        for moment in moments.values():
            shape = getattr(moment, "shape", None)
            is_alike = shape in ((), weights.shape) and moment.is_floating_point()
            if shape is None or not is_alike or not moment.isfinite().all():
                raise DataError(f"{name} remembers what does not fit its weights")
