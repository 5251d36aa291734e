"""Free mappings among the settings, in the types that YAML holds."""

import reprlib
from typing import Annotated, Any

from pydantic import AfterValidator


def _plain(value: Any) -> Any:
    """Returns the value in the types that YAML holds, so that config.yaml says all of it."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy scalar, without importing NumPy
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item) for key, item in value.items()}
    raise ValueError(
        f"{reprlib.repr(value)} cannot be written to config.yaml; use text, numbers, true, "
        "false, null, and lists and mappings of them"
    )


Mapping = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Copied when settings are made from it."""
