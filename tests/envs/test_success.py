import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs.success import as_success
from prefrl.envs.vec_env import make_vec_env
from prefrl.records.returns import return_metrics
from prefrl.runs.evaluation import evaluate
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Counting

YES = [True, 1, 1.0, np.True_, np.float32(1), np.int64(1), np.ones(1), np.array(1.0)]
NO = [False, 0, 0.0, np.False_, np.float64(0), np.zeros((1, 1), dtype=np.int8)]
NOTHING = [None, math.nan, "yes", b"1", [], {}, np.ones(2), object()]
SAID = {id(value): truth for values, truth in ((YES, True), (NO, False)) for value in values}
reports = st.sampled_from([*YES, *NO, *NOTHING])
steps = st.fixed_dictionaries({}, optional={"success": reports, "is_success": reports})
episodes = st.lists(steps, min_size=1, max_size=4)


def meaning(value: Any) -> bool | None:
    return None if value is None else SAID.get(id(value))


def expected(episode: list[dict[str, Any]]) -> bool | None:
    """Decides it again, in the plainest way."""
    at_end = meaning(episode[-1].get("is_success"))
    if at_end is not None:
        return at_end
    said = [meaning(step.get("success")) for step in episode]
    known = [each for each in said if each is not None]
    return any(known) if known else None


class Scripted(gym.Env[Any, Any]):
    """Plays episodes of the lengths, and with the infos, that were written down for it."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, script: list[list[dict[str, Any]]]) -> None:
        self._script = script
        self._episode, self._step = -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self._episode, self._step = self._episode + 1, 0
        return np.zeros(1, np.float32), {"success": True, "is_success": True}

    def step(self, action: Any):
        now = self._script[self._episode % len(self._script)]
        info = dict(now[self._step])
        self._step += 1
        return np.zeros(1, np.float32), 0.0, self._step == len(now), False, info


def still(observations: Any) -> np.ndarray:
    return np.zeros((len(observations), 2), dtype=np.float32)


@pytest.mark.parametrize(("values", "truth"), [(YES, True), (NO, False), (NOTHING, None)])
def test_booleans_and_numbers_report_success_and_nothing_else_does(values, truth):
    assert [as_success(value) for value in values] == [truth] * len(values)


@given(scripts=st.lists(st.lists(episodes, min_size=2, max_size=3), min_size=1, max_size=3))
def test_an_episode_succeeds_at_its_end_or_else_at_any_step(scripts):
    makers = iter(scripts)
    venv = make_vec_env(lambda: Scripted(next(makers)), len(scripts), EpisodeStore(1))
    venv.reset()
    found: list[list[bool | None]] = [[] for _ in scripts]
    while any(len(own) < len(script) for own, script in zip(found, scripts, strict=True)):
        _, _, dones, _ = venv.step(np.zeros((len(scripts), 2), np.float32))
        ended = venv.pop_finished()
        for i, episode in zip(np.flatnonzero(dones), ended, strict=True):
            found[i].append(episode.has_succeeded)
    for own, script in zip(found, scripts, strict=True):
        assert own[: len(script)] == [expected(episode) for episode in script]


@given(scripts=st.lists(episodes, min_size=1, max_size=5))
def test_an_evaluation_has_the_rate_of_what_it_played(scripts):
    makers = iter(scripts)
    make = lambda: Scripted([next(makers)])  # noqa: E731
    result = evaluate(still, make, num_episodes=len(scripts), seed=0)
    known = [said for said in map(expected, scripts) if said is not None]
    if known:
        assert result.success_rate == pytest.approx(np.mean(known))
    else:
        assert math.isnan(result.success_rate)


def test_what_an_unfinished_episode_reached_is_not_the_next_ones():
    venv = make_vec_env(
        lambda: Scripted([[{"success": 1}] * 3, [{"success": 0}]]), 1, EpisodeStore(1)
    )
    venv.reset()
    venv.step(np.zeros((1, 2), np.float32))
    venv.reset()
    venv.step(np.zeros((1, 2), np.float32))
    assert [episode.has_succeeded for episode in venv.pop_finished()] == [False]


def test_an_environment_that_reports_nothing_has_no_rate():
    venv = make_vec_env(Counting, 1, EpisodeStore(1))
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros((1, 2), np.float32))
    assert "success_rate" not in return_metrics(venv.pop_finished())
