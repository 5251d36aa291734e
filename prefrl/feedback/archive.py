"""Arrays in an `.npz` archive: read without trusting what it declares, written without pickles."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from prefrl.errors import StorageError, one_line
from prefrl.records.files import ARCHIVE_DAMAGE, reason


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Reads every array of an archive, which is checked as a whole before any of it is parsed.

    Raises:
        StorageError: the file is missing, cannot be read, is no such archive, or is damaged; it is
            named, and so is the array.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            return _arrays(path, file, start)
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}") from None


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, NDArray[Any]], *, is_compact: bool = False
) -> None:
    """Writes an archive; arrays of Python objects are refused.

    Args:
        file: receives it.
        arrays: what is in it, by name.
        is_compact: it is compressed, column by column, as what stands below each other is alike:
            answers of a HalfCheetah run then take a quarter less space, and seconds to write.

    Raises:
        ValueError: an array holds Python objects.
    """
    kind = zipfile.ZIP_DEFLATED if is_compact else zipfile.ZIP_STORED
    # Not np.savez: it would pickle, and takes no array called `file`.
    with zipfile.ZipFile(file, "w", kind, allowZip64=True) as archive:
        for name, array in arrays.items():
            rows = np.asanyarray(array, order="F") if is_compact else np.asanyarray(array)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, rows, allow_pickle=False)


def _arrays(path: Path, file: BinaryIO, start: bytes) -> dict[str, NDArray[Any]]:
    if not start:
        raise StorageError(f"{path} is damaged: it is empty")
    if not start.startswith(b"PK"):
        raise StorageError(f"{path} holds no comparisons: it is no .npz archive")
    try:
        if not zipfile.is_zipfile(file):
            raise zipfile.BadZipFile("its end is missing")
        with zipfile.ZipFile(file) as archive:
            # Nothing is parsed or allocated from damaged bytes.
            if (name := archive.testzip()) is not None:
                raise zipfile.BadZipFile(
                    f"{name.removesuffix('.npy')} has changed since it was written"
                )
            return {
                info.filename.removesuffix(".npy"): _array(archive, info)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except ARCHIVE_DAMAGE as error:
        raise StorageError(f"{path} is damaged: {one_line(str(error))}") from None


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    name = info.filename.removesuffix(".npy")
    try:
        with archive.open(info) as member:
            _check_size(member, info.file_size)
        with archive.open(info) as member:
            return np.asarray(npy.read_array(member, allow_pickle=False), order="C")
    except ARCHIVE_DAMAGE as error:
        raise ValueError(f"{name}: {one_line(str(error)) or type(error).__name__}") from None


def _check_size(member: IO[bytes], num_bytes: int) -> None:
    """Refuses an array that declares another size than it has, before memory is taken for it."""
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        return
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    declared = dtype.itemsize
    for length in shape:
        declared *= length  # Python's numbers do not overflow.
    if not dtype.hasobject and declared != num_bytes - member.tell():
        raise ValueError(f"it declares {declared} bytes and has {num_bytes - member.tell()}")
