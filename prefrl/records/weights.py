"""Weights on disk: safetensors, with a checksum; nothing in a file of them is ever run."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from prefrl.errors import StorageError, text_of
from prefrl.records.files import opened, reason, write_bytes_atomically

if TYPE_CHECKING:
    from torch import Tensor

_CHECKSUM = "crc32"


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors, atomically, with the checksum that safetensors lacks.

    Args:
        path: the file.
        tensors: by name.
        metadata: texts beside them, by name.

    Raises:
        StorageError: the file could not be written; what was there before is untouched.
    """
    from safetensors.torch import save  # Here, as other records are kept without torch.

    # Copies: some parts of a policy are the same tensor, which safetensors refuses.
    plain = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    content = save(plain, metadata={_CHECKSUM: _checksum(plain), **metadata})
    write_bytes_atomically(path, content)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads what `write_weights` wrote; a file of another program's has no checksum.

    Raises:
        StorageError: it is missing or damaged, or holds numbers that are not finite; it is named.
    """
    try:
        opened(path).close()
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        is_whole = metadata.get(_CHECKSUM, "") in ("", _checksum(tensors))
        is_finite = all(bool(_finite(tensor)) for tensor in tensors.values())
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}") from None
    except OSError as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from None
    except (SafetensorError, RuntimeError, TypeError, ValueError, LookupError, MemoryError) as e:
        said = text_of(e)
        raise StorageError(f"{path} is damaged: {said}") from None
    if not is_whole:
        raise StorageError(f"{path} is damaged: it has changed since it was written")
    if not is_finite:
        raise StorageError(f"{path} is damaged: it holds numbers that are not finite")
    return tensors, metadata


def _finite(tensor: Tensor) -> bool:
    if tensor.is_floating_point():
        tensor = tensor.double()
    return bool(tensor.isfinite().all())


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    import torch

    total = 0
    for name in sorted(tensors):
        content = tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes()
        total = zlib.crc32(content, zlib.crc32(name.encode(), total))
    return f"{total:08x}"
