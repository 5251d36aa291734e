"""The ledger of a benchmark: which cells of its grid are finished, and what came of them.

A benchmark's folder holds `grid.json`, `cells/ID/`, one a cell (see `CellFolder`), and `inputs/`,
what cells are given to read (`inputs_folder`). `grid.json` holds what all cells have in common:
what numbers of one table must not differ in, such as steps, budget and network. What the grid is
spanned by does not belong in it: later, environments, strategies, teachers and seeds are added by
asking for more cells, and the finished ones stay as they are. That holds where of cells only
`results.parquet` is left, too, as in a benchmark that somebody published.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cell_folder import CellFolder, write_json
from prefrl.benchmark.grid.cells import AXES, Cell, Row, digest, plain
from prefrl.benchmark.grid.results import FILE, read_results, write_results
from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.records.files import claimed, content_of, is_there, reason
from prefrl.records.json_file import read_json_object
from prefrl.records.new_folder import missing, new_folder, remove

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Failure:
    """A cell whose last attempt failed.

    Args:
        cell: which.
        text: why: one line, then the traceback where there is one.
    """

    cell: Cell
    text: str

    @property
    def reason(self) -> str:
        """The one line."""
        return self.text.splitlines()[0] if self.text else "no reason was recorded"


class Ledger:
    """Opens a benchmark's folder, which is made where there is none.

    Args:
        out: the folder.
        common: what all cells have in common, JSON values by name; None opens a benchmark that
            there is, whatever it was asked for.

    Raises:
        ConfigError: `common` holds something else than JSON values.
        StorageError: the folder holds a benchmark with other settings, or something else, or
            cannot be used.
    """

    def __init__(self, out: Path | str, common: Mapping[str, Any] | None = None) -> None:
        self.out = Path(out)
        path = self.out / "grid.json"
        try:
            wanted = None if common is None else plain(common, "the benchmark's settings")
        except DataError as error:
            raise ConfigError(str(error)) from None
        if is_there(path):
            found = read_json_object(path)
            if found.get("version") != FORMAT_VERSION:
                raise StorageError(
                    f"{path} has format version {found.get('version')}; "
                    f"this prefrl reads {FORMAT_VERSION}"
                )
            if not isinstance(found.get("common"), dict):
                raise StorageError(f"{path} is damaged: it does not say what cells have in common")
            self.common: dict[str, Any] = found["common"]
            if wanted is not None and (differences := _differences(self.common, wanted)):
                raise StorageError(
                    f"{self.out} belongs to a benchmark with other settings: "
                    f"{'; '.join(differences)}; choose another folder"
                )
            self.is_new = False
            return
        if wanted is None:
            raise StorageError(f"{self.out} holds no benchmark: there is no grid.json in it")
        self.common = wanted
        self.is_new = True
        """Tells that this object has made the benchmark."""
        self._made = missing(self.out)
        with new_folder(self.out, is_worth_keeping=lambda: any(self.out.iterdir())):
            # A kill may have left the beginnings of a grid.json.
            if not all(one.name.startswith(".grid.json.") for one in self.out.iterdir()):
                raise StorageError(
                    f"{self.out} is not empty, and holds no benchmark; choose another"
                )
            write_json(path, {"version": FORMAT_VERSION, "common": wanted})

    @property
    def inputs(self) -> Path:
        """Files that every cell may read, wherever it runs; whoever asks for cells puts them in."""
        return self.out / "inputs"

    def read_inputs(self) -> dict[str, bytes]:
        """Returns the content of `inputs`, by file name, for machines without the folder."""
        try:
            # Those with a dot are in the making, or were when a kill came.
            return {path.name: content_of(path) for path in sorted(self.inputs.glob("[!.]*"))}
        except OSError as error:
            raise StorageError(f"could not read {self.inputs}: {reason(error)}") from None

    def withdraw(self) -> None:
        """Leaves no trace of a benchmark that could not begin, so that its folder is free again.

        One that was there before stays, and so does one with anything to go on from.
        """
        if self.is_new and not (self.read_inputs() or any(self._folders())):
            shutil.rmtree(self.inputs, ignore_errors=True)
            with contextlib.suppress(OSError):
                (self.out / "grid.json").unlink()
            remove([self.out, *self._made])

    def folder(self, cell: Cell) -> CellFolder:
        """Returns the cell's own folder; it need not be there yet."""
        return CellFolder(self.out / "cells" / cell.id)

    def pending(self, cells: Iterable[Cell]) -> list[Cell]:
        """Returns the cells that are not finished, each once, in order; failed ones are among them.

        Raises:
            StorageError: a result is damaged, which is better known now than after hours.
        """
        waiting, gathered = [], {row["cell"] for row in self._gathered()}
        for cell in dict.fromkeys(cells):
            if self.folder(cell).is_finished:
                self.folder(cell).rows()
            elif cell.id not in gathered:
                waiting.append(cell)
        return waiting

    def rows(self) -> list[Row]:
        """Returns the rows of all finished cells, each with its cell's id and parts before it.

        All parts but the settings, which `common` tells.

        Raises:
            StorageError: a file is damaged; it is named.
        """
        found = self._gathered()
        for folder in self._folders():
            if folder.is_finished:
                cell = folder.cell()
                parts = {name: getattr(cell, name) for name in AXES if name != "settings"}
                found += [{"cell": cell.id, **parts, **row} for row in folder.rows()]
        return found

    def failure(self, cell: Cell) -> Failure | None:
        """Returns the error of the last attempt at a cell; None if it did not fail."""
        text = self.folder(cell).failure()
        return None if text is None else Failure(cell, text)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keeps other processes from running cells of this benchmark; a kill lets go of it, too.

        Raises:
            StorageError: another process is at it.
        """
        with claimed(self.out):
            yield

    def gather(self) -> int:
        """Writes what all finished cells returned to `results.parquet`.

        Where no cell has a folder, the file stays as it is.

        Returns:
            how many cells are finished.

        Raises:
            StorageError: a file is damaged or could not be written.
            DataError: a cell returned what has no place there.
            ConfigError: pyarrow is not installed.
        """
        rows = self.rows()
        if any(folder.is_finished for folder in self._folders()):
            write_results(rows, self.out)
        return len({row["cell"] for row in rows})

    def _gathered(self) -> list[Row]:
        """Returns the rows in `results.parquet` of cells that have no folder."""
        if not (self.out / FILE).exists():
            return []
        try:
            rows = read_results(self.out)
        except StorageError as error:
            again = "remove it, and it is made anew of the cells that are left"
            raise StorageError(f"{error}; {again}") from None
        has_folder = {folder.path.name for folder in self._folders()}
        return [row for row in rows if row["cell"] not in has_folder]

    def _folders(self) -> list[CellFolder]:
        paths = self.out.joinpath("cells").glob("*/cell.json")
        return [CellFolder(path.parent) for path in sorted(paths)]


def _differences(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Lists the differences of two trees of settings, one phrase a place."""
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        # Not ==, to which True is 1.
        same = digest(found) == digest(wanted)
        return [] if same else [f"{place} is {found!r}, not {wanted!r}"]
    phrases = []
    for key in sorted(found.keys() | wanted.keys()):
        name = f"{place}.{key}" if place else key
        if key not in wanted:
            phrases.append(f"{name} is {found[key]!r}, not left out")
        elif key not in found:
            value = "" if isinstance(wanted[key], dict) else f", not {wanted[key]!r}"
            phrases.append(f"{name} is left out{value}")
        else:
            phrases += _differences(found[key], wanted[key], name)
    return phrases
