"""Comparisons on disk: the one reader and the one writer of the interchange format.

An `.npz` file without pickles; a row of it is one step, and an entry of a column one answer:

    format_version ()      1; none means 1
    observations (R, O), actions (R, A)            A may be 0
    left_start, right_start (N,)                   row of each segment's first step
    segment_length () or length (N,)               both sides are equally long; with both arrays,
                                                   segment_length is the longest there may be
    p_left (N,)                                    1 left, 0 right, 0.5 tie, NaN skipped
    next_observations (R, O), frames (R, H, W, 3), true_reward (R,), true_rewards (R, M), episode,
    episode_step, terminated, truncated (R,), sim_states (R, Q)                  optional, a row
    split ("train", "test"), session, objective, question, group, annotator, is_audit, is_repeat,
    source, votes_left, votes_right, votes_equal (N,)                            optional, an answer
    env_id ()                                                                    optional

Whatever else is in a file goes through unchanged.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl import arguments
from prefrl.errors import DataError, StorageError, one_line, text_of
from prefrl.feedback.columns import COLUMNS, FileMemory
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.pairs import Pairs
from prefrl.feedback.steps import STEP_ARRAYS
from prefrl.records import run_folder
from prefrl.records.archive import read_arrays, write_arrays
from prefrl.records.files import write_atomically

FORMAT_VERSION = 1
# Segments may all be shorter than segment_length says, but not by that much.
_LONGEST = 100_000
_REQUIRED = ("observations", "actions", "left_start", "right_start", "p_left")
_SINGLE = ("format_version", "segment_length", "env_id")
_PAIRS = ("left_start", "right_start", "length")
# Columns on disk; is_validation goes by the name of `split`.
_ON_DISK = tuple(name for name in COLUMNS if name != "is_validation")
_ALWAYS = ("p_left", "split", "session", "objective", "question")
KNOWN = frozenset((*_SINGLE, *_PAIRS, *_ON_DISK, *STEP_ARRAYS, "split"))


def load_comparisons(path: Path | str, *, validation_fraction: float = 0.15) -> PreferenceDataset:
    """Reads comparisons in the interchange format; nothing in the file is unpickled.

    Args:
        path: an `.npz` file.
        validation_fraction: share that is held out of the answers that are added later; those of
            the file are held out where its `split` says "test".

    Raises:
        ArgumentError: the path is none, or the share no number.
        StorageError: the file is missing, holds something else, or is damaged; it is named, and so
            is the array that is wrong.

    Example:
        >>> import numpy as np
        >>> from prefrl import load_comparisons
        >>> from prefrl.testing.made_up import comparisons
        >>> comparisons(20, rng=np.random.default_rng(0)).save("comparisons.npz")
        >>> len(load_comparisons("comparisons.npz"))
        20
    """
    path = arguments.path("path", path)
    validation_fraction = arguments.share("validation_fraction", validation_fraction)
    of_run = path / run_folder.COMPARISONS
    if os.path.isfile(of_run):  # noqa: PTH113 - no path at all makes it raise
        raise StorageError(f"{path} is a run's folder; its answers are in {of_run}")
    arrays = read_arrays(path, "comparisons")
    _check_kind(path, arrays)
    try:
        return dataset_of(arrays, validation_fraction=validation_fraction)
    except (DataError, OverflowError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {text_of(error)}") from None


def write(path: Path, dataset: PreferenceDataset, *, is_compact: bool = False) -> None:
    """Writes a dataset, atomically; arrays that came from a file keep their dtypes and order.

    Args:
        path: the file.
        dataset: what is written.
        is_compact: as in `write_arrays`.

    Raises:
        StorageError: the file could not be written; what was there before is untouched.
        DataError: there is nothing to write, or an array that no file can hold.
    """
    if not dataset._pairs:
        raise DataError("there are no comparisons to save")
    arrays = arrays_of(dataset)
    if objects := [name for name, array in arrays.items() if array.dtype.hasobject]:
        raise DataError(f"{objects[0]} holds Python objects, which no file of answers may")
    write_atomically(path, lambda file: write_arrays(file, arrays, is_compact=is_compact))


def arrays_of(dataset: PreferenceDataset) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a dataset's file, in the order in which they stand in it."""
    pairs, memory = dataset.pairs, dataset.memory
    arrays: dict[str, NDArray[Any]] = {
        **pairs.steps,
        "left_start": pairs.left_start,
        "right_start": pairs.right_start,
    }
    is_variable = bool((pairs.length != pairs.segment_length).any())
    if is_variable or "length" in memory.dtypes:
        arrays["length"] = pairs.length
    if not memory.dtypes or "segment_length" in memory.dtypes or "length" not in memory.dtypes:
        arrays["segment_length"] = np.asarray(pairs.segment_length, dtype=np.int64)
    columns = {name: _without_objects(getattr(dataset, name)) for name in _ON_DISK}
    columns["split"] = np.where(dataset.is_validation, "test", "train")
    for name, column in columns.items():
        column_name = "is_validation" if name == "split" else name
        if dataset.has(column_name) or (not memory.dtypes and name in _ALWAYS):
            arrays[name] = column
    if dataset.env_id is not None:
        arrays["env_id"] = np.asarray(dataset.env_id)
    if not memory.dtypes or "format_version" in memory.dtypes:
        arrays["format_version"] = np.asarray(FORMAT_VERSION, dtype=np.int64)
    arrays |= memory.unknown
    in_order = dict.fromkeys((*memory.dtypes, *arrays))
    return {
        name: _as_it_was(arrays[name], memory.dtypes.get(name))
        for name in in_order
        if name in arrays
    }


