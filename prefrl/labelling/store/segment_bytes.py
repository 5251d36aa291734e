"""Segments as bytes: a header in JSON, then one array behind the other.

Nothing is unpickled, and no more memory is taken than there are bytes.
"""

import json
import math
import struct
import zlib
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, StorageError, text_of
from prefrl.segments import SegmentBatch
from prefrl.segments.stored import segments_of

_START = struct.Struct("<II")  # CRC-32 of all that follows it, and bytes of the header
_DTYPES = ("<f4", "<f8", "<i8", "|b1")


def bytes_of(batch: SegmentBatch) -> bytes:
    """Returns segments as bytes."""
    header, parts = {}, []
    for one in fields(SegmentBatch):
        array: NDArray[Any] = getattr(batch, one.name)
        # Little-endian wherever it is written; NumPy's own names of the types are kept.
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        if array.dtype.str not in _DTYPES:
            array = array.astype(_wider(array.dtype))
        header[one.name] = [array.dtype.str, list(array.shape)]
        parts.append(array.tobytes())
    text = json.dumps(header).encode()
    body = b"".join([struct.pack("<I", len(text)), text, *parts])
    return struct.pack("<I", zlib.crc32(body)) + body


def segments_from(stored: bytes, what: str) -> SegmentBatch:
    """Returns the segments that `bytes_of` made bytes of.

    Args:
        stored: the bytes.
        what: they are, for the error: "the left segment of question 3".

    Raises:
        StorageError: the bytes are damaged.
    """
    try:
        return segments_of(_arrays(bytes(stored)), is_reward_known=False)
    except (DataError, ValueError, TypeError, struct.error) as error:
        raise StorageError(f"{what} is damaged: {text_of(error)}") from None


def _wider(dtype: np.dtype[Any]) -> str:
    return {"f": "<f8", "i": "<i8", "u": "<i8", "b": "|b1"}[dtype.kind]


def _arrays(stored: bytes) -> dict[str, NDArray[Any]]:
    crc, length = _START.unpack_from(stored)
    if zlib.crc32(stored[4:]) != crc:
        raise ValueError("it has changed since it was written")
    header = json.loads(stored[_START.size : _START.size + length])
    arrays, at = {}, _START.size + length
    for name, (dtype, shape) in header.items():
        if dtype not in _DTYPES:
            raise ValueError(f"{name} is of type {dtype}")
        count = math.prod(shape)
        end = at + count * np.dtype(dtype).itemsize
        if end > len(stored):
            raise ValueError(f"{name} ends too early")
        # A copy: what lies in bytes could not be written to, and starts where it happens to.
        flat = np.frombuffer(stored, dtype=dtype, count=count, offset=at)
        arrays[name] = flat.reshape(shape).copy()
        at = end
    if at != len(stored):
        raise ValueError(f"{len(stored) - at} bytes follow it")
    return arrays
