"""Saves and restores the state of a run, atomically.

A checkpoint is one file, so that one rename makes it real: an uncompressed zip of `tree.json`,
which holds the structure and every plain value, and of `0.npy`, `1.npy`, … for the arrays. The
zip's CRC-32 of every member is what finds damage. No pickle: loading runs no code from the file.
"""

import contextlib
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import StorageError
from prefrl.records.archive import OpenArchive, open_archive
from prefrl.records.files import reason, write_atomically
from prefrl.records.json_file import MAX_DIGITS, entry, parse_json
from prefrl.types import State

# torch is imported where tensors are met: what else there is in this folder does without it.

FORMAT_VERSION = 2
NUM_KEPT = 2
# Of what a run's checkpoint holds: since 2, its episodes know how they ended.
LAYOUT = 2

_TREE = "tree.json"


def save_state(path: str | os.PathLike[str], state: State, *, fingerprint: str = "") -> None:
    """Writes a tree of values to one file, atomically.

    Args:
        path: the file.
        state: a tree of dicts (keys str or int), lists and tuples; its leaves are NumPy arrays and
            scalars, torch tensors, int, float (infinite and NaN too), str, bool and None.
        fingerprint: whose state it is; `load_state` refuses a file with another one.

    Raises:
        StorageError: the file could not be written.
        TypeError: something in the tree is none of the above; the message says where.
    """
    arrays: list[NDArray[Any]] = []
    tree = {
        "version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "state": _encode(state, arrays, "state"),
    }

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(_TREE), json.dumps(tree, allow_nan=False))
            for index, array in enumerate(arrays):
                with archive.open(zipfile.ZipInfo(f"{index}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    write_atomically(path, write)


def load_state(path: str | os.PathLike[str], *, fingerprint: str = "") -> State:
    """Reads what `save_state` wrote.

    Every leaf has its type and dtype again; tensors are on the CPU and need no gradient.

    Raises:
        StorageError: the file is missing, damaged, of another format version, or its fingerprint
            is another one.
    """
    with open_archive(path, "saved state", is_packed=False) as archive:
        tree = parse_json(archive.read(_TREE))
        version = tree.get("version") if isinstance(tree, dict) else None
        if version != FORMAT_VERSION:
            raise StorageError(
                f"{path} has format version {version}; this prefrl reads {FORMAT_VERSION}"
            )
        found = entry(tree, "fingerprint", str)
        if found != fingerprint:
            raise StorageError(
                f"{path} belongs to another run: its settings have fingerprint "
                f"{found!r}, this run's have {fingerprint!r} "
                "(were they changed since it began?)"
            )
        state = _Decoder(archive).decode(entry(tree, "state", dict))
        if not isinstance(state, dict):
            raise ValueError("it holds no state")
        return state


def _encode(node: Any, arrays: list[NDArray[Any]], place: str) -> Any:
    """Writes a tree as JSON: lists stand for themselves, an object is one tag with its content."""
    import torch

    if type(node) is int and abs(node) >= 10**MAX_DIGITS:
        raise TypeError(f"{place} is a number of more than {MAX_DIGITS} digits")
    if node is None or type(node) in (bool, int, str):
        return node
    if type(node) is float:
        return node if math.isfinite(node) else {"float": repr(node)}
    if isinstance(node, dict):
        for key in node:
            if type(key) not in (str, int):
                raise TypeError(f"{place} has the key {key!r}; only str and int can be stored")
        # As pairs: the keys of a JSON object would all become strings.
        return {"dict": [[k, _encode(v, arrays, f"{place}[{k!r}]")] for k, v in node.items()]}
    if isinstance(node, (list, tuple)):
        items = [_encode(item, arrays, f"{place}[{i}]") for i, item in enumerate(node)]
        return {"tuple": items} if isinstance(node, tuple) else items
    if isinstance(node, torch.Tensor):
        try:
            tag, array = "tensor", node.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:  # bfloat16, sparse, quantised
            raise TypeError(f"{place} is a tensor that cannot be stored: {error}") from error
    elif isinstance(node, (np.ndarray, np.generic)):
        tag, array = ("array" if isinstance(node, np.ndarray) else "scalar"), np.asarray(node)
    else:
        raise TypeError(f"{place} is a {type(node).__name__}, which cannot be stored")
    if array.dtype.hasobject:
        raise TypeError(f"{place} is an array of Python objects, which cannot be stored")
    arrays.append(array)
    return {tag: len(arrays) - 1}


class _Decoder:
    """Makes a tree of the JSON of `_encode`; what is none of it is a ValueError."""

    def __init__(self, archive: OpenArchive) -> None:
        self._archive = archive
        self._taken: set[int] = set()

    def decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) != 1:
            raise ValueError(f"{_TREE} holds an object with {len(node)} tags, not one")
        ((tag, content),) = node.items()
        if tag == "dict":
            return self._mapping(content)
        if tag == "tuple" and isinstance(content, list):
            return tuple(self.decode(item) for item in content)
        if tag == "float" and content in ("nan", "inf", "-inf"):
            return float(content)
        if tag in ("array", "scalar", "tensor") and type(content) is int:
            return self._array(tag, content)
        raise ValueError(f"{_TREE} holds a {tag!r} that is none")

    def _mapping(self, pairs: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for pair in pairs if isinstance(pairs, list) else [None]:
            if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) not in (str, int):
                raise ValueError(f"{_TREE} holds a mapping that is none")
            if pair[0] in found:
                raise ValueError(f"{_TREE} holds a mapping with the key {pair[0]!r} twice")
            found[pair[0]] = self.decode(pair[1])
        return found

    def _array(self, tag: str, index: int) -> Any:
        import torch

        if index in self._taken:  # Else a small file could fill the memory.
            raise ValueError(f"{_TREE} holds array {index} twice")
        self._taken.add(index)
        array = self._archive.array(str(index))
        if tag == "tensor":
            return torch.from_numpy(array)
        if tag == "scalar" and array.shape != ():
            raise ValueError(f"array {index} has shape {array.shape}; expected one number")
        return array[()] if tag == "scalar" else array


class Checkpoints:
    """The checkpoints of one run, `step_000050000.npz` and so on, of which the newest are kept.

    A kill at any moment leaves the newest whole one in place. While one is written, there is one
    more on the disk.

    Args:
        folder: where they are; made by the first `save`.
        fingerprint: of the run's settings; a checkpoint with another one is refused.
        num_kept: how many of the newest are kept, at least one.
    """

    def __init__(
        self, folder: str | os.PathLike[str], fingerprint: str, *, num_kept: int = NUM_KEPT
    ) -> None:
        self.folder = Path(folder)
        self.fingerprint = fingerprint
        self.num_kept = num_kept

    @property
    def is_empty(self) -> bool:
        """There are none, of whatever settings."""
        with self._storage_errors():
            return not self._paths()

    def save(self, step: int, state: State) -> None:
        """Writes the checkpoint of a step, then removes what it makes superfluous.

        Args:
            step: environment steps taken so far; not before the newest checkpoint's.
            state: what `save_state` takes.

        Raises:
            StorageError: the disk refused; or the folder holds a checkpoint of a later step, which
                the next resume would take for the newest.
        """
        with self._storage_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".step_*.tmp"):  # A kill in the middle of a write.
                leftover.unlink(missing_ok=True)
            if (paths := self._paths()) and max(paths) > step:
                raise StorageError(
                    f"{paths[max(paths)]} is later than step {step}, which was to be saved beside "
                    "it; resume that run, or choose another folder"
                )
        path = self.folder / f"step_{step:09d}.npz"
        content = {"layout": LAYOUT, "step": step, "state": state}
        save_state(path, content, fingerprint=self.fingerprint)
        with self._storage_errors():
            older = sorted(paths.keys() - {step})
            for old in older[: max(len(older) - self.num_kept + 1, 0)]:
                paths[old].unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes all of them, the newest last, and the folder if nothing else is in it.

        Raises:
            StorageError: the disk refused.
        """
        with self._storage_errors():
            for _, path in sorted(self._paths().items()):
                path.unlink(missing_ok=True)
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def latest(self) -> tuple[int, State] | None:
        """Loads the newest checkpoint's step and state, or None where there is none.

        Raises:
            StorageError: the newest is damaged or another run's. An older one is never taken in its
                place without being asked; where the one before is whole, the message says so.
        """
        with self._storage_errors():
            paths = self._paths()
        if not paths:
            return None
        newest, *older = sorted(paths, reverse=True)
        try:
            return newest, self._load(newest, paths[newest])
        except StorageError as error:
            whole = next((step for step in older if self._is_whole(step, paths[step])), None)
            if whole is None:
                raise
            raise StorageError(
                f"{error}; {paths[whole].name} beside it is whole: remove the newer to go on from "
                f"step {whole}"
            ) from error

    def _load(self, step: int, path: Path) -> State:
        content = load_state(path, fingerprint=self.fingerprint)
        if missing := [name for name in ("step", "state") if name not in content]:
            raise StorageError(f"{path} is damaged: it lacks {missing[0]}")
        if (layout := content.get("layout", 1)) != LAYOUT:
            raise StorageError(
                f"{path} has layout {layout}, this prefrl goes on from layout {LAYOUT}; end the "
                "run with the version that began it"
            )
        if content["step"] != step:
            raise StorageError(f"{path} is misnamed: it was written at step {content['step']}")
        state: State = content["state"]
        if not isinstance(state, dict):
            raise StorageError(f"{path} is damaged: it holds no state")
        return state

    def _is_whole(self, step: int, path: Path) -> bool:
        try:
            self._load(step, path)
        except StorageError:
            return False
        return True

    def _paths(self) -> dict[int, Path]:
        """Returns step -> file."""
        if not self.folder.is_dir():
            return {}
        named = ((re.fullmatch(r"step_(\d+)\.npz", p.name), p) for p in self.folder.iterdir())
        return {int(match[1]): path for match, path in named if match}

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"cannot use {self.folder}: {reason(error)}") from error
