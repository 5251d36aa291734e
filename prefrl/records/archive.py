"""Zip archives of arrays: read without trusting what they declare, written without pickles.

Everything of ours that ends in `.npz` is read through `OpenArchive`: answers, questions, episodes
and checkpoints. Before any of it is parsed, or memory is taken for it, every member was read once
and is as long as it says and as it was when it was written.
"""

import ast
import contextlib
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from prefrl.errors import StorageError, one_line, text_of
from prefrl.records.files import opened, reason

# What damaged bytes make zipfile and NumPy raise.
ARCHIVE_DAMAGE = (
    *(
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        OSError,
        EOFError,
        RuntimeError,
    ),
    *(NotImplementedError, ValueError, TypeError, LookupError, OverflowError, MemoryError),
    *(SyntaxError, tokenize.TokenError, AttributeError),  # of a header that is no Python
)

# What an archive may unpack to: so many bytes, or so many times its own size if that is more.
MAX_UNPACKED = 256 * 2**20
MAX_RATIO = 100

_CHUNK = 2**20
_ARRAY = ".npy"


# The record at the end of a zip archive: its mark, where it has the number of members, 0xFFFF for
# one that stands elsewhere, and how long it is with the longest comment.
_END_MARK = b"PK\x05\x06"
_AT_NUM_MEMBERS = 10
_MANY = 0xFFFF
_LONGEST_END = 22 + 0xFFFF


class OpenArchive:
    """An archive that is open, and whose members are whole.

    Args:
        archive: the open zip file.
        size: its bytes on disk.
        is_packed: its members may be compressed.

    Raises:
        ValueError: a member is given twice, is damaged, or unpacks to more than it may; or another
            of the errors in `ARCHIVE_DAMAGE`.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int, *, is_packed: bool) -> None:
        self._archive = archive
        self.members = {info.filename: info for info in archive.infolist()}
        if len(self.members) < len(archive.infolist()):
            names = [info.filename for info in archive.infolist()]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice} is in it twice")
        declared = _num_declared(archive)
        if declared not in (len(self.members), _MANY):
            raise ValueError(f"it declares {declared} members and has {len(self.members)}")
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED and not is_packed:
                raise ValueError(f"{info.filename} in it claims to be compressed")
        self.num_bytes = sum(info.file_size for info in archive.infolist())
        most = max(MAX_UNPACKED, MAX_RATIO * size) if is_packed else size
        if self.num_bytes > most:
            raise ValueError(f"it has {size} bytes, but would unpack to {self.num_bytes}")
        for info in archive.infolist():
            self._check_whole(info)

    def _check_whole(self, info: zipfile.ZipInfo) -> None:
        """Reads a member to its end, where its checksum is compared."""
        found = 0
        try:
            with self._archive.open(info) as member:
                while chunk := member.read(_CHUNK):
                    found += len(chunk)
        except zipfile.BadZipFile as error:
            name = info.filename.removesuffix(_ARRAY)
            if "CRC" in str(error):
                raise ValueError(f"{name} has changed since it was written") from None
            raise ValueError(f"{name}: {text_of(error)}") from None
        if found != info.file_size:
            name = info.filename.removesuffix(_ARRAY)
            raise ValueError(f"{name} declares {info.file_size} bytes and has {found}")

    def read(self, name: str) -> bytes:
        """Returns the content of a member.

        Raises:
            ValueError: there is none.
        """
        return self._archive.read(self._member(name))

    def array(self, name: str) -> NDArray[Any]:
        """Returns the array of the member `name.npy`.

        Raises:
            ValueError: there is none, or it is not an array that may be read; it is named.
        """
        info = self._member(name + _ARRAY)
        try:
            with self._archive.open(info) as member:
                _check_header(member, info.file_size, longest=self.num_bytes)
            with self._archive.open(info) as member:
                array = npy.read_array(member, allow_pickle=False)
            return np.asarray(array, order="C")
        except ARCHIVE_DAMAGE as error:
            raise ValueError(f"{name}: {text_of(error)}") from None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns every member as an array, by name.

        Raises:
            ValueError: one is no array; it is named.
        """
        for name in self.members:
            if not name.endswith(_ARRAY):
                raise ValueError(f"{name} in it is no array")
        names = [name.removesuffix(_ARRAY) for name in self.members]
        return {name: self.array(name) for name in names}

    def extract_all(self, folder: Path) -> None:
        """Unpacks every member into a folder; none comes to lie outside of it.

        Raises:
            StorageError: the disk refused.
        """
        try:
            self._archive.extractall(folder)
        except OSError as error:
            raise StorageError(f"could not write into {folder}: {reason(error)}") from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.members:
            raise ValueError(f"{name} is missing")
        return self.members[name]


