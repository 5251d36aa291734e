"""Parts that break one clause of their contract each, in a table."""

from collections.abc import Callable
from typing import TypeVar

_Part = TypeVar("_Part", bound=Callable[..., object])


def broken(table: dict[str, tuple[str, _Part]]) -> Callable[[str], Callable[[_Part], _Part]]:
    """A decorator that enters a broken part into a table, with what must be said of it."""

    def breaks(said: str) -> Callable[[_Part], _Part]:
        def enter(part: _Part) -> _Part:
            table[part.__name__.replace("_", " ")] = (said, part)
            return part

        return enter

    return breaks
