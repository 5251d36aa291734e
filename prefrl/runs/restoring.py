"""States of checkpoints are put back only into a run that they fit."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prefrl.agents.weights import check_backend
from prefrl.errors import DataError, PrefrlError, StorageError, with_type
from prefrl.loop import PreferenceLoop
from prefrl.records import run_folder
from prefrl.runs.finished import Found
from prefrl.types import State

# These differ from those of a run that has just begun, or are checked where they are put back.
_GROWING = frozenset(
    (
        *("store", "buffer", "last_metrics", "seconds", "log", "log_position", "event_files"),
        *("fitted", "fitted_mark"),
        *("asked_observation_embeddings", "asked_scores", "asked_p_left"),
    )
)
# What optimisers remember of each weight, once they have taken a step.
_MOMENTS = "state"
_OPTIONAL = frozenset(("steps_before", "buffer", *_GROWING))


@contextlib.contextmanager
def from_file(folder: Path, found: Found) -> Iterator[None]:
    """Says of whatever goes wrong inside that the file of the state is damaged.

    Raises:
        StorageError: something has.
    """
    kind = run_folder.FINAL if found.is_finished else run_folder.CHECKPOINTS
    path = folder / kind / f"step_{found.step:09d}.npz"
    try:
        yield
    except StorageError:
        raise
    except PrefrlError as error:
        raise StorageError(f"{path} does not fit this run: {error}") from error
    except Exception as error:  # A tree made by hand may break anything.
        raise StorageError(f"{path} is damaged: {with_type(error)}") from error


def restore(loop: PreferenceLoop, folder: Path, found: Found) -> None:
    """Puts a state back into a loop that has just been made.

    Raises:
        StorageError: the state lacks something, or has something of another kind, shape or type
            than the run needs; its file is named.
    """
    with from_file(folder, found):
        own = loop.state()
        check_backend(found.state.get("agent"), own["agent"])
        check_alike(found.state, own, "the state")
        at = found.state["next_phase"]
        if not 0 <= at <= len(loop.plan):
            raise DataError(f"next_phase is {at}, of {len(loop.plan)} phases")
        for name in ("seconds", "last_metrics"):
            _check_numbers(found.state[name], name)
        loop.restore(found.state)


def check_dims(path: Path, what: str, found: tuple[int, int], own: tuple[int, int]) -> None:
    """Refuses a file of steps in another environment than the run's.

    Args:
        path: the file.
        what: is in it: "answers".
        found: the observation and action dims of its steps.
        own: those of the run's environment.

    Raises:
        StorageError: they differ.
    """
    if found != own:
        raise StorageError(
            f"{path} does not fit this run: its {what} have {found[0]} observation and {found[1]} "
            f"action dims, the environment {own[0]} and {own[1]}"
        )


def check_alike(found: Any, like: Any, place: str) -> None:
    """Refuses a tree of other keys, types, dtypes or shapes than another one has.

    Args:
        found: the tree.
        like: the other; where it has None, the tree may have anything.
        place: what the tree is called in an error.

    Raises:
        DataError: they differ; the place is named.
    """
    if like is None or found is None:
        return
    if isinstance(like, dict):
        _check_mapping(found, like, place)
    elif isinstance(like, (np.ndarray, torch.Tensor)):
        own = (type(like), like.dtype, tuple(like.shape))
        its = (type(found), getattr(found, "dtype", None), tuple(getattr(found, "shape", ())))
        if own != its:
            raise DataError(f"{place} is {_words(found)}; expected {_words(like)}")
        if found.dtype in (torch.float32, torch.float64) and not bool(found.isfinite().all()):
            raise DataError(f"{place} holds numbers that are not finite")
    elif type(found) is not type(like):
        raise DataError(f"{place} is {_words(found)}; expected {_words(like)}")
    elif isinstance(like, (list, tuple)):
        if len(found) != len(like):
            raise DataError(f"{place} has {len(found)} entries; expected {len(like)}")
        for index, (one, other) in enumerate(zip(found, like, strict=True)):
            check_alike(one, other, f"{place}[{index}]")
    elif isinstance(like, (int, float)) and not abs(found) < 2**62:
        raise DataError(f"{place} is {found}")


def _check_mapping(found: Any, like: State, place: str) -> None:
    if not isinstance(found, dict):
        raise DataError(f"{place} is {_words(found)}; expected a mapping")
    is_optimizer = "param_groups" in like
    for name in like:
        is_free = name in _GROWING or (is_optimizer and name == _MOMENTS)
        if name not in found:
            if name in _OPTIONAL:
                continue
            raise DataError(f"{place} lacks {name!r}")
        if not is_free:
            check_alike(found[name], like[name], f"{place}[{name!r}]")
    if unknown := [name for name in found if name not in like and name not in _OPTIONAL]:
        raise DataError(f"{place} has {unknown[0]!r}, which is no part of it")


def _check_numbers(found: Any, place: str) -> None:
    numbers: Any = found.values() if isinstance(found, dict) else [None]
    if not all(type(number) in (int, float) and abs(number) < 2**62 for number in numbers):
        raise DataError(f"{place} holds what is no number")


def _words(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return kind if shape is None else f"a {kind} of shape {tuple(shape)} and type {value.dtype}"
