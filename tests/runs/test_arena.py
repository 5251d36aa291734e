import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from prefrl.envs import make_vec_env
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.errors import ConfigError
from prefrl.runs.arena import Arena
from prefrl.runs.evaluation import evaluate
from prefrl.segments import EpisodeStore
from tests.own_envs import PointMass, Single


def still(observations: Any) -> np.ndarray:
    return np.zeros((len(observations), 2), dtype=np.float32)


class Maker:
    """Makes environments of 10 steps, up to a number of them, and counts those that are open."""

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        self.made = self.open = 0

    def __call__(self) -> gym.Env:
        if self.open == self.at_most:
            raise RuntimeError("the licence\nis taken")
        self.made += 1
        self.open += 1
        env = PointMass()
        env.close = self._close  # type: ignore[method-assign]
        return TimeLimit(env, 10)

    def _close(self) -> None:
        self.open -= 1


def test_own_environments_are_made_once_and_closed_at_the_end():
    make = Maker(9)
    arena = Arena(make, [make()], num_episodes=3)
    for _ in range(2):
        arena.open()
        rollouts = arena.play(still, seed=0, reward_function=None)
        assert np.bincount(rollouts.episode).tolist() == [10, 10, 10]
    assert not arena.is_training
    assert make.made == 4
    arena.close()
    assert make.open == 1, "the training environment is not its own"


def test_until_own_ones_are_opened_it_plays_in_the_training_environment_and_makes_none():
    make = Maker(9)
    arena = Arena(make, [make()], num_episodes=3)
    rollouts = arena.play(still, seed=0, reward_function=None)
    assert np.bincount(rollouts.episode).tolist() == [10, 10, 10]
    assert arena.is_training
    assert make.made == 1


def test_where_not_all_can_be_made_the_episodes_are_played_in_those_that_can():
    make = Maker(3)
    arena = Arena(make, [make()], num_episodes=3)
    arena.open()
    assert not arena.is_training
    assert make.open == 3
    rollouts = arena.play(still, seed=0, reward_function=None)
    assert np.bincount(rollouts.episode).tolist() == [10, 10, 10]
    arena.close()
    assert make.open == 1


def test_where_none_can_be_made_it_says_so_and_plays_in_the_training_environment():
    make = Maker(1)
    arena = Arena(make, [make()], num_episodes=3)
    said = (
        r"no further environment could be made \(RuntimeError: the licence is taken\); "
        "evaluations are played"
    )
    with pytest.warns(UserWarning, match=said):
        arena.open()
    assert arena.is_training
    rollouts = arena.play(still, seed=0, reward_function=None)
    assert np.bincount(rollouts.episode).tolist() == [10, 10, 10]
    arena.close()
    assert make.open == 1


def test_own_ones_that_were_asked_for_are_insisted_on():
    make = Maker(1)
    arena = Arena(make, [make()], num_episodes=1, place="own")
    said = r"could be made \(.*the licence is taken\); evaluate .* with eval_in='training'"
    with pytest.raises(ConfigError, match=said):
        arena.open()


def test_no_further_environment_is_even_tried_where_the_training_one_was_asked_for():
    make = Maker(9)
    arena = Arena(make, [make(), make()], num_episodes=3, place="training")
    arena.open()
    rollouts = arena.play(still, seed=0, reward_function=None)
    assert rollouts.num_episodes == 3
    assert make.made == 2


def test_training_episodes_that_are_cut_are_played_whole():
    arena = Arena(Single, [CutEpisodes(TimeLimit(PointMass(), 10), 4)], num_episodes=2)
    rollouts = arena.play(still, seed=0, reward_function=None)
    assert np.bincount(rollouts.episode).tolist() == [10, 10]


def test_the_same_episodes_are_played_in_both_places():
    make = Maker(9)
    arena = Arena(make, [make()], num_episodes=3)
    returns = [arena.play(still, seed=5, reward_function=None).true_returns().tolist()]
    arena.open()
    returns.append(arena.play(still, seed=5, reward_function=None).true_returns().tolist())
    assert returns[0] == returns[1]


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: TimeLimit(env, 10)])
def test_a_training_environment_that_is_handed_out_again_is_none_of_its_own(wrap):
    one = TimeLimit(PointMass(), 10)
    arena = Arena(lambda: wrap(one), [one], num_episodes=1)
    with pytest.warns(UserWarning, match="one that is in use was handed out again.* training one"):
        arena.open()
    assert arena.is_training


def test_one_environment_that_is_handed_out_again_and_again_plays_episodes_one_by_one():
    one = TimeLimit(PointMass(), 10)
    assert evaluate(still, lambda: one, num_episodes=3, seed=0).num_episodes == 3
    with pytest.raises(ConfigError, match=r"num_envs is 2, but of .* only 1 could be made .*again"):
        make_vec_env(lambda: one, 2, EpisodeStore(1))


def test_an_environment_that_exits_where_it_would_raise_is_one_that_cannot_be_made():
    made: list[Any] = []

    class Exits(PointMass):
        def __init__(self) -> None:
            if made:
                sys.exit("no licence")
            made.append(self)
            super().__init__()

        def close(self) -> None:
            sys.exit("the application is closed")

    with (
        pytest.warns(UserWarning, match="failed to close: SystemExit: the application is closed"),
        pytest.raises(ConfigError, match=r"only 1 could be made \(SystemExit: no licence\)"),
    ):
        make_vec_env(Exits, 2, EpisodeStore(1))
