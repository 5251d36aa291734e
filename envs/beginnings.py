"""Keeps how episodes began, so that they can be played again from their actions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.envs.episode_files import EpisodeFiles, episodes_in
from prefrl.errors import DataError, text_of

Beginning = Mapping[str, Any]
"""The source of a reset's draws, as JSON can hold it: {"seed": ...} or {"generator": ...}."""


class NotedResets(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Notes what each reset draws from: the seed it was given, or the generator's state.

    Args:
        env: any environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)  # for `env.spec`
        gym.Wrapper.__init__(self, env)
        self.beginning: Beginning = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode."""
        if seed is None:
            self.beginning = {"generator": _state_of(self.env.unwrapped.np_random)}
        else:
            self.beginning = {"seed": int(seed)}
        return self.env.reset(seed=seed, options=options)


class Beginnings:
    """Keeps how the episodes of the store began, of environments in `NotedResets`."""

    def __init__(self) -> None:
        self._envs: Sequence[gym.Env[Any, Any]] = ()
        self._present: list[Beginning | None] = []
        self._episodes: dict[int, Beginning] = {}
        self._files: EpisodeFiles | None = None

    def keep_in(self, folder: Path, *, first: int, stop: int) -> None:
        """Keeps beginnings in a folder, too, and takes up those that are there; see `Beside`."""
        self._files = EpisodeFiles(folder)
        self._files.keep_sound(self.take_up, first=first, stop=stop)

    def take_up(self, folder: Path, *, first: int, stop: int) -> list[int]:
        """Takes up beginnings that are in a folder; see `Beside`."""
        damaged = []
        for number, content in episodes_in(folder, first=first, stop=stop):
            try:
                beginning = json.loads(content)
            except (ValueError, RecursionError):
                beginning = None
            if isinstance(beginning, dict) and len(beginning.keys() & {"seed", "generator"}) == 1:
                self._episodes[number] = beginning
            else:
                damaged.append(number)
        return damaged

    @property
    def numbers(self) -> frozenset[int]:
        """Returns the numbers of the episodes of which it is known how they began."""
        return frozenset(self._episodes)

    def begin(self, envs: Sequence[gym.Env[Any, Any]]) -> None:
        """Notes how every environment's episode began."""
        self._envs = envs
        self._present = [None] * len(envs)
        self.step()

    def step(self) -> None:
        """Notes how those episodes began that are new."""
        for i, env in enumerate(self._envs):
            if self._present[i] is None:
                self._present[i] = env.get_wrapper_attr("beginning")

    def end(self, env: int, number: int, *, oldest: int) -> None:
        """Keeps how an episode began, and forgets those that the store has dropped."""
        beginning = self._present[env]
        assert beginning is not None
        self._episodes[number], self._present[env] = beginning, None
        if self._files is not None:
            self._files.write(number, json.dumps(beginning).encode())
        for gone in [other for other in self._episodes if other < oldest]:
            del self._episodes[gone]
            if self._files is not None:
                self._files.remove(gone)

    def of(self, episode: int) -> Beginning:
        """Returns how an episode began.

        Raises:
            DataError: it is not known, or not any more.
        """
        if episode not in self._episodes:
            raise DataError(
                f"it is not known how episode {episode} began: it is too long ago, or its file was "
                "lost"
            )
        return self._episodes[episode]


def begin_again(env: gym.Env[Any, Any], beginning: Beginning) -> Any:
    """Resets an environment as it was reset before, and returns the first observation.

    Raises:
        DataError: the environment draws from another kind of generator.
    """
    if "seed" in beginning:
        return env.reset(seed=int(beginning["seed"]))[0]
    env.reset(seed=0)  # Some have no generator before.
    try:
        _set_state(env.unwrapped.np_random, beginning["generator"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"its random generator cannot be set: {text_of(error)}") from None
    return env.reset()[0]


def _state_of(generator: Any) -> Any:
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(generator.bit_generator.state)


def _set_state(generator: Any, state: Mapping[str, Any]) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.set_state(dict(state))
    else:
        generator.bit_generator.state = dict(state)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
