"""Odd values in the place of arguments, and how a call ends that is given them."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import prefrl

ODD: dict[str, Any] = {
    "None": None,
    "text": "seventeen",
    "no text": "",
    "texts": ["a", "b"],
    "number": 17,
    "zero": 0,
    "negative": -3,
    "huge": 10**30,
    "fraction": 0.5,
    "NaN": math.nan,
    "truth": True,
    "object": object(),
    "class": dict,
    "mapping": {"a": 1},
    "nothing": [],
    "ragged": [[1.0], [1.0, 2.0]],
    "array of no axis": np.float64(1.0),
    "array of one axis": np.zeros(3),
    "array of two axes": np.zeros((2, 3)),
    "array of three axes": np.zeros((2, 4, 3)),
    "array of NaN": np.full((2, 4, 6), np.nan),
    "array of large numbers": np.full((2, 4, 6), 3e38),
    "array of texts": np.array(["a", "b"]),
    "array of objects": np.array([None, {}], dtype=object),
    "tensor": torch.zeros(2, 4, 6, requires_grad=True),
    "function": lambda: None,
    "bytes": b"a",
    "name with NUL": "a\0b",
}


class Lying:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        # What lacks a method is told by an AttributeError.
        raise RuntimeError("no\nshape") if name == "shape" else AttributeError(name)

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no\narray")

    def __index__(self) -> int:
        raise RuntimeError("no number")

    def __fspath__(self) -> str:
        raise RuntimeError("no path")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


NUMBERS: Any = np.random.default_rng(0).normal(size=(2, 4, 6))
MASKED: Any = np.ma.masked_array(NUMBERS, mask=NUMBERS > 0)
ODD |= {
    "lies": Lying(),
    "long text": "x" * 100_000,
    "lines": "a\nb",
    "no letter": "\ud800",
    "a folder": ".",
    "thousands of digits": 10**5_000,
    "array of an array": np.array(3),
    "matrix": np.matrix([[1.0, 2.0], [3.0, 4.0]]),
    "masked array": MASKED,
    "long doubles": NUMBERS.astype(np.longdouble),
    "bytes the other way round": NUMBERS.astype(NUMBERS.dtype.newbyteorder()),
    "tensor of half precision": torch.zeros(2, 4, 6, dtype=torch.bfloat16),
    "tensor of no axis": torch.tensor(0.5),
    "tensor that is nowhere": torch.zeros(2, 4, 6, device="meta"),
    "generator": (number for number in range(3)),
}

Valid = tuple[Callable[..., Any], dict[str, Any]]


def fault_of(call: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """Returns what is wrong with how a call ended; "" where it worked or was refused in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(**arguments)
        except prefrl.PrefrlError as error:
            said = str(error)
            return "" if said.strip() and "\n" not in said else f"{said!r} is not one line"
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return f"{type(error).__name__}: {error}"
    return ""


def faults_of(made: Callable[[], Valid]) -> str:
    """Returns all that is wrong where one argument after the other is replaced by something odd.

    Each call is made anew, as what one call leaves behind may hide what the next would do.
    """
    faults = []
    for argument in made()[1]:
        for kind, odd in ODD.items():
            call, valid = made()
            if fault := fault_of(call, {**valid, argument: odd}):
                faults.append(f"{argument} = {kind}: {fault}")
    return "\n".join(faults)


odd_ones = st.sampled_from(sorted(ODD))
