"""Small models of SBX, which is not installed everywhere."""

import functools
from typing import Any

import pytest

from tests.agents.stacks import SMALL, stack

_FIRST: dict[str, Any] = {}


def sbx_or_skip() -> Any:
    """Returns the package, or skips the module that asks for it.

    JAX says of a name that a library of it uses that it will go.
    """
    if not _is_there():
        pytest.skip("needs SBX: pip install 'prefrl[jax]'", allow_module_level=True)
    return _imported()


def _is_there() -> bool:
    import importlib.util

    return importlib.util.find_spec("sbx") is not None


@functools.cache
def _imported() -> Any:
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        sbx = importlib.import_module("sbx")
    # The networks are so small that compiling them well takes longer than all that is computed.
    importlib.import_module("jax").config.update("jax_disable_most_optimizations", True)
    return sbx


def made(name: str, venv: Any = None, *, seed: int = 0, **settings: Any) -> Any:
    """Returns a small model that computes by the functions of the first of its kind.

    Each model has functions of its own, which JAX would compile anew, in seconds.
    """
    small: dict[str, Any] = {"buffer_size": 60, "batch_size": 16, "train_freq": 2}
    if name == "PPO":
        small = {"n_steps": 32, "batch_size": 16, "n_epochs": 1}
    small = {**small, "policy_kwargs": {**SMALL}, **settings}
    if venv is None:
        venv = stack(1, "CartPole-v1" if name == "DQN" else "Pendulum-v1")
    make = getattr(_imported(), name)
    model = make("MlpPolicy", venv, seed=seed, **small)
    form = f"{name} {small['policy_kwargs']} {venv.observation_space} {venv.action_space}"
    return computing_as(model, _FIRST.setdefault(form, model))


def computing_as(model: Any, other: Any) -> Any:
    """Lets a model compute by another one's functions."""
    for own, its in ((model, other), (model.policy, other.policy)):
        for name, thing in vars(its).items():
            if hasattr(thing, "apply_fn"):
                alike = {"apply_fn": thing.apply_fn, "tx": thing.tx}
                setattr(own, name, getattr(own, name).replace(**alike))
    if hasattr(model, "vf"):
        model.vf = other.vf
    return model
