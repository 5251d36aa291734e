"""A cell's folder: what is asked for, how far it is, and what came of it.

| file | what it is |
| --- | --- |
| `cell.json` | the cell |
| `result.json` | its rows; it is there if, and only if, the cell is finished |
| `failure.txt` | why the last attempt failed: one line, then the traceback |
| `log.txt` | what the last attempt's process printed |
| `work/` | scratch, for the cell's own checkpoints; removed once it is finished |
| `kept.zip` | a work folder that came from elsewhere, or is on its way; newer than `work/` |
"""

import contextlib
import json
import shutil
import traceback
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cells import Cell, Row, digest, plain_rows
from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.records.archive import open_archive
from prefrl.records.files import (
    content_of,
    reason,
    remove_leftovers,
    write_atomically,
    write_text_atomically,
)
from prefrl.records.json_file import read_json_object


@dataclass(frozen=True)
class CellFolder:
    """The folder of one cell; no more than one attempt at a time works in it.

    Every method raises StorageError where a file cannot be read or written, or is damaged.
    """

    path: Path

    @property
    def work(self) -> Path:
        """The folder that the cell may write to."""
        return self.path / "work"

    @property
    def log(self) -> Path:
        """The file that its process prints to."""
        return self.path / "log.txt"

    @property
    def packed_file(self) -> Path:
        """The packed work folder."""
        return self.path / "kept.zip"

    @property
    def is_finished(self) -> bool:
        """True once there is a result."""
        return (self.path / "result.json").exists()

    def begin(self, cell: Cell) -> None:
        """Makes the folder ready for another attempt."""
        with _storage(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path)
            # The log, too: where it is a link, nothing is written to what it leads to.
            for path in (self.path / "failure.txt", self.log):
                path.unlink(missing_ok=True)
        if not (self.path / "cell.json").exists():
            write_json(self.path / "cell.json", cell.fields())

    def cell(self) -> Cell:
        """Returns the cell whose folder it is."""
        path = self.path / "cell.json"
        try:
            cell = Cell(**read_json_object(path))
        except (TypeError, ConfigError) as error:
            raise StorageError(f"{path} is damaged: {error}") from None
        if cell.id != self.path.name:
            raise StorageError(f"{path} is damaged, or of another cell: {cell.id}")
        return cell

    def finish(self, rows: Any) -> None:
        """Writes the result; the work folder is of no more use.

        Raises:
            DataError: the rows are not what a cell may return.
        """
        found = plain_rows(rows)
        write_json(self.path / "result.json", {"rows": found, "digest": digest(found)})
        shutil.rmtree(self.work, ignore_errors=True)
        with _storage(self.path):
            self.packed_file.unlink(missing_ok=True)

    def rows(self) -> list[Row]:
        """Returns a finished cell's result."""
        path = self.path / "result.json"
        again = "remove it, and the cell is run again"
        try:
            stored = read_json_object(path)
        except StorageError as error:
            raise StorageError(f"{error}; {again}") from None
        try:
            rows = plain_rows(stored.get("rows"))
            is_whole = stored.get("digest") == digest(stored["rows"])
        except DataError:
            is_whole = False
        if not is_whole:
            raise StorageError(f"{path} is damaged: it has changed since it was written; {again}")
        return rows

    def fail(self, why: Exception | str) -> None:
        """Writes why an attempt failed: the exception being handled, or a line and what follows."""
        if isinstance(why, Exception):
            lines = str(why).strip().splitlines() or [""]
            what = f"{type(why).__name__}: {lines[0]}".removesuffix(": ")
            if isinstance(why, MemoryError):
                what = f"it ran out of memory ({what})"
            why = f"{what}\n\n{''.join(traceback.format_exception(why))}"
        write_text_atomically(self.path / "failure.txt", why.rstrip() + "\n")

    def failure(self) -> str | None:
        """Returns the last attempt's error, in short in its first line; None if it did not fail."""
        path = self.path / "failure.txt"
        if self.is_finished or not path.exists():
            return None
        with _storage(path):
            return content_of(path).decode("utf-8", errors="replace")

    def pack(self) -> None:
        """Puts what the work folder holds into `kept.zip`."""

        def write(file: Any) -> None:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
                for path in sorted(self.work.rglob("*")):
                    archive.write(path, path.relative_to(self.work))

        write_atomically(self.packed_file, write)

    def unpack(self) -> None:
        """Makes the work folder; what `kept.zip` holds takes the place of what is in it."""
        with _storage(self.path):
            if self.packed_file.exists():
                shutil.rmtree(self.work, ignore_errors=True)
                self.work.mkdir()
                with open_archive(self.packed_file, "work", is_packed=False) as archive:
                    archive.extract_all(self.work)
                # Last: a kill before this line only means that the same is unpacked again.
                self.packed_file.unlink()
            self.work.mkdir(exist_ok=True)

    def packed(self) -> bytes | None:
        """Packs what an attempt elsewhere can go on from; None if there is nothing yet."""
        with _storage(self.path):
            if not self.packed_file.exists() and self.work.is_dir() and any(self.work.iterdir()):
                self.pack()
            return content_of(self.packed_file) if self.packed_file.exists() else None


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"could not use {error.filename or path}: {reason(error)}") from error


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically."""
    write_text_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
