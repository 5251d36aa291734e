"""Writes arguments of any type down as plain values, so that those that do the same are equal."""

import hashlib
import math
from collections.abc import Mapping, Set
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
from gymnasium import spaces

_MOST_NUMBERS = 1_000  # of an array that is written down whole
_DEEPEST = 4  # of what is written down of arguments within arguments


def plain(value: Any, depth: int = 0) -> Any:
    """Returns what JSON can hold of a value; of a function its name and a digest of what it does.

    Args:
        value: anything; what it holds more than four levels down is only named.
        depth: levels above it.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, spaces.Space):
        return " ".join(str(value).split())
    if isinstance(value, (bytes, bytearray)):
        return f"bytes, {_digest(bytes(value))}"
    if depth >= _DEEPEST:
        return type(value).__qualname__
    if isinstance(value, np.ndarray):
        return _array(value, depth)
    if isinstance(value, Mapping):
        return {str(key): plain(part, depth + 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, depth + 1) for part in value]
    if isinstance(value, Set):
        return sorted(repr(plain(part, depth + 1)) for part in value)
    return _named(value, depth + 1)


def _array(value: Any, depth: int) -> Any:
    if value.size <= _MOST_NUMBERS:
        return plain(value.tolist(), depth)
    content = b"" if value.dtype.hasobject else value.tobytes()
    return f"array {value.shape}, {_digest(content)}"


def _named(value: Any, depth: int) -> str:
    """Names a function, with a digest of what it does, or an object's class with its numbers."""
    if isinstance(value, partial):
        return f"{plain(value.func, depth)}{plain([value.args, value.keywords], depth)}"
    if isinstance(value, MethodType):
        return f"{plain(value.__func__, depth)} of {plain(value.__self__, depth)}"
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        does = repr((_code(value.__code__), plain(held, depth), plain(value.__defaults__, depth)))
        return f"{value.__name__}, {_digest(does.encode())}"
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kept = vars(value) if hasattr(value, "__dict__") else {}
    shown = (int, float, str, np.ndarray)
    own = {name: plain(part, depth) for name, part in kept.items() if isinstance(part, shown)}
    return f"{type(value).__qualname__}{own}"


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # of a name that is not bound yet
        return False


def _code(code: CodeType) -> list[Any]:
    return [code.co_code, code.co_names, [_constant(part) for part in code.co_consts]]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    # A set is in another order in every process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
