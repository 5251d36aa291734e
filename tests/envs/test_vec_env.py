from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from prefrl.envs import RewardVecEnv, make_env, make_vec_env
from prefrl.envs.vec_env import SameProcessVecEnv
from prefrl.errors import SpaceError
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Camera, Counting, Pieces, side_by_side


def rewarded(makers: Sequence[Callable[[], gym.Env[Any, Any]]]) -> RewardVecEnv:
    """Environments in one of SB3's own, made careful by what stands around it."""
    return RewardVecEnv(side_by_side(makers), None)


@pytest.mark.parametrize(
    ("make", "num_envs"),
    [
        (partial(make_env, "HalfCheetah-v4", max_episode_steps=60), 3),
        (partial(make_env, "Hopper-v4", fixed_horizon=False), 2),
        (partial(make_env, "CartPole-v1"), 2),
        (Pieces, 2),
    ],
)
def test_it_gives_what_sb3s_own_gives_for_hundreds_of_steps(make, num_envs):
    ours, theirs = SameProcessVecEnv([make] * num_envs), side_by_side([make] * num_envs)
    results: list[Any] = []
    for venv in (ours, theirs):
        venv.seed(11)
        venv.action_space.seed(11)
        results.append([venv.reset(), venv.reset_infos])
    for _ in range(300):
        actions = np.stack([ours.action_space.sample() for _ in range(num_envs)])
        for venv, steps in zip((ours, theirs), results, strict=True):
            steps += [venv.step(actions), venv.reset_infos]
    np.testing.assert_equal(results[0], results[1])
    assert any(step[2].any() for step in results[0][2::2])
    for venv in (ours, theirs):
        venv.close()


def test_the_last_observation_survives_a_reset_that_overwrites_it():
    venv = SameProcessVecEnv([partial(Counting, lengths=(3,), reuses_array=True)])
    venv.reset()
    for _ in range(3):
        *_, infos = venv.step(np.zeros((1, 2)))
    np.testing.assert_array_equal(infos[0]["terminal_observation"], [0, 0, 3])


def test_what_wrappers_add_to_an_info_stays_out_of_the_environment():
    own_info = {"battery": 1.0}

    class Sparing(Counting):
        def step(self, action: Any):
            return (*super().step(action)[:4], own_info)

    venv = SameProcessVecEnv([partial(Sparing, lengths=(2,))])
    venv.reset()
    for _ in range(4):
        *_, infos = venv.step(np.zeros((1, 2)))
        infos[0]["true_reward"] = 1.0
    assert own_info == {"battery": 1.0}


def test_rewards_and_ends_stay_as_they_were_returned():
    venv = SameProcessVecEnv([partial(Counting, which, (2,)) for which in range(2)])
    venv.reset()
    _, rewards, dones, _ = venv.step(np.zeros((2, 2)))
    _, later_rewards, later_dones, _ = venv.step(np.ones((2, 2)))
    assert (rewards.tolist(), dones.tolist()) == ([0, 0], [False, False])
    assert (later_rewards.tolist(), later_dones.tolist()) == ([3, 3], [True, True])


@pytest.mark.parametrize("make_venv", [SameProcessVecEnv, rewarded])
def test_what_a_reset_said_stays_as_it_was(make_venv):
    class Remembering(Counting):
        pose = np.zeros(1)

        def reset(self, **arguments: Any):
            self.pose[:] = 7
            return super().reset(**arguments)[0], {"pose": self.pose}

        def step(self, action: Any):
            self.pose[:] = -55
            return super().step(action)

    venv = make_venv([partial(Remembering, lengths=(1, 3))])
    venv.reset()
    (said,) = venv.unwrapped.reset_infos
    for _ in range(2):  # The first step ends an episode, and resets; the second does not.
        venv.step(np.zeros((1, 2)))
        assert said["pose"].item() == venv.unwrapped.reset_infos[0]["pose"].item() == 7


def test_a_stack_is_recorded_and_rewarded_with_the_true_reward_at_first():
    store = EpisodeStore()
    venv = make_vec_env(partial(make_env, "HalfCheetah-v4", max_episode_steps=5), 2, store)
    venv.reset()
    rewards = np.array([venv.step(np.ones((2, 6)))[1] for _ in range(10)])
    assert venv.env_id == "HalfCheetah-v4"
    assert [len(episode) for episode in store.episodes] == [5] * 4
    np.testing.assert_array_equal(store.episodes[0].true_rewards, rewards[:5, 0])
    assert store.episodes[0].sim_states.shape == (5, 18)
    assert [episode.length for episode in venv.pop_finished()] == [5] * 4
    venv.close()


def test_an_environment_without_an_id_goes_by_the_name_of_its_class():
    class Text(Counting):
        observation_space = gym.spaces.Text(4)

    assert make_vec_env(Counting, 1, EpisodeStore()).env_id is None
    for make, part in ((Camera, "Camera: .* image"), (Text, "Text: .* Text space")):
        with pytest.raises(SpaceError, match=part):
            make_vec_env(make, 1, EpisodeStore())
