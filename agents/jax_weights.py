"""Weights of a model of SBX, which computes with JAX: flax's train states, leaf by leaf.

JAX is imported where it is used: whoever has no model of SBX need not have it.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from prefrl.errors import DataError
from prefrl.types import State

_ACTOR = "policy.actor_state"
# The parts of a train state that are a policy's; the others are its optimiser's.
_OF_POLICY = {"params", "target_params", "batch_stats"}
# PPO's own learning rate where it has a target_kl; kept in all of its digits.
_ADAPTED = "adaptive_lr"


class JaxWeights:
    """The weights of a model of SBX.

    A leaf is named by its way through the model: `policy.actor_state.params.Dense_0.kernel`.

    Args:
        model: whose they are.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._owners: dict[str, Any] = {"model": model, "policy": model.policy}

    def policy(self) -> dict[str, Tensor]:
        """Returns copies of the policy's own, by name, running statistics and targets included."""
        return {
            name: torch.from_numpy(np.array(leaf))
            for name, leaf in self._leaves().items()
            if name.startswith("policy.") and name.split(".")[2] in _OF_POLICY
        }

    def load_policy(self, tensors: Mapping[str, Tensor]) -> None:
        """Gives the policy others; a DataError names the first that does not fit."""
        _check_names(tensors, self.policy())
        self._put({**self._leaves(), **tensors})

    def read_archive(self, archive: Path) -> Mapping[str, Tensor]:
        """Refuses an archive alone: SBX pickles the policy in it."""
        raise ValueError("SBX's archives hold no weights that can be read without running code")

    def keep_policy(self) -> Callable[[], None]:
        """Returns what gives the policy its present ones back."""
        own = self._states()
        return lambda: self._set(own)

    def state(self) -> State:
        """Returns weights, optimisers, running statistics, and the keys that are drawn from."""
        adapted = getattr(self._owners["model"], _ADAPTED, None)
        keys: State = {place: np.asarray(key) for place, key in self._keys().items()}
        own = {} if adapted is None else {_ADAPTED: float(adapted.current_adaptive_lr)}
        return {"backend": "jax", "parameters": self._leaves(), "variables": {**keys, **own}}

    def restore(self, state: State) -> None:
        """Puts back what `state` returned.

        Raises:
            DataError: it does not fit; the first leaf that does not is named.
        """
        for kind, own in self.state().items():
            if kind != "backend":
                _check_names(state[kind], own)
        keys = {p: _alike(state["variables"][p], key, p) for p, key in self._keys().items()}
        self._put(state["parameters"])
        self._set(keys)
        if _ADAPTED in state["variables"]:
            adapted = getattr(self._owners["model"], _ADAPTED)
            adapted.current_adaptive_lr = state["variables"][_ADAPTED]

    def is_finite(self) -> bool:
        """Says whether all weights, and what optimisers remember of them, are finite."""
        return all(np.isfinite(leaf).all() for leaf in self._leaves().values())

    def renew_critics(self) -> None:
        """Makes critics, targets, statistics and optimiser moments anew; the actor stays as it is.

        The functions that compute with them stay as well, so that nothing is compiled anew.
        """
        import jax

        model, fresh = self._owners["model"], copy.copy(self._owners["policy"])
        model.key, key = jax.random.split(model.key)
        takes = len(inspect.signature(fresh.build).parameters)
        fresh.build(*(key, model.lr_schedule, model.qf_learning_rate)[:takes])
        for place, state in self._states().items():
            if place.startswith("policy.") and place != _ACTOR:
                its = jax.tree_util.tree_leaves(getattr(fresh, place.split(".")[1]))
                self._set({place: _of_leaves(state, its)})

    def seed(self, seed: int) -> None:
        """Draws all keys anew, of the model and of its policy's noise."""
        import jax

        keys = self._keys()
        drawn = jax.random.split(jax.random.PRNGKey(seed), len(keys))
        self._set(dict(zip(keys, drawn, strict=True)))

    def _states(self) -> dict[str, Any]:
        from flax.training.train_state import TrainState

        return self._found(TrainState)

    def _keys(self) -> dict[str, Any]:
        import jax

        return self._found(jax.Array)

    def _found(self, kind: type[Any]) -> dict[str, Any]:
        """Returns what the model and its policy have of a kind, by its place."""
        return {
            f"{owner}.{name}": thing
            for owner, its in self._owners.items()
            for name, thing in sorted(vars(its).items())
            if isinstance(thing, kind)
        }

    def _set(self, things: Mapping[str, Any]) -> None:
        for place, thing in things.items():
            owner, name = place.split(".")
            setattr(self._owners[owner], name, thing)

    def _leaves(self) -> dict[str, NDArray[Any]]:
        """Returns the arrays of all train states, by name; they are the model's own."""
        named = (_named(place, state) for place, state in self._states().items())
        return {name: _array(leaf) for leaves in named for name, leaf in leaves}

    def _put(self, given: Mapping[str, Any]) -> None:
        """Gives all train states other leaves, or none where one does not fit."""
        new = {}
        for place, state in self._states().items():
            leaves = [_alike(given[name], leaf, name) for name, leaf in _named(place, state)]
            new[place] = _of_leaves(state, leaves)
        self._set(new)


def _named(place: str, tree: Any) -> list[tuple[str, Any]]:
    """Returns the leaves of a tree with their names."""
    import jax

    def word(step: Any) -> str:
        return str(next(getattr(step, n) for n in ("key", "name", "idx") if hasattr(step, n)))

    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(".".join([place, *map(word, path)]), leaf) for path, leaf in found]


def _of_leaves(tree: Any, leaves: list[Any]) -> Any:
    """Returns a tree of the same form with other leaves."""
    import jax

    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(tree), leaves)


def _array(leaf: Any) -> NDArray[Any]:
    """Returns a leaf as JAX would compute with it: some are Python's numbers until a first step."""
    import jax.numpy as jnp

    return np.asarray(jnp.asarray(leaf))


def _alike(value: Any, leaf: Any, name: str) -> Any:
    """Returns a value as a leaf's successor, of the same kind: else functions are compiled anew.

    Numbers of Python's, and what was computed of them alone, have a weaker type than arrays.

    Raises:
        DataError: it has another shape or type than the leaf, or is not finite.
    """
    import jax

    array, own = np.asarray(value), _array(leaf)
    if (array.shape, array.dtype) != (own.shape, own.dtype):
        its, expected = (f"{a.dtype} of shape {a.shape}" for a in (array, own))
        raise DataError(f"{name} is {its}; expected {expected}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds numbers that are not finite")
    is_number = array.ndim == 0 and getattr(leaf, "weak_type", True)
    return array.item() if is_number else jax.numpy.array(array)


def _check_names(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if missing := [name for name in expected if name not in found]:
        raise DataError(f"{missing[0]} is missing")
    if unknown := [name for name in found if name not in expected]:
        raise DataError(f"{unknown[0]} is no part of the model")
