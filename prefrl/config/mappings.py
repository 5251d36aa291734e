"""Free mappings among the settings, in the types that YAML holds."""

import enum
import os
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator

from prefrl.config.yaml_text import DEEPEST, LONGEST_NUMBER, MOST_VALUES
from prefrl.errors import shown

_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


class _Copier:
    """Copies a value into the types that YAML holds, so that config.yaml says all of it."""

    def __init__(self) -> None:
        self._num_values = 0

    def copied(self, value: Any, depth: int = 0) -> Any:
        """Returns the copy.

        Raises:
            ValueError: something in it has no such type, or it is endless or nearly so.
        """
        self._num_values += 1
        if depth > DEEPEST or self._num_values > MOST_VALUES:
            raise ValueError(
                f"expected at most {MOST_VALUES:,} values, {DEEPEST} deep; does it hold itself?"
            )
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            value = value.item()  # a NumPy scalar, without importing NumPy
        if isinstance(value, enum.Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) >= 10**LONGEST_NUMBER:
            raise ValueError(f"expected numbers of at most {LONGEST_NUMBER} digits")
        # As what they are at heart, whatever a class of somebody's makes of `str`.
        for kind, plain in _PLAIN.items():
            if isinstance(value, kind):
                return plain(value)
        if isinstance(value, os.PathLike):
            return os.fsdecode(value)
        if isinstance(value, (list, tuple)):
            return [self.copied(item, depth + 1) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {str.__str__(key): self.copied(item, depth + 1) for key, item in value.items()}
        raise ValueError(
            f"{shown(value)} cannot be written to config.yaml; use text, numbers, true, false, "
            "null, and lists and mappings of them"
        )


Mapping = Annotated[dict[str, Any], AfterValidator(lambda value: _Copier().copied(value))]
"""Copied when settings are made from it."""
