"""Copies of what environments hand out: own, equal, and made of whatever is in an info."""

import enum
import threading
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs.copies import copied, copied_info

Pair = namedtuple("Pair", "left right")


@dataclass(frozen=True)
class Frozen:
    inner: Any


@dataclass(slots=True)
class Slotted:
    inner: Any


class Plain:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


class TwoArguments(list[Any]):
    def __init__(self, first: Any, second: Any) -> None:
        super().__init__([first, second])


class Named(tuple[Any, ...]):
    def __new__(cls, first: Any, second: Any) -> "Named":
        return super().__new__(cls, (first, second))


class Colour(enum.Enum):
    RED = 1


def objects(values: Any) -> Any:
    array = np.empty(1, object)
    array[0] = values
    return array


HOLDERS: dict[str, Any] = {
    "dict": lambda part: {"a": part},
    "list": lambda part: [part],
    "tuple": lambda part: (part, 1),
    "deque": lambda part: deque([part], maxlen=3),
    "ordered": lambda part: OrderedDict(a=part),
    "default": lambda part: defaultdict(list, a=part),
    "user dict": lambda part: UserDict(a=part),
    "named": lambda part: Pair(part, 2),
    "frozen": Frozen,
    "slotted": Slotted,
    "plain": Plain,
    "namespace": lambda part: SimpleNamespace(inner=part),
    "objects": objects,
    "two": lambda part: TwoArguments(part, 1),
    "own tuple": lambda part: Named(part, 1),
}


def inside(value: Any) -> Any:
    """Returns what a holder holds."""
    if isinstance(value, (dict, UserDict)):
        return value["a"]
    if isinstance(value, (list, tuple, deque, np.ndarray)):
        return value[0]
    return value.inner


@given(st.lists(st.sampled_from(sorted(HOLDERS)), max_size=4))
def test_an_array_is_copied_wherever_it_is_held(names):
    array = np.zeros(3)
    value: Any = array
    for name in names:
        value = HOLDERS[name](value)
    own = copied_info({"held": value})["held"]
    array[:] = 7
    for name in reversed(names):
        assert type(own) is type(value), name
        own, value = inside(own), inside(value)
    assert own.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "value",
    [
        Counter("aab"),
        Pair(1, 2),
        TwoArguments(1, 2),
        Named(1, 2),
        deque([1], maxlen=2),
        Colour.RED,
        range(3),
        frozenset([1]),
        torch.ones(2, requires_grad=True) * 2,
    ],
)
def test_a_copy_is_equal_and_of_the_same_type(value):
    own = copied(value)
    assert type(own) is type(value)
    assert (own == value).all() if isinstance(own, torch.Tensor) else own == value
    assert getattr(own, "maxlen", None) == getattr(value, "maxlen", None)


@pytest.mark.parametrize(
    "value", [threading.Lock(), gym.make("Pendulum-v1"), copied, Colour, memoryview(b"")]
)
def test_what_is_no_data_is_handed_on(value):
    assert copied(value) is value


def test_a_lock_beside_an_array_keeps_neither_from_its_copy():
    lock, array = threading.Lock(), np.zeros(1)
    namespace, several = copied([SimpleNamespace(lock=lock, array=array), deque([lock, array])])
    array[:] = 1
    assert namespace.lock is several[0] is lock
    assert namespace.array == several[1] == 0


def test_an_info_may_hold_itself():
    info: dict[str, Any] = {"array": np.zeros(1)}
    info["info"] = info
    own = copied_info(info)
    info["array"][:] = 1
    assert own["array"] == 0
