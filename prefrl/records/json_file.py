"""The one reader of JSON: strict, and every damage is a line that names the file."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prefrl.errors import StorageError, one_line, text_of
from prefrl.records.files import content_of, reason

# Whole numbers of more digits are none that anything here has written, nor are deeper trees, which
# whoever walks through them would not come out of.
MAX_DIGITS = 40
MAX_DEPTH = 150

_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes | str) -> Any:
    """Parses JSON as RFC 8259 has it, and stricter.

    No NaN or Infinity, no key given twice, no whole number of more than 40 digits, no text that is
    not Unicode, no more than 150 levels.

    Raises:
        ValueError: the content is no such JSON; the message is one line.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        tree = json.loads(
            text,
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
        if _LONE_SURROGATE.search(text):
            json.dumps(tree, ensure_ascii=False).encode()
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(tree)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeError:
        raise ValueError("it holds text that is not Unicode") from None
    except ValueError as error:
        raise ValueError(text_of(error)) from None
    return tree


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file, of whatever content.

    Raises:
        StorageError: it is missing or cannot be read, or is not strict JSON; it is named.
    """
    path = Path(path)
    try:
        content = content_of(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = reason(error) if isinstance(error, OSError) else text_of(error)
        raise StorageError(f"could not read {path}: {said}") from None
    try:
        return parse_json(content)
    except (ValueError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {one_line(str(error)) or 'too large'}") from None


def read_json_object(
    path: str | os.PathLike[str],
    entries: Mapping[str, type | tuple[type, ...]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

    Args:
        path: the file.
        entries: which the object must have, and their kinds, as in `entry`.

    Raises:
        StorageError: as `read_json`, or it holds something else, or lacks an entry.
    """
    tree = read_json(path)
    if not isinstance(tree, dict):
        raise StorageError(f"{path} is damaged: expected a JSON object")
    try:
        for name, kind in entries.items():
            entry(tree, name, kind)
    except ValueError as error:
        raise StorageError(f"{path} is damaged: {error}") from None
    return tree


def entry(tree: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """Returns an entry of an object, of the kind it must be; a bool is no number.

    Raises:
        ValueError: it is missing or of another kind; the message names it.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if name not in tree:
        raise ValueError(f"it lacks {name!r}")
    value = tree[name]
    # By the very type: a bool is an int to Python.
    if type(value) not in kinds:
        expected = " or ".join(_NAMES[one] for one in kinds)
        raise ValueError(f"{name!r} is {_NAMES.get(type(value), 'something else')}, not {expected}")
    return value


_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    type(None): "null",
}


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"it holds the number {text[:MAX_DIGITS]}, which is too large")
    return number


def _no_number(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is no JSON")


def _check_depth(tree: Any) -> None:
    level = [tree] if isinstance(tree, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        inner = (node.values() if isinstance(node, dict) else node for node in level)
        level = [one for nodes in inner for one in nodes if isinstance(one, (dict, list))]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:MAX_DIGITS]!r} is given twice")
    return found
