"""A reward model's folder: `config.json` and `model.safetensors`; nothing in it is ever run."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from prefrl.errors import ConfigError, StorageError
from prefrl.records.files import is_there, reason, write_text_atomically
from prefrl.records.json_file import read_json_object
from prefrl.records.weights import read_weights, write_weights

FORMAT_VERSION = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# Settings that some tensor is as long as.
_WIDTHS = ("input_dim", "hidden_dim", "num_reward_heads", "num_objectives", "bank_size")


def write_model(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Writes both files, each atomically.

    The weights carry the settings they belong to and a checksum, which safetensors lacks: a kill
    between the two files, or a file from another folder, does not pass for a whole model.

    Raises:
        StorageError: the disk refused; no file is half-written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {folder}: {reason(error)}") from error
    tree = {"format_version": FORMAT_VERSION, **settings}
    write_weights(folder / WEIGHTS, tensors, {"config": json.dumps(tree)})
    write_text_atomically(folder / CONFIG, json.dumps(tree, indent=2) + "\n")


def read_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads the settings and the tensors that `write_model` was given.

    Weights that carry no settings and no checksum, as other programs write them, are taken too.

    Raises:
        StorageError: a file is missing, damaged, of another version, or belongs to another model;
            it is named.
    """
    for path in (folder / CONFIG, folder / WEIGHTS):
        if not is_there(path):
            raise StorageError(f"{folder} holds no reward model: there is no {path}")
    tree = _read_config(folder / CONFIG)
    tensors, metadata = read_weights(folder / WEIGHTS)
    if "config" in metadata and metadata["config"] != json.dumps(tree):
        raise StorageError(
            f"{folder / WEIGHTS} is of another model than {folder / CONFIG} describes"
        )
    del tree["format_version"]
    return tree, tensors


def check_sizes(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Refuses settings of a far larger model than the weights are of, before it is made.

    Raises:
        StorageError: a width is longer than any side of any tensor, or there are more layers than
            tensors.
    """
    longest = max((max(t.shape, default=0) for t in tensors.values()), default=0)
    most = dict.fromkeys(_WIDTHS, longest) | {"num_layers": len(tensors)}
    for name, limit in most.items():
        value = settings.get(name)
        if isinstance(value, int) and value > limit:
            raise StorageError(
                f"{folder / CONFIG} describes no reward model: {name} is {value}, which is more "
                f"than {folder / WEIGHTS} has"
            )


def without_pooling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a model's settings without `pooling`, which there is no more.

    Raises:
        ConfigError: they ask for sequences to be pooled.
    """
    known = dict(settings)
    if "pooling" in known:
        pooling = known.pop("pooling")
        if pooling != "none":
            raise ConfigError(
                f"pooling is {pooling!r}, which there is no more: every step has its reward, and "
                "segments are compared by their sums"
            )
        warnings.warn(
            "pooling is no setting of a reward model any more; leave it out",
            DeprecationWarning,
            stacklevel=3,
        )
    return known


def _read_config(path: Path) -> dict[str, Any]:
    tree = read_json_object(path)
    version = tree.get("format_version")
    if version != FORMAT_VERSION:
        raise StorageError(
            f"{path} has format version {version}; this prefrl reads {FORMAT_VERSION}"
        )
    return tree
