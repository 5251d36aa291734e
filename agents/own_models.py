"""Models that a function of the user's own makes."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from prefrl.agents.reward_stage import find_reward_stage
from prefrl.agents.supported import check_model
from prefrl.errors import ArgumentError, ConfigError, calling, not_a

MakeModel = Callable[[Any], BaseAlgorithm]
"""Makes an SB3 model for a stack of vector environments."""

_EXAMPLE = "lambda venv: PPO('MlpPolicy', venv)"


def made_by(make_model: MakeModel, venv: Any) -> BaseAlgorithm:
    """Makes a model by a function of the user's own.

    Args:
        make_model: the function.
        venv: the vector environment that the model must be built on.

    Raises:
        ArgumentError: it is no such function, or returned no model.
        ContractError: it raised.
        ConfigError: the model is built on something else, or cannot be trained (`check_model`).
    """
    check_takes_venv(make_model)
    with calling("make_model"):
        model: Any = make_model(venv)
    if not isinstance(model, BaseAlgorithm):
        raise ArgumentError(
            not_a("what make_model returned", model, f"a Stable-Baselines3 model: {_EXAMPLE}")
        )
    check_model(model)
    env = model.get_env()
    if env is None or env.unwrapped is not venv.unwrapped or find_reward_stage(env) is not venv:
        raise ConfigError(
            f"make_model built its {type(model).__name__} on other environments than the vector "
            f"environment it was given; write make_model={_EXAMPLE}"
        )
    _say_what_has_no_effect(model)
    return model


def _say_what_has_no_effect(model: BaseAlgorithm) -> None:
    given = {"tensorboard_log": model.tensorboard_log, "set_logger": model._custom_logger}
    for name, value in given.items():
        if value:
            warnings.warn(
                f"{name} of the {type(model).__name__} has no effect: a run writes TensorBoard's "
                "events into its own folder",
                stacklevel=3,
            )


def check_takes_venv(make_model: Any) -> None:
    """Refuses what cannot be called with a vector environment alone.

    Raises:
        ArgumentError: it says what to write.
    """
    if not callable(make_model):
        expected = f"a function of the vector environment: make_model={_EXAMPLE}"
        raise ArgumentError(not_a("make_model", make_model, expected))
    try:
        inspect.signature(make_model).bind(object())
    except ValueError:  # It has no signature to look at.
        return
    except TypeError:
        if isinstance(make_model, type):
            write = _EXAMPLE.replace("PPO", make_model.__name__)
            said = f"make_model is the class {make_model.__name__}"
        else:
            write, said = _EXAMPLE, "make_model does not take the vector environment alone"
        raise ArgumentError(f"{said}; write make_model={write}") from None
