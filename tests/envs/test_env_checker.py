"""Tests of the door: environments of one kind, and vector environments as SB3's are."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from prefrl import RewardVecEnv
from prefrl.envs import make_env, make_vec_env
from prefrl.errors import ContractError, EnvironmentFault, PrefrlError, SpaceError
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Counting, looking_ahead, side_by_side
from tests.envs.test_other_peoples_buffers import Native


class Wider(Counting):
    """Takes actions from another range."""

    action_space: Any = spaces.Box(np.array([-2.0, 0.0], "f"), np.array([3.0, 10.0], "f"))


class Other(Counting):
    """Of another class, with the same spaces."""


@pytest.mark.parametrize(
    ("makers", "said"),
    [
        (
            [lambda: make_env("HalfCheetah-v4"), lambda: make_env("Hopper-v4")],
            "HalfCheetah-v4 is the first, Hopper-v4 is number 1",
        ),
        ([Counting, Other], "Counting is the first, Other is number 1"),
        ([Counting, Counting, lambda: TimeLimit(Counting(), 7)], "time limit is 7, not None"),
    ],
)
def test_robots_of_several_kinds_side_by_side_are_refused_by_name(makers, said):
    each = iter(makers)
    with pytest.raises(SpaceError, match=said):
        make_vec_env(lambda: next(each)(), len(makers), EpisodeStore())  # noqa: PLW0108


@pytest.mark.parametrize("other", [Other, Wider, lambda: TimeLimit(Counting(), 7)])
def test_so_they_are_where_sb3_put_them_side_by_side(other: Callable[[], gym.Env[Any, Any]]):
    with pytest.raises(SpaceError, match="side by side"):
        RewardVecEnv(side_by_side([Counting, other]), looking_ahead)


def test_one_that_is_wrapped_in_what_only_looks_on_is_of_the_same_kind_as_one_that_is_bare():
    RewardVecEnv(side_by_side([Counting, lambda: OrderEnforcing(Counting())]), looking_ahead)


class Peculiar(Native):
    """A simulator's own vector environment in which one thing is done otherwise."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__("good")
        self._change = change

    def step_wait(self) -> Any:
        return self._change(super().step_wait())


def renamed(outcome: Any) -> Any:
    obs, rewards, dones, infos = outcome
    for info in infos:
        if "terminal_observation" in info:
            info["final_observation"] = info.pop("terminal_observation")
    return obs, rewards, dones, infos


def without(outcome: Any) -> Any:
    for info in outcome[3]:
        info.pop("terminal_observation", None)
    return outcome


PUT_RIGHT: list[Callable[[Any], Any]] = [
    lambda o: (o[0], o[1], o[2].astype(int), o[3]),
    lambda o: (o[0], o[1][:, None], o[2][:, None], o[3]),
    lambda o: (o[0], o[1].tolist(), o[2].tolist(), o[3]),
    lambda o: [*o],
    renamed,
]


@pytest.mark.parametrize("change", PUT_RIGHT)
def test_what_can_be_put_right_in_a_simulators_own_is(change):
    outcomes = []
    for venv in (Native("good"), Peculiar(change)):
        rewarded = RewardVecEnv(venv, looking_ahead)
        rewarded.reset()
        steps = [rewarded.step(np.full((2, 2), 0.5, "f")) for _ in range(9)]
        outcomes.append([step[:3] for step in steps])
    np.testing.assert_equal(outcomes[1], outcomes[0])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (without, ContractError, r"without infos\[i\]\['terminal_observation'\]"),
        (lambda o: o[:3], ContractError, "did not return four things"),
        (lambda o: (*o[:3], None), ContractError, "one dict for each of its 2"),
        (lambda o: (*o[:3], o[3][:1]), ContractError, "one dict for each of its 2"),
        (lambda o: (o[0], o[1][:1], *o[2:]), ContractError, "rewards of shape"),
        (lambda o: (o[0], None, *o[2:]), ContractError, "rewards of shape"),
        (lambda o: (*o[:2], "no", o[3]), ContractError, "dones of shape"),
        (lambda o: (o[0][:1], *o[1:]), EnvironmentFault, r"shape \(1, 3\)"),
    ],
)
def test_what_cannot_is_named_in_a_line(change, error: type[PrefrlError], said):
    venv = RewardVecEnv(Peculiar(change), looking_ahead)
    venv.reset()

    def played() -> None:
        for _ in range(9):
            venv.step(np.zeros((2, 2), "f"))

    with pytest.raises(error, match=said):
        played()
