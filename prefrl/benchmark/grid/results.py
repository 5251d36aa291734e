"""A benchmark's measurements on disk: `results.parquet`, and `results.csv` for people.

One row is one measurement of one cell: what a strategy had reached with so many answers.
"""

import hashlib
import importlib
import json
import math
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cells import Row
from prefrl.errors import ConfigError, DataError, StorageError, one_line, shown
from prefrl.records.archive import MAX_RATIO, MAX_UNPACKED
from prefrl.records.files import content_of, reason, write_atomically

FILE = "results.parquet"
MODES = ("reward", "rl")
TEXTS = ("cell", "mode", "env", "strategy", "teacher")
COUNTS = ("seed", "budget")
OPTIONAL_COUNTS = ("step",)
MEASURES = (
    *("accuracy", "nll", "ece", "correlation", "true_return", "learned_return"),
    *("select_s", "fit_s"),
)
"""Those that reports know; rows may hold further ones, all of them numbers."""

_DIGEST = b"prefrl_sha256"

# A file with more values is not read, nor one with longer names: of either, a few bytes of Parquet
# can stand for any number.
MAX_VALUES = 10_000_000
MAX_NAME_BYTES = 1_000
# What damaged bytes make pyarrow raise, beside its own errors.
_DAMAGE = (OSError, ValueError, ArithmeticError, TypeError, LookupError, MemoryError, RuntimeError)


def write_results(rows: Sequence[Row], folder: str | os.PathLike[str]) -> Path:
    """Writes measurements to `results.parquet` and `results.csv`, each atomically.

    Args:
        rows: each with `cell`, `mode` ("reward" or "rl"), `env`, `strategy`, `teacher`, `seed`,
            `budget` (answers so far), in mode rl `step` too, and its measures: None, NaN or no key
            where one is not known.
        folder: made where it does not exist.

    Returns:
        The Parquet file.

    Raises:
        DataError: a row lacks something or holds something of the wrong kind.
        StorageError: a file could not be written.
        ConfigError: pyarrow is not installed.
    """
    import_pyarrow()
    import pyarrow as pa
    from pyarrow import csv, parquet

    folder = Path(folder)
    further = sorted({name for row in rows for name in row} - _known_columns())
    columns: dict[str, list[Any]] = {}
    for name in (*TEXTS, *COUNTS, *OPTIONAL_COUNTS, *MEASURES, *further):
        columns[name] = [_checked(row, name, index) for index, row in enumerate(rows)]
    fields = [(name, _arrow_type(name)) for name in columns]
    table = pa.table(columns, schema=pa.schema(fields))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot use {folder}: {reason(error)}") from error
    path = folder / FILE
    # Parquet would read flipped bits as numbers; its own checksums leave the headers of pages out.
    table = table.replace_schema_metadata({_DIGEST: _digest(table)})
    write_atomically(path, lambda file: parquet.write_table(table, file))
    write_atomically(path.with_suffix(".csv"), lambda file: csv.write_csv(table, file))
    return path


