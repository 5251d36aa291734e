"""Checks of the arguments of public calls, at the door.

Each function returns the argument as the call goes on with it, or raises an ArgumentError of one
line that names it, what was given and what is expected.
"""

import math
import numbers as numbers_abc
import operator
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import (
    ArgumentError,
    ConfigError,
    DataError,
    StorageError,
    at_least,
    at_most,
    not_a,
    shown,
)

_Kind = TypeVar("_Kind")


def instance(name: str, value: object, kind: type[_Kind], expected: str = "") -> _Kind:
    """Returns what is an instance of a class.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(value, kind):
        raise ArgumentError(not_a(name, value, expected or f"a {kind.__name__}"))
    return value


def listed(name: str, value: object, kind: type[_Kind], *others: type[Any]) -> list[_Kind]:
    """Returns a list of instances of a class, from any iterable of them.

    Raises:
        ArgumentError: it is none, or holds something else.
    """
    kinds = (kind, *others)
    expected = f"a list of {kind.__name__} objects"
    if not isinstance(value, Iterable):
        raise ArgumentError(not_a(name, value, expected))
    try:
        found = list(value)
    except Exception as error:  # whatever somebody's object does
        raise ArgumentError(not_a(name, value, expected)) from error
    for index, one in enumerate(found):
        if not isinstance(one, kinds):
            raise ArgumentError(not_a(f"{name}[{index}]", one, expected))
    return found


def optional(name: str, value: object, kind: type[_Kind], expected: str = "") -> _Kind | None:
    """Returns None, or what is an instance of a class; see `instance`."""
    expected = expected or f"a {kind.__name__}"
    return None if value is None else instance(name, value, kind, f"{expected} or None")


def flag(name: str, value: object) -> bool:
    """Returns a truth value, NumPy's too."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(not_a(name, value, "True or False"))
    return bool(value)


def path(name: str, value: object) -> Path:
    """Returns a path that may have been given as text."""
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(not_a(name, value, "a path"))
    try:
        found = Path(value)
    except Exception:  # noqa: BLE001 - one of bytes, or whatever somebody's object does
        raise ArgumentError(not_a(name, value, "a path")) from None
    if value == "":
        raise ArgumentError(f"{name} is empty; expected a path")
    if "\0" in str(found):
        raise StorageError(f"{name} is {value!r}: no file's name may hold a NUL character")
    try:
        os.fsencode(found)
    except UnicodeEncodeError:
        raise StorageError(f"{name} is {value!r}, which no file can be called") from None
    return found


def function(name: str, value: object, expected: str) -> Callable[..., Any]:
    """Returns what can be called.

    Args:
        name: of the argument.
        value: what was given.
        expected: what it takes and returns, for the error.
    """
    if not callable(value):
        raise ArgumentError(not_a(name, value, expected))
    return value


def whole_number(name: str, value: Any, *, least: int = 0) -> int:
    """Returns a whole number, NumPy's too.

    Raises:
        ArgumentError: it is none.
        ConfigError: it is below `least`, or larger than any array.
    """
    expected = f"a whole number, {least} or more"
    if isinstance(value, (bool, np.bool_)):
        raise ArgumentError(not_a(name, value, expected))
    try:
        number = operator.index(value)
    except Exception:  # noqa: BLE001 - whatever somebody's object does
        raise ArgumentError(not_a(name, value, expected)) from None
    if number < least:
        raise ConfigError(at_least(name, number, least))
    if number > sys.maxsize:
        raise ConfigError(at_most(name, number, sys.maxsize))
    return number


def share(name: str, value: Any) -> float:
    """Returns a number in [0, 1).

    Raises:
        ArgumentError: it is no number.
        DataError: it is out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers_abc.Real):
        raise ArgumentError(not_a(name, value, "a number, 0 or more, below 1"))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0 <= number < 1:
        raise DataError(f"{name} is {shown(value)}; expected 0 or more, below 1")
    return number


def generator(name: str, value: object) -> np.random.Generator:
    """Returns a NumPy generator."""
    return instance(name, value, np.random.Generator, "a generator: numpy.random.default_rng(0)")


def array_of_numbers(name: str, value: object, kinds: str = "fiub") -> None:
    """Refuses what is no array of numbers already, of NumPy's `dtype.kind`."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        raise ArgumentError(not_a(name, value, "an array of numbers"))


def floats(name: str, value: object, axes: tuple[int | str, ...]) -> NDArray[Any]:
    """Returns an array of finite floating-point numbers, as it is where it is one already.

    Raises:
        ArgumentError: as `numbers`.
        DataError: one is NaN or infinite.
    """
    is_single = isinstance(value, np.ndarray) and value.dtype == np.float32
    array = numbers(name, value, axes, dtype=np.float32 if is_single else np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds NaN or an infinity")
    return array


def as_array(value: Any) -> NDArray[Any]:
    """Returns an array of whatever holds numbers, tensors that are trained or elsewhere, too.

    Raises:
        Exception: whatever somebody's object raises; ValueError where entries are masked, which an
            array would show as if they were there.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError("some entries are masked")
    if callable(getattr(type(value), "detach", None)):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # NumPy has no such type.
            value = value.float()
    array = np.asarray(value)
    if array.dtype.kind == "f" and (array.dtype.itemsize > 8 or not array.dtype.isnative):
        array = array.astype(np.float64)  # Torch has no other types.
    return array


def numbers(
    name: str, value: object, axes: tuple[int | str, ...], *, dtype: Any = np.float32
) -> NDArray[Any]:
    """Returns an array of numbers; lists are taken, too.

    Args:
        name: of the argument.
        value: what was given.
        axes: what each axis is called, or how long it must be.
        dtype: of the array that is returned; None leaves it as it is.

    Raises:
        ArgumentError: it holds something else than numbers, or is of another shape.
    """
    expected = f"({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''}) numbers"
    try:
        array = as_array(value)
    except Exception as error:  # ragged, on another device, or whatever somebody's object does
        raise ArgumentError(not_a(name, value, expected)) from error
    fits = array.ndim == len(axes) and all(
        isinstance(axis, str) or axis == length
        for axis, length in zip(axes, array.shape, strict=True)
    )
    if array.dtype.kind not in "fiub":
        raise ArgumentError(not_a(name, value, expected))
    if not fits:
        raise ArgumentError(
            not_a(name, array if isinstance(value, (list, tuple)) else value, expected)
        )
    with np.errstate(over="ignore"):  # What is too large is infinite, and told as that.
        return array if dtype is None else array.astype(dtype, copy=False)
