"""A cell of a benchmark's grid, and the plain JSON values that cells and results are made of."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.errors import ConfigError, DataError, not_a

Row = dict[str, Any]
"""A measurement of a cell: JSON values by name, null where one is not known."""

Keep = Callable[[], None]
"""Says that what the work folder holds now is worth going on from, wherever the cell goes on."""

TRUE_REWARD = "true reward"
"""The strategy of the arm that asks nothing: it trains on the environment's own reward."""

TRAINING_RETURN = "training_true_return"
"""The return of training episodes, where the return of a row is one of evaluation."""

AXES = ("mode", "env", "strategy", "teacher", "seed", "settings")
_PART_LENGTH = 32  # letters of each axis in an id: file systems allow 255 in all


@dataclass(frozen=True, eq=False)
class Cell:
    """One thing to run: two cells are the same if their ids are.

    Args:
        mode: what is done, such as a whole run or choosing from a fixed pool.
        env: the environment.
        strategy: the query strategy.
        teacher: who answers.
        seed: 0 or more.
        settings: whatever else the outcome depends on, as JSON values; copied.

    Raises:
        ConfigError: a part is missing, or not a plain value.
    """

    mode: str
    env: str
    strategy: str
    teacher: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(init=False, repr=False)
    """Readable, then a hash of everything: the same everywhere, and fit to name a folder."""

    def __post_init__(self) -> None:
        for name in ("mode", "env", "strategy", "teacher"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ConfigError(f"a cell's {name} is {value!r}; expected its name")
        if type(self.seed) is not int or self.seed < 0:
            raise ConfigError(f"a cell's seed is {self.seed!r}; expected a whole number, 0 or more")
        if not isinstance(self.settings, Mapping):
            raise ConfigError(f"a cell's settings are {self.settings!r}; expected them by name")
        try:
            settings = plain(self.settings, "settings")
        except DataError as error:
            raise ConfigError(f"a cell's {error}") from None
        object.__setattr__(self, "settings", settings)
        parts = (self.mode, self.env, self.strategy, self.teacher, f"s{self.seed}")
        readable = "-".join(re.sub(r"[^A-Za-z0-9_]+", "-", one)[:_PART_LENGTH] for one in parts)
        object.__setattr__(self, "id", f"{readable.strip('-')}-{digest(self.fields())}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def fields(self) -> dict[str, Any]:
        """Returns its parts by name, as `Cell(**fields)` takes them."""
        return {name: getattr(self, name) for name in AXES}


CellFunction = Callable[[Cell, Path, Keep], list[Row]]
"""Runs a cell in a work folder, which holds what an earlier attempt left, and returns its rows."""


def plain(value: Any, place: str, *, nan_is_null: bool = False) -> Any:
    """Copies a tree of values in JSON's own types; NumPy's numbers become Python's.

    Args:
        value: the tree; tuples become lists.
        place: what it is called in an error.
        nan_is_null: what is NaN is not known; otherwise it is refused, as infinities are.

    Raises:
        DataError: something in the tree has no place in JSON.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if nan_is_null and math.isnan(value):
            return None
        raise DataError(f"{place} is {value}; expected a finite number")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise DataError(f"{place} has the key {key!r}; expected a string")
        return {
            key: plain(one, f"{place}[{key!r}]", nan_is_null=nan_is_null)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            plain(one, f"{place}[{index}]", nan_is_null=nan_is_null)
            for index, one in enumerate(value)
        ]
    raise DataError(not_a(place, value, "a plain JSON value"))


def plain_rows(rows: Any) -> list[Row]:
    """Returns a cell's result as it is stored.

    Raises:
        DataError: it is not a list of mappings of plain JSON values, or a row has a name that says
            which cell it is of.
    """
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"the cell returned a {type(rows).__name__}; expected a list of mappings")
    found: list[Row] = plain(rows, "rows", nan_is_null=True)
    for index, row in enumerate(found):
        if taken := sorted(row.keys() & {"cell", *AXES}):
            raise DataError(f"rows[{index}] has the key {taken[0]!r}, which says whose row it is")
    return found


def digest(value: Any) -> str:
    """Returns 12 hexadecimal digits that stand for a tree of JSON values, whatever its keys' order.

    1.0 is 1, as in JSON itself and in RFC 8785, from which we depart in how other numbers are put.
    """

    def canonical(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: canonical(one) for key, one in node.items()}
        if isinstance(node, list):
            return [canonical(one) for one in node]
        return int(node) if isinstance(node, float) and node.is_integer() else node

    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