def read_results(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads what `write_results` wrote; `results.csv` is not looked at.

    Returns:
        One mapping a row, every one with the same keys: NaN for a measure and None for a step that
        is not known.

    Raises:
        StorageError: the file is missing, damaged or no results of a benchmark; one that pandas
            filtered and wrote again is as good as ours.
        ConfigError: pyarrow is not installed.
    """
    import_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(folder) / FILE
    try:
        content = content_of(path)
    except OSError as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from error
    try:
        metadata = parquet.read_metadata(pa.BufferReader(content))
        _check_size(metadata, len(content))
        schema = metadata.schema.to_arrow_schema()
        _check_columns(schema)
        # A name that every row repeats is kept once, so that no more is held than was in the file.
        table = _read(parquet.ParquetFile(pa.BufferReader(content), read_dictionary=TEXTS))
        digest = (metadata.metadata or {}).get(_DIGEST)
        is_changed = digest is not None and digest != _digest(table)
        rows: list[dict[str, Any]] = table.to_pylist()
    except DataError as error:
        raise StorageError(f"{path} holds no results of a benchmark: {error}") from None
    except (pa.ArrowException, *_DAMAGE) as error:
        why = one_line(str(error).split("\n")[0]) or type(error).__name__
        raise StorageError(f"{path} is damaged, or no Parquet file: {why}") from error
    if is_changed:
        raise StorageError(
            f"{path} is damaged: its numbers are not those that prefrl wrote (were they changed on "
            f"purpose, drop {_DIGEST.decode()} from the file's metadata)"
        )
    names = schema.names
    try:
        return [
            {name: _known(_checked(row, name, index), name) for name in names}
            for index, row in enumerate(rows)
        ]
    except DataError as error:
        raise StorageError(f"{path} holds no results of a benchmark: {error}") from error


def _check_size(metadata: Any, size: int) -> None:
    """Refuses a file that declares far more than it can hold, before memory is taken for it."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    num_rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    if num_rows * max(metadata.num_columns, 1) > MAX_VALUES:
        raise ValueError(f"it declares {num_rows} rows of {metadata.num_columns} columns")
    num_bytes = sum(group.total_byte_size for group in groups)
    if num_bytes > max(MAX_UNPACKED, MAX_RATIO * size):
        raise ValueError(f"it has {size} bytes, but would unpack to {num_bytes}")


def _check_columns(schema: Any) -> None:
    """Refuses columns that no results have, before their content is looked at.

    Raises:
        DataError: one is missing, is there twice, or has neither names nor numbers; it is named.
    """
    from pyarrow import types

    names = schema.names
    if missing := [name for name in (*TEXTS, *COUNTS) if name not in names]:
        raise DataError(f"it has no column {', '.join(missing)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"it has the column {twice[0]} twice")
    for name, kind in zip(names, schema.types, strict=True):
        if name in TEXTS:
            values = kind.value_type if types.is_dictionary(kind) else kind
            if not (types.is_string(values) or types.is_large_string(values)):
                raise DataError(f"its column {name} is of type {kind}; expected text")
        elif not (
            types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_decimal(kind)
            or types.is_null(kind)
        ):
            raise DataError(f"its column {name} is of type {kind}; expected numbers")


def _read(file: Any) -> Any:
    """Returns the table of a file whose columns are those of results.

    Raises:
        DataError: a name in it is too long.
    """
    import pyarrow as pa
    from pyarrow import compute

    parts = [file.schema_arrow.empty_table()]
    for index in range(file.num_row_groups):
        part = file.read_row_group(index)
        for name in TEXTS:
            for chunk in part.column(name).chunks:
                texts = chunk.dictionary if hasattr(chunk, "dictionary") else chunk
                longest = compute.max(compute.binary_length(texts)).as_py()
                if longest is not None and longest > MAX_NAME_BYTES:
                    raise DataError(
                        f"a {name} has {longest} bytes; expected {MAX_NAME_BYTES} at most"
                    )
        parts.append(part)
    return pa.concat_tables(parts)


def _digest(table: Any) -> bytes:
    """Returns the columns' SHA-256; a file that another program wrote anew has none."""
    return hashlib.sha256(json.dumps(table.to_pydict(), default=repr).encode()).hexdigest().encode()


def import_pyarrow() -> None:
    """Makes sure that pyarrow is there.

    Raises:
        ConfigError: it is not installed, or does not go with what is.
    """
    try:
        importlib.import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise ConfigError("pyarrow is not installed; pip install 'prefrl[bench]'") from error
    except ImportError as error:  # A recent one beside a NumPy of before 2.
        raise ConfigError(f"pyarrow cannot be used: {error}") from error


def _known_columns() -> set[str]:
    return {*TEXTS, *COUNTS, *OPTIONAL_COUNTS, *MEASURES}


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    if name in TEXTS:
        return pa.string()
    return pa.int64() if name in (*COUNTS, *OPTIONAL_COUNTS) else pa.float64()


def _checked(row: Row, name: str, index: int) -> Any:
    """Returns a row's value for a column, None where it is not known."""
    value = row.get(name)
    is_unknown = value is None or (isinstance(value, float) and math.isnan(value))
    if name in TEXTS:
        if not isinstance(value, str):
            raise DataError(f"{_whose(row, index)} has {name} {value!r}; it must be text")
        if len(value.encode()) > MAX_NAME_BYTES:
            said = f"{_whose(row, index)} has {name} {shown(value)}"
            raise DataError(f"{said}; expected {MAX_NAME_BYTES} bytes at most")
        if name == "mode" and value not in MODES:
            raise DataError(
                f"{_whose(row, index)} has mode {value!r}; it must be {' or '.join(MODES)}"
            )
        return value
    if name in COUNTS or (name in OPTIONAL_COUNTS and not is_unknown):
        count = _whole_number(value)
        if count is None:
            raise DataError(
                f"{_whose(row, index)} has {name} {value!r}; it must be a whole "
                "number, from 0 to 2^63 - 1"
            )
        return count
    if value is None or is_unknown:
        return None
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{_whose(row, index)} has {name} {value!r}; it must be a number"
        ) from error
    return None if math.isnan(number) else number


def _whose(row: Row, index: int) -> str:
    return f"row {index}, of cell {shown(row.get('cell'))},"


def _whole_number(value: Any) -> int | None:
    """Returns a whole number from 0 to 2^63 - 1; None where it is none."""
    try:
        if isinstance(value, bool):
            return None
        # A column with gaps comes back from other tools as floats.
        is_whole_float = isinstance(value, float) and value.is_integer()
        number = int(value) if is_whole_float else operator.index(value)
    except TypeError:
        return None
    return number if 0 <= number < 2**63 else None


def _known(value: Any, name: str) -> Any:
    is_measure = name not in (*TEXTS, *COUNTS, *OPTIONAL_COUNTS)
    return math.nan if value is None and is_measure else value