def _num_declared(archive: zipfile.ZipFile) -> int:
    """Returns how many members an archive's end says it has, which zipfile does not compare."""
    assert archive.fp is not None
    file_size = archive.fp.seek(0, os.SEEK_END)
    archive.fp.seek(max(file_size - _LONGEST_END, 0))
    end = archive.fp.read()
    (num,) = struct.unpack_from("<H", end, end.rfind(_END_MARK) + _AT_NUM_MEMBERS)
    return int(num)


@contextlib.contextmanager
def open_archive(
    path: str | os.PathLike[str], kind: str, *, is_packed: bool = True
) -> Iterator[OpenArchive]:
    """Opens an archive, which is checked as a whole.

    What goes wrong while it is open is damage, too: a part that is not what it must be is told by
    any of the errors in `ARCHIVE_DAMAGE`, such as ValueError.

    Args:
        path: the file.
        kind: what it should hold: "comparisons".
        is_packed: its members may be compressed.

    Raises:
        StorageError: the file is missing, cannot be read, is no such archive, or is damaged; it is
            named, and so is the member.
    """
    path = Path(path)
    try:
        file = opened(path)
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = reason(error) if isinstance(error, OSError) else text_of(error)
        raise StorageError(f"cannot read {path}: {said}") from None
    with file:
        try:
            start = file.read(4)
            if not start:
                raise StorageError(f"{path} is damaged: it is empty")
            if not start.startswith(b"PK"):
                raise StorageError(
                    f"{path} holds no {kind}: it is no {path.suffix or '.npz'} archive"
                )
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile("its end is missing")
            size = os.fstat(file.fileno()).st_size
            with zipfile.ZipFile(file) as archive:
                yield OpenArchive(archive, size, is_packed=is_packed)
        except ARCHIVE_DAMAGE as error:
            said = one_line(str(error)) or "it ends too early"
            raise StorageError(f"{path} is damaged: {said}") from None


def read_arrays(path: str | os.PathLike[str], kind: str = "arrays") -> dict[str, NDArray[Any]]:
    """Reads every array of an archive.

    Args:
        path: the file.
        kind: what it should hold: "comparisons".

    Raises:
        StorageError: the file is missing, cannot be read, is no such archive, or is damaged; it is
            named, and so is the array.
    """
    with open_archive(path, kind) as archive:
        return archive.arrays()


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


def _check_header(member: IO[bytes], num_bytes: int, *, longest: int) -> None:
    """Refuses an array that declares another size than it has, before memory is taken for it.

    Args:
        member: the array, from its beginning.
        num_bytes: of the member, as counted.
        longest: the most rows of an array without bytes, such as (R, 0), so that nothing is made
            for rows that no other array has either.
    """
    version = npy.read_magic(member)
    shape, dtype = _header(member, version)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(length < 0 for length in shape):
        raise ValueError(f"it has the shape {shape}")
    declared = dtype.itemsize
    for length in shape:
        declared *= length  # Python's numbers do not overflow.
    if declared != num_bytes - member.tell():
        raise ValueError(f"it declares {declared} bytes and has {num_bytes - member.tell()}")
    if not dtype.itemsize and 0 not in shape:
        raise ValueError(f"it is of type {dtype}, which has no bytes")
    if any(length > longest for length in shape):
        raise ValueError(f"it has the shape {shape}, in a file of {longest} bytes")


def _header(member: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Reads the shape and the dtype of an array."""
    if version == (3, 0):  # As (2, 0), but in UTF-8; NumPy has no public reader of it.
        (length,) = struct.unpack("<I", member.read(4))
        fields = ast.literal_eval(member.read(min(length, 10_000)).decode("utf-8"))
        return fields["shape"], npy.descr_to_dtype(fields["descr"])
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype
