import copy
import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from prefrl.envs.wrapper_arguments import plain

numbers = st.booleans() | st.integers() | st.floats() | st.text() | st.none() | st.binary()
values = st.recursive(
    numbers
    | arrays.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), st.integers(0, 4))
    | st.frozensets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(values)
def test_any_value_is_json_and_that_of_its_copy(value):
    written = plain(value)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert plain(copy.deepcopy(value)) == written


def shifted_by(number: Any, times: int = 1) -> Any:
    def shifted(value: Any) -> Any:
        return value + times * number

    return shifted


class Scale:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, value: Any) -> Any:
        return value * self.factor


@pytest.mark.parametrize(
    "make",
    [
        shifted_by,
        lambda number: shifted_by(1, times=number),
        lambda number: lambda value: value if number else shifted_by(number)(value),
        Scale,
        lambda number: Scale(number).__call__,
        lambda number: partial(pow, number),
        lambda number: {"deep": [shifted_by(number)]},
        lambda number: np.full(2_000, number),
    ],
)
def test_what_does_the_same_is_equal_and_what_does_other_things_is_not(make):
    assert plain(make(2)) == plain(make(2))
    assert plain(make(2)) != plain(make(3))


def test_functions_of_other_code_differ():
    assert plain(lambda value: value + 1) == plain(lambda value: value + 1)
    assert plain(lambda value: value + 1) != plain(lambda value: value + 2)
    assert plain(lambda value: value + 1) != plain(lambda value: value - 1)


def test_what_holds_itself_is_written_down_as_well():
    def again(value: Any) -> Any:
        return again(value)

    held: list[Any] = [again]
    held.append(held)
    json.dumps(plain(held))
