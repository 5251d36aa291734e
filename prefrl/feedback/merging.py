"""Several datasets made one."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError
from prefrl.feedback.columns import COLUMNS, FileMemory, joined_column
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import KNOWN, arrays_of
from prefrl.feedback.pairs import Pairs
from prefrl.feedback.steps import episodes_of

# So that as much can still be counted on from it.
_LARGEST = 2**62


def merge_comparisons(
    datasets: Sequence[PreferenceDataset], *, names: Sequence[str] | None = None
) -> PreferenceDataset:
    """Joins answers about one environment, in the order of the datasets.

    Episodes and questions are numbered on from one dataset to the next, so that what was distinct
    stays so. Groups keep their numbers and names: one that is in two datasets is one group, so that
    nothing of it is trained on while the rest is held out. What one dataset tells and another does
    not is NaN, False, 0 or "" there (frames are black), with a warning; arrays that are none of
    the format's are left out, with another.

    Args:
        datasets: one or more, each with at least its dims known.
        names: what errors and warnings call them; by default the number of each.

    Raises:
        DataError: they are of different environments, or of different dims.
    """
    if not datasets:
        raise DataError("there are no comparisons to merge")
    names = names or [f"dataset {number}" for number in range(len(datasets))]
    env_id = _one_environment(datasets, names)
    _check_dims(datasets, names)
    _warn_of_gaps(datasets, names)
    return PreferenceDataset.of_pairs(
        _pairs(datasets),
        {name: _column(datasets, name) for name in COLUMNS},
        validation_fraction=datasets[0].validation_fraction,
        env_id=env_id,
        memory=FileMemory(_dtypes(datasets)),
    )


def _one_environment(datasets: Sequence[PreferenceDataset], names: Sequence[str]) -> str | None:
    known = [(d.env_id, name) for d, name in zip(datasets, names, strict=True) if d.env_id]
    for env_id, name in known[1:]:
        if env_id != known[0][0]:
            raise DataError(
                f"env_id of {name} is {env_id!r}, that of {known[0][1]} {known[0][0]!r}; only "
                "answers about one environment can be merged"
            )
    return known[0][0] if known else None


def _check_dims(datasets: Sequence[PreferenceDataset], names: Sequence[str]) -> None:
    known: dict[str, tuple[tuple[int, ...], str]] = {}
    for dataset, name in zip(datasets, names, strict=True):
        for array_name, array in dataset.steps.items():
            tail, first = known.setdefault(array_name, (array.shape[1:], name))
            if array.shape[1:] != tail:
                raise DataError(
                    f"{array_name} of {name} has rows of shape {array.shape[1:]}, that of {first} "
                    f"{tail}; only answers about one environment can be merged"
                )


def _warn_of_gaps(datasets: Sequence[PreferenceDataset], names: Sequence[str]) -> None:
    arrays = dict.fromkeys(name for dataset in datasets for name in dataset.steps)
    for array_name in arrays:
        without = [
            name
            for dataset, name in zip(datasets, names, strict=True)
            if array_name not in (*dataset.steps, "episode", "episode_step")
        ]
        if without:
            warnings.warn(
                f"{array_name} is not in {', '.join(without)}: what it says of those rows stands "
                "for nothing (NaN, False or black)",
                stacklevel=3,
            )
    unknown = dict.fromkeys(name for dataset in datasets for name in dataset.memory.unknown)
    if unknown:
        warnings.warn(
            f"{', '.join(unknown)}: not of the format, so what it says of several files together "
            "is not known; left out",
            stacklevel=3,
        )


def _pairs(datasets: Sequence[PreferenceDataset]) -> Pairs:
    parts, next_episode = [], 0
    for dataset in datasets:
        pairs = dataset.pairs
        # Also where files do not say them: windows of two files must not pass for one.
        episode, step = episodes_of(pairs.steps)
        episode = _counted_on(episode, next_episode)
        next_episode = int(episode.max(initial=next_episode - 1)) + 1
        steps = {**pairs.steps, "episode": episode, "episode_step": step}
        parts.append(replace(pairs, steps=steps))
    return Pairs.concatenate(parts)


def _column(datasets: Sequence[PreferenceDataset], name: str) -> NDArray[Any]:
    parts = [getattr(dataset, name) for dataset in datasets]
    if name == "question":
        first, shifted = 0, []
        for part in parts:
            shifted.append(_counted_on(part, first))
            first = int(shifted[-1].max(initial=first - 1)) + 1
        parts = shifted
    joined: NDArray[Any] = parts[0]
    for part in parts[1:]:
        joined = joined_column(joined, part)
    return joined


def _counted_on(numbers: NDArray[Any], first: int) -> NDArray[np.int64]:
    """Returns numbers from `first` on, as far apart as they were where 64 bits can hold them."""
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if first + high - low > _LARGEST:  # They are hashes, or stand behind some.
        numbers, low = np.unique(numbers, return_inverse=True)[1].reshape(-1), 0
    return numbers.astype(np.int64) - low + first


def _dtypes(datasets: Sequence[PreferenceDataset]) -> dict[str, np.dtype[Any]]:
    dtypes: dict[str, np.dtype[Any]] = {}
    for dataset in datasets:
        for name, array in arrays_of(dataset).items():
            if name in KNOWN:
                dtypes.setdefault(name, array.dtype)
    return dtypes
