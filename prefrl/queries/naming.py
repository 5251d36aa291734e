"""Tables of things that users ask for by name."""

from collections.abc import Callable
from typing import TypeVar

_Named = TypeVar("_Named")


def into(table: dict[str, _Named], kind: str) -> Callable[[str], Callable[[_Named], _Named]]:
    """A decorator that enters what it stands above into a table, under the name it is given.

    Args:
        table: name -> thing.
        kind: what the table holds, with its article, for the error.

    Raises:
        ValueError: from the decorator, where the name is taken.
    """

    def named(name: str) -> Callable[[_Named], _Named]:
        def add(thing: _Named) -> _Named:
            if name in table:
                raise ValueError(f"there is {kind} {name!r} already")
            table[name] = thing
            return thing

        return add

    return named
