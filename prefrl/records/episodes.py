"""Episodes in a file: the newest a run went through, to be labelled, exported or gone on from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl import arguments
from prefrl.errors import DataError, StorageError, text_of
from prefrl.records.archive import read_arrays
from prefrl.records.files import write_atomically
from prefrl.segments import EpisodeStore
from prefrl.segments.episode import FLAGS, ROWS
from prefrl.segments.stored import check_arrays

FORMAT_VERSION = 1
# What a finished run keeps.
MAX_STEPS = 50_000


def save_episodes(path: Path, store: EpisodeStore, *, max_steps: int = MAX_STEPS) -> None:
    """Writes the newest whole episodes of a store, atomically, as a compressed `.npz` file.

    The file holds, for E episodes of R steps in all: `format_version` (); `observations`
    (R + E, O), of each episode one more than it has steps; `actions` (R, A); `true_rewards` (R,);
    `objective_rewards` (R, M); `sim_states` (R, Q), in single precision, which is enough to render
    from; `lengths` (E,) steps; `is_complete`, `terminated`, `truncated` (E,); and `first_episode`
    (), the number of the first one, counted from the run's first.

    Args:
        path: the file.
        store: of which the newest are kept.
        max_steps: as many whole episodes as fit into this, at least one.

    Raises:
        StorageError: the file could not be written; what was there before is untouched.
    """
    state = store.newest(max_steps).state()
    arrays: dict[str, Any] = {
        # A column a run of similar numbers: by columns they take three fifths of the space.
        **{name: np.asfortranarray(state[name]) for name in ROWS},
        **{name: state[name] for name in (*FLAGS, "lengths")},
        "sim_states": np.asfortranarray(state["sim_states"].astype(np.float32)),
        "first_episode": np.int64(state["num_dropped"]),
        "format_version": np.int64(FORMAT_VERSION),
    }
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def load_episodes(path: str | Path) -> EpisodeStore:
    """Reads what `save_episodes` wrote, such as a finished run's `episodes.npz`.

    Returns:
        a store with room for as many steps as are in it, and a million at least.

    Raises:
        ArgumentError: the path is none.
        StorageError: the file is missing, damaged or of another layout; it is named.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from prefrl import load_episodes
        >>> from prefrl.records.episodes import save_episodes
        >>> from prefrl.segments import Episode, EpisodeStore
        >>> store = EpisodeStore()
        >>> store.add(Episode(np.zeros((9, 3)), np.zeros((8, 1)), np.zeros(8), np.zeros((8, 0))))
        >>> save_episodes(Path("episodes.npz"), store)
        >>> load_episodes("episodes.npz").num_transitions
        8
    """
    path = arguments.path("path", path)
    arrays = read_arrays(path, "episodes")
    try:
        state = _state_of(arrays)
        store = EpisodeStore(max(len(state["actions"]), 1_000_000))
        store.restore(state)
        return store
    except DataError as error:
        said = text_of(error)
        raise StorageError(f"{path} is damaged or holds no episodes: {said}") from None


def _state_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns what `EpisodeStore.restore` takes; the dims of the rows are checked there.

    Raises:
        DataError: an array is missing, or does not fit; it is named.
    """
    names = ("format_version", *ROWS, *FLAGS, "lengths", "first_episode")
    if missing := [name for name in names if name not in arrays]:
        raise DataError(f"it lacks {', '.join(missing)}")
    check_arrays(arrays, {"format_version": ("iu", ())})
    if (version := int(arrays["format_version"])) != FORMAT_VERSION:
        raise DataError(f"format_version is {version}; expected {FORMAT_VERSION}")
    _check(arrays, "lengths", None, "iu", "whole numbers")
    for name in ROWS:
        if arrays[name].dtype.kind not in "fiub":
            raise DataError(f"{name} is of type {arrays[name].dtype}; expected numbers")
        if not arrays[name].ndim:
            raise DataError(f"{name} is one number; expected a row a step")
    # Python's numbers do not overflow.
    rows, steps = len(arrays["actions"]), sum(arrays["lengths"].tolist())
    if rows != steps:
        raise DataError(f"lengths add up to {steps}, but actions has {rows} rows")
    for name in FLAGS:
        _check(arrays, name, len(arrays["lengths"]), "b", "true or false")
    first = arrays["first_episode"]
    if first.shape != () or first.dtype.kind not in "iu" or first < 0:
        raise DataError(f"first_episode is {first}; expected a whole number from 0")
    dtypes = {name: np.float64 if name == "sim_states" else np.float32 for name in ROWS}
    return {
        **{name: arrays[name].astype(dtypes[name], copy=False) for name in ROWS},
        **{name: arrays[name] for name in (*FLAGS, "lengths")},
        "num_dropped": int(first),
    }


def _check(
    arrays: Mapping[str, NDArray[Any]], name: str, num: int | None, kinds: str, expected: str
) -> None:
    """Refuses an array that is not (num,), or (E,) for any E, or of another dtype."""
    array = arrays[name]
    is_fine = array.ndim == 1 and num in (None, len(array))
    if not is_fine or array.dtype.kind not in kinds:
        shape = "(episodes,)" if num is None else f"({num},)"
        raise DataError(
            f"{name} has shape {array.shape} and type {array.dtype}; expected {shape} {expected}"
        )
