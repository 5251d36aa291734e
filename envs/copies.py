"""Copies of what environments hand out and write to again later."""

import copy
from typing import Any

import numpy as np

# What nobody can write to, by far the most of an info; looked up before anything else is asked.
_SCALARS = frozenset({bool, int, float, complex, str, bytes, type(None)})
_SCALARS |= {np.bool_, np.float64, np.float32, np.int64, np.int32}


def copied(value: Any) -> Any:
    """Copies arrays, and containers with all that is in them; anything else is handed on.

    Unlike `copy.deepcopy`, which an info with a simulator or a lock in it would make slow, or fail.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is np.ndarray and not value.dtype.hasobject:
        return value.copy()
    if isinstance(value, dict):
        # Keys, too: nothing else tells an own dict from one that is filled anew.
        return _filled(value, {key: copied(part) for key, part in value.items()})
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [copied(part) for part in value]
        if hasattr(value, "_fields"):  # a named tuple
            return kind(*parts)
        return kind(parts)
    if isinstance(value, np.generic):
        return value
    if isinstance(value, (np.ndarray, bytearray)) or _is_tensor(value):
        return copy.deepcopy(value)
    return value


def copied_info(info: dict[str, Any]) -> dict[str, Any]:
    """Copies an info into a dict of one's own, to which may be added."""
    own = dict(info)
    for key, value in info.items():
        if type(value) not in _SCALARS:
            own[key] = copied(value)
    return own


def _filled(original: dict[Any, Any], parts: dict[Any, Any]) -> dict[Any, Any]:
    if type(original) is dict:
        return parts
    other = copy.copy(original)  # an OrderedDict, a defaultdict, one of somebody's own
    other.update(parts)
    return other


def _is_tensor(value: Any) -> bool:
    """Says whether it is torch's, without importing torch."""
    return type(value).__module__ == "torch" and hasattr(value, "detach")