def _check_kind(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Tells files of something else, and of a later version, from damaged ones."""
    if not any(name in arrays for name in ("left_start", "right_start", "p_left")):
        found = ", ".join(list(arrays)[:5]) or "none"
        raise StorageError(
            f"{path} holds no comparisons: it has none of the arrays left_start, right_start and "
            f"p_left (its arrays: {found})"
        )
    version = arrays.get("format_version", np.asarray(FORMAT_VERSION))
    if version.shape != () or version.dtype.kind not in "iu" or version < 1:
        raise StorageError(
            f"{path} is damaged: format_version is {one_line(str(version))}; expected 1 or more"
        )
    if version > FORMAT_VERSION:
        raise StorageError(
            f"{path} is of format_version {version}; this prefrl reads up to {FORMAT_VERSION}: "
            "a newer one wrote it"
        )


def dataset_of(
    arrays: Mapping[str, NDArray[Any]], *, validation_fraction: float = 0.15
) -> PreferenceDataset:
    """Returns the comparisons that the arrays of a file hold.

    Raises:
        DataError: an array is missing, or has another shape, dtype or range; it is named.
    """
    missing = [name for name in _REQUIRED if name not in arrays]
    if "segment_length" not in arrays and "length" not in arrays:
        missing.append("segment_length")
    if missing:
        raise DataError(f"it lacks {', '.join(missing)}")
    if not arrays["p_left"].ndim:
        raise DataError("p_left has shape (); expected (answers,)")
    num = len(arrays["p_left"])
    pairs = _pairs(arrays, num)
    columns: dict[str, Any] = {name: arrays[name] for name in _ON_DISK if name in arrays}
    for name, column in columns.items():
        if column.shape != (num,):  # One value for all of them is for those who call functions.
            raise DataError(f"{name} has shape {column.shape}; expected ({num},)")
    if "split" in arrays:
        columns["is_validation"] = _is_test(arrays["split"], num)
    votes = [name for name in COLUMNS if name.startswith("votes")]
    if any(name in arrays for name in votes) and not all(name in arrays for name in votes):
        raise DataError(f"it lacks {', '.join(name for name in votes if name not in arrays)}")
    return PreferenceDataset.of_pairs(
        pairs,
        columns,
        validation_fraction=validation_fraction,
        env_id=_text(arrays["env_id"]) if "env_id" in arrays else None,
        memory=FileMemory(
            {name: array.dtype for name, array in arrays.items()},
            {name: array for name, array in arrays.items() if name not in KNOWN},
        ),
    )


def _pairs(arrays: Mapping[str, NDArray[Any]], num: int) -> Pairs:
    length, longest = arrays.get("length"), arrays.get("segment_length")
    if longest is not None and (
        longest.shape != () or longest.dtype.kind not in "iu" or longest < 1
    ):
        raise DataError(
            f"segment_length is {one_line(str(longest))}; expected a whole number from 1"
        )
    rows = len(arrays["observations"]) if arrays["observations"].ndim else 0
    # Nothing is made room for that is not there.
    if longest is not None and int(longest) > max(rows, _LONGEST):
        raise DataError(f"segment_length is {longest}, but there are {rows} rows")
    if length is None:
        assert longest is not None
        length = np.full(num, int(longest), dtype=np.int64)
    elif length.shape != (num,) or (length.dtype.kind not in "iu" and num):
        raise DataError(
            f"length has shape {length.shape} and type {length.dtype}; expected ({num},) whole "
            "numbers"
        )
    if longest is None:
        longest = length.max(initial=1)
    return Pairs(
        {name: arrays[name] for name in STEP_ARRAYS if name in arrays},
        arrays["left_start"],
        arrays["right_start"],
        length,
        int(longest),
    )


def _is_test(split: NDArray[Any], num: int) -> NDArray[np.bool_]:
    if split.shape != (num,):
        raise DataError(f"split has shape {split.shape}; expected ({num},)")
    if split.dtype.kind != "U" and num:
        raise DataError(f"split is of type {split.dtype}; expected the texts 'train' and 'test'")
    is_test = np.asarray(split == "test", dtype=np.bool_).reshape(split.shape)
    is_fine = is_test | (split == "train")
    if not np.all(is_fine):
        raise DataError(f"split holds {str(split[~is_fine][0])!r}; expected 'train' or 'test'")
    return is_test


def _text(array: NDArray[Any]) -> str:
    if array.shape != () or array.dtype.kind != "U":
        raise DataError(f"env_id has shape {array.shape} and type {array.dtype}; expected one text")
    return str(array)


def _without_objects(column: NDArray[Any]) -> NDArray[Any]:
    return column.astype(np.str_) if column.dtype.kind == "O" else column


def _as_it_was(array: NDArray[Any], dtype: np.dtype[Any] | None) -> NDArray[Any]:
    """Returns an array in the dtype that it had in its file, where nothing is lost to that."""
    if dtype is None or dtype == array.dtype:
        return array
    if array.dtype.kind == "U" and dtype.kind != "U":
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(dtype)
    is_same = (cast == array) | ((cast != cast) & (array != array))  # NaN stays NaN.
    return cast if is_same.all() else array
