"""Copies of what environments hand out and write to again later."""

import copy
import dataclasses
from collections import deque
from collections.abc import Iterable, MutableMapping
from types import SimpleNamespace
from typing import Any

import numpy as np

# What nobody can write to, by far the most of an info; looked up before anything else is asked.
_SCALARS = frozenset({bool, int, float, complex, str, bytes, type(None)})
_SCALARS |= {np.bool_, np.float64, np.float32, np.int64, np.int32}
_CONTAINERS = (list, tuple, set, frozenset, deque, bytearray, np.ndarray, MutableMapping)
_DATA: Any = (*_SCALARS, np.generic, *_CONTAINERS)


def copied(value: Any) -> Any:
    """Copies arrays, containers and objects made of them, with all that is in them.

    Anything else is handed on: unlike `copy.deepcopy`, which an info with a simulator or a lock in
    it would make slow, or fail.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is np.ndarray and not value.dtype.hasobject:
        return value.copy()
    if kind is dict:
        return {key: copied(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return kind([copied(part) for part in value])
    if isinstance(value, (np.generic, type)):
        return value
    if isinstance(value, dict):
        other = copy.copy(value)  # an OrderedDict, a defaultdict, one of somebody's own
        for key, part in value.items():
            dict.__setitem__(other, key, copied(part))  # A Counter's own adds.
        return other
    if _is_tensor(value):
        return value.clone()
    return _copied_object(value)


def copied_info(info: dict[str, Any]) -> dict[str, Any]:
    """Copies an info into a dict of one's own, to which may be added."""
    own = dict(info)
    try:
        for key, value in info.items():
            if type(value) not in _SCALARS:
                own[key] = copied(value)
    except RecursionError:  # It holds itself, which only this one looks for.
        own = dict(copy.deepcopy(info))
    return own


def _copied_object(value: Any) -> Any:
    parts = {} if isinstance(value, _CONTAINERS) else _parts_of(value)
    if not parts and not isinstance(value, _CONTAINERS):
        return value
    try:
        if isinstance(value, tuple):  # a named one, or one whose class takes other arguments
            return tuple.__new__(type(value), [copied(part) for part in value])
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return copy.deepcopy(value)
        other = copy.copy(value)
        if other is not value:
            for key, part in _places(value):
                other[key] = copied(part)
            for name, part in parts.items():
                object.__setattr__(other, name, copied(part))  # a frozen dataclass's too
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001 - somebody's class may forbid that
        return value
    return other


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    """Returns where in a container what may be written to stands."""
    if isinstance(value, (list, deque)):
        return enumerate(value)
    if isinstance(value, MutableMapping):
        return value.items()
    return np.ndenumerate(value) if isinstance(value, np.ndarray) else ()


def _parts_of(value: Any) -> dict[str, Any]:
    """Returns the attributes of an object that is made of data; none of a simulator or a lock."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        return {name: getattr(value, name) for name in names}
    parts = dict(getattr(value, "__dict__", {}))
    is_data = isinstance(value, SimpleNamespace) or all(
        isinstance(part, _DATA) or _parts_of(part) for part in parts.values()
    )
    return parts if is_data else {}


def _is_tensor(value: Any) -> bool:
    """Says whether it is torch's, without importing torch."""
    return type(value).__module__ == "torch" and hasattr(value, "detach")
