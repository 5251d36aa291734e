"""A clause of a contract: what must hold, and the line that says that it does not."""

import contextlib
import copy
import dataclasses
import random  # noqa: TID251 - looked at, not drawn from
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from prefrl.errors import ContractError, one_line, with_type


def require(holds: object, clause: str) -> None:
    """Raises where a clause is broken.

    Args:
        holds: whether it is kept.
        clause: what is wrong, for the one line.

    Raises:
        ContractError: it is not kept.
    """
    if not holds:
        raise ContractError(one_line(clause))


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Words whatever a part raises as a broken clause.

    Args:
        what: is called, with what.

    Raises:
        ContractError: something was raised within.
    """
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(one_line(f"{what} raised {with_type(error)}")) from error


@contextlib.contextmanager
def leaving_alone(who: str, **given: Any) -> Iterator[None]:
    """Requires that neither what is handed in nor a global generator changes within.

    Args:
        who: is called within.
        given: what is handed in, by name: arrays, or dataclasses of arrays.

    Raises:
        ContractError: something changed.
    """
    before, generators = copy.deepcopy(given), _global_generators()
    yield
    for name, thing in given.items():
        place = difference(before[name], thing, name)
        require(not place, f"{who} writes to {place}, which is not its own")
    touched = difference(generators, _global_generators(), "the global generator")
    require(not touched, f"{who} draws from {touched}; draw from a generator of its own or `rng`")


def difference(one: Any, other: Any, place: str) -> str:
    """Finds where two trees differ, to the last bit.

    Args:
        one: dicts, lists, tuples and dataclasses of arrays, tensors and plain values.
        other: another.
        place: how the trees are called.

    Returns:
        the place of the first difference, as `state['weights'][0]`; "" where there is none.
    """
    if dataclasses.is_dataclass(one) and type(one) is type(other):
        names = [field.name for field in dataclasses.fields(one)]
        parts = ((f"{place}.{n}", getattr(one, n), getattr(other, n)) for n in names)
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return place
        parts = ((f"{place}[{key!r}]", one[key], other[key]) for key in one)
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return place
        pairs = enumerate(zip(one, other, strict=True))
        parts = ((f"{place}[{i}]", left, right) for i, (left, right) in pairs)
    else:
        return "" if _same_leaf(one, other) else place
    return next((found for name, a, b in parts if (found := difference(a, b, name))), "")


def leaves(tree: Any) -> list[np.ndarray]:
    """Lists the arrays and tensors of a tree, as arrays."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [np.array(_plain(tree))] if hasattr(tree, "__array__") else []


def _plain(leaf: Any) -> Any:
    return leaf.detach().cpu().numpy() if hasattr(leaf, "detach") else leaf


def _same_leaf(one: Any, other: Any) -> bool:
    if hasattr(one, "__array__") and hasattr(other, "__array__"):
        one, other = np.asarray(_plain(one)), np.asarray(_plain(other))
        are_floats = one.dtype.kind == "f" and other.dtype.kind == "f"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=are_floats)
    return bool(one == other or (one != one and other != other))


def _global_generators() -> dict[str, Any]:
    """Reads the generators that libraries share; torch's only where torch is there."""
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - looked at, not drawn from
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state()
    return states
