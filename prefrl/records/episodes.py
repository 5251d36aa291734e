"""Episodes in a file: the newest a run went through, to be labelled, exported or gone on from."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.errors import DataError, StorageError, one_line
from prefrl.records.files import ARCHIVE_DAMAGE, write_atomically
from prefrl.segments import EpisodeStore
from prefrl.segments.episode import FLAGS, ROWS

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
        StorageError: the file is missing, damaged or of another layout; it is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Nothing is parsed or allocated from damaged bytes.
            if (name := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{name} in it has changed since it was written")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], order="C") for name in file.files}
        if (version := int(arrays["format_version"])) != FORMAT_VERSION:
            raise DataError(f"format_version is {version}; expected {FORMAT_VERSION}")
        steps = int(arrays["lengths"].sum())
        store = EpisodeStore(max(steps, 1_000_000))
        store.restore(
            {
                **arrays,
                "sim_states": arrays["sim_states"].astype(np.float64),
                "num_dropped": int(arrays["first_episode"]),
            }
        )
        return store
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}") from None
    except (*ARCHIVE_DAMAGE, DataError) as error:
        said = one_line(str(error))
        raise StorageError(f"{path} is damaged or holds no episodes: {said}") from None
