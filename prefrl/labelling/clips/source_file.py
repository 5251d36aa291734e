"""The source of a run's clips, as its folder keeps it for whoever shows the episodes later."""

import json
import math
from pathlib import Path
from typing import Any

from prefrl.errors import DataError, StorageError, text_of
from prefrl.labelling.clips.sources import ClipSource
from prefrl.labelling.clips.spec import NamedEnv
from prefrl.records.files import is_there, write_text_atomically
from prefrl.records.json_file import entry, read_json_object

NAME = "source.json"


def write_source(folder: Path, source: ClipSource) -> None:
    """Writes what a run's clips are made from into the folder of its pictures or beginnings.

    Args:
        folder: is there already.
        source: by pictures, or from actions; states need nothing that is kept there.

    Raises:
        StorageError: the file could not be written.
    """
    tree: dict[str, Any] = {"kind": source.kind, "dt": source.dt}
    if isinstance(source.scene, NamedEnv):
        tree |= {"env_id": source.scene.env_id, "settings": source.scene.settings}
    write_text_atomically(folder / NAME, json.dumps(tree, indent=2) + "\n")


def read_source(folder: Path) -> ClipSource | None:
    """Reads what `write_source` wrote; returns None where nothing is kept.

    Raises:
        StorageError: the file is damaged.
    """
    path = folder / NAME
    if not is_there(path):
        return None
    tree = read_json_object(path, {"kind": str, "dt": float})
    kind, dt = tree["kind"], tree["dt"]
    try:
        if not 0 < dt < math.inf:
            raise ValueError(f"'dt' is {dt}; expected seconds above 0")
        if kind == "pictures":
            return ClipSource("pictures", None, dt)
        if kind == "actions":
            scene = NamedEnv(entry(tree, "env_id", str), entry(tree, "settings", dict))
            return ClipSource("actions", scene, dt)
        raise ValueError(f"'kind' is {kind!r}; expected 'pictures' or 'actions'")
    except (ValueError, DataError) as error:
        raise StorageError(f"{path} is damaged: {text_of(error)}") from None
