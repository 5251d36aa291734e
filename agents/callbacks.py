"""Stable-Baselines3 callbacks of the user's own, across the many calls of `learn` of one run."""

from collections.abc import Callable, Sequence
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from prefrl.errors import ArgumentError, ConfigError, calling, name_of, not_a

Made = BaseCallback | Sequence[BaseCallback]
Callbacks = Made | Callable[[], Made]
"""One or several callbacks, or a function that makes them anew for every start of a run."""

_EXPECTED = "a BaseCallback, a list of them, or a function that makes either"


def check_callbacks(given: object) -> None:
    """Refuses what can neither be callbacks nor a function that makes them.

    Raises:
        ArgumentError: it is neither.
    """
    if not callable(given) and not isinstance(given, (list, tuple, BaseCallback)):
        raise ArgumentError(not_a("callbacks", given, _EXPECTED))


class RunCallbacks(CallbackList):
    """Shows a run to callbacks as one call of `learn`, however many it makes.

    `init_callback` and `on_training_start` come once, before the first training step of this
    process, `on_training_end` once, when the run has ended (`end`). In between they are called at
    rollouts and steps as by SB3, so that `n_calls` counts training steps of all environments at
    once, and `num_timesteps` the run's, exploration included. Exploring calls none.

    Args:
        callbacks: SB3's or one's own.

    Raises:
        ConfigError: one of them is no `BaseCallback`.
        ContractError: the function that makes them raised.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        made: Any = callbacks
        if callable(callbacks):
            with calling("callbacks"):
                made = callbacks()
        if type(made) is CallbackList:
            made = made.callbacks
        elif isinstance(made, BaseCallback):
            made = [made]
        if isinstance(made, str) or not isinstance(made, Sequence):
            raise ConfigError(not_a("callbacks", made, _EXPECTED))
        for index, callback in enumerate(made):
            if not isinstance(callback, BaseCallback):
                expected = "a BaseCallback object of stable_baselines3.common.callbacks"
                raise ConfigError(not_a(f"callbacks[{index}]", callback, expected))
        super().__init__(list(made))
        self._has_begun = False

    def _init_callback(self) -> None:
        if not self._has_begun:
            with calling("_init_callback of a callback"):
                super()._init_callback()

    def _on_training_start(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            with calling("_on_training_start of a callback"):
                super()._on_training_start()
            return
        # A new call of `learn` has variables of its own.
        self.update_child_locals(self.locals)

    def _on_rollout_start(self) -> None:
        with calling("_on_rollout_start of a callback"):
            super()._on_rollout_start()

    def _on_rollout_end(self) -> None:
        with calling("_on_rollout_end of a callback"):
            super()._on_rollout_end()

    def _on_step(self) -> bool:
        for callback in self.callbacks:
            with calling(f"the callback {name_of(callback)}"):
                goes_on = callback.on_step()
            if not goes_on:
                raise ConfigError(
                    f"the callback {type(callback).__name__} stopped the training at step "
                    f"{self.num_timesteps}, but a run takes all of its steps; let _on_step "
                    "return True"
                )
        return True

    def _on_training_end(self) -> None:
        """Says nothing: another call of `learn` may follow."""

    def end(self) -> None:
        """Tells the callbacks that the run has ended."""
        if self._has_begun:
            with calling("_on_training_end of a callback"):
                super()._on_training_end()


def step_callbacks(
    on_step: Callable[[int], Any] | None, own: RunCallbacks | None
) -> list[BaseCallback]:
    """Returns what a call of `learn` is given: the run's own bookkeeping, then the user's."""
    callbacks: list[BaseCallback] = [ProgressCallback(on_step)]
    return callbacks if own is None else [*callbacks, own]


class ProgressCallback(BaseCallback):
    """Tells someone how many steps were taken; nothing else happens on SB3's hot path."""

    def __init__(self, on_step: Callable[[int], Any] | None) -> None:
        super().__init__()
        self._tell = on_step

    def _on_step(self) -> bool:
        if self._tell is not None:
            self._tell(self.num_timesteps)
        return True
