import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from prefrl import EnhancedRewardModel, RewardVecEnv, RewardWrapper
from prefrl.envs import make_env
from prefrl.errors import DataError, SpaceError
from tests.envs.tasks import Camera, Counting, Pieces, looking_ahead, pickled, side_by_side

LENGTHS = ((3, 2), (4, 1), (2, 6))


def counting_envs(lengths: Sequence[Sequence[int]] = LENGTHS, **settings: Any) -> DummyVecEnv:
    return side_by_side(
        [partial(Counting, which, each, **settings) for which, each in enumerate(lengths)]
    )


def actions_for(venv: VecEnv, num_steps: int, seed: int = 0) -> np.ndarray:
    """(num_steps, N, ...) random actions."""
    venv.action_space.seed(seed)
    samples = [venv.action_space.sample() for _ in range(num_steps * venv.num_envs)]
    return np.array(samples).reshape(num_steps, venv.num_envs, *samples[0].shape)


def alone(make: Callable[[], gym.Env[Any, Any]], actions: np.ndarray, seed: int) -> list[Any]:
    """Returns what `RewardWrapper` gives for the same actions, reset as soon as an episode ends."""
    env = RewardWrapper(make(), looking_ahead)
    env.reset(seed=seed)
    rewards = []
    for action in actions:
        _, reward, terminated, truncated, _ = env.step(action)
        rewards.append(reward)
        if terminated or truncated:
            env.reset()
    return rewards


@pytest.mark.parametrize("is_truncated", [False, True])
def test_the_last_reward_of_an_episode_looks_at_where_it_ended(is_truncated):
    venv = RewardVecEnv(counting_envs(is_truncated=is_truncated), looking_ahead)
    venv.reset()
    actions = actions_for(venv, 20)
    rewards = np.array([venv.step(row)[1] for row in actions])
    assert rewards.dtype == np.float32
    for i, lengths in enumerate(LENGTHS):
        make = partial(Counting, i, lengths, is_truncated=is_truncated)
        np.testing.assert_array_equal(rewards[:, i], alone(make, actions[:, i], seed=0))


@pytest.mark.parametrize(
    ("env_id", "settings"), [("HalfCheetah-v4", {"max_episode_steps": 7}), ("CartPole-v1", {})]
)
def test_it_rewards_as_the_wrapper_does_for_the_same_seeds_and_actions(env_id, settings):
    makers = [partial(make_env, env_id, **settings)] * 3
    venv = RewardVecEnv(side_by_side(makers), looking_ahead)
    venv.seed(5)
    venv.reset()
    actions = actions_for(venv, 60)
    rewards = np.array([venv.step(row)[1] for row in actions])
    venv.close()
    for i, make in enumerate(makers):
        np.testing.assert_array_equal(rewards[:, i], alone(make, actions[:, i], seed=5 + i))


def test_dictionaries_and_discrete_actions_are_rewarded_as_the_wrapper_does():
    venv = RewardVecEnv(side_by_side([Pieces, Pieces]), looking_ahead)
    venv.seed(2)
    venv.reset()
    actions = actions_for(venv, 9)
    rewards = np.array([venv.step(row)[1] for row in actions])
    for i in range(2):
        np.testing.assert_array_equal(rewards[:, i], alone(Pieces, actions[:, i], seed=2 + i))


def test_environments_in_other_processes_are_rewarded_like_those_in_this_one():
    makers: list[Callable[[], Any]] = [
        partial(Counting, i, lengths) for i, lengths in enumerate(LENGTHS)
    ]
    outcomes = []
    for venv in (side_by_side(makers), SubprocVecEnv(makers, start_method="fork")):
        wrapped = RewardVecEnv(venv, looking_ahead)
        wrapped.reset()
        rewards = [wrapped.step(row)[1] for row in actions_for(wrapped, 10)]
        outcomes.append((np.array(rewards), wrapped.pop_finished()))
        wrapped.close()
    np.testing.assert_array_equal(outcomes[0][0], outcomes[1][0])
    # Rewards of other processes may arrive in double precision.
    for here, there in zip(outcomes[0][1], outcomes[1][1], strict=True):
        assert here.length == there.length
        assert here.is_terminated == there.is_terminated
        assert here.true_return == pytest.approx(there.true_return, rel=1e-6)
        assert here.learned_return == there.learned_return


def test_an_ensemble_is_asked_once_for_all_environments():
    model = EnhancedRewardModel(5, hidden_dim=8, observation_dim=3)
    venv = RewardVecEnv(counting_envs(), model)
    reward = model.reward_function()
    obs: Any = venv.reset()
    for row in actions_for(venv, 8):
        next_obs, rewards, _, infos = venv.step(row)
        expected, uncertainty = reward.with_uncertainty(obs, row)
        np.testing.assert_array_equal(rewards, expected)
        assert [info["reward_uncertainty"] for info in infos] == uncertainty.tolist()
        obs = next_obs


def test_both_returns_of_an_episode_are_told_apart():
    venv = RewardVecEnv(counting_envs(), lambda obs, *_: np.full(len(obs), 0.5, dtype="f"))
    venv.reset()
    told = []
    for row in actions_for(venv, 10):
        true_rewards = row.sum(axis=1) + 100 * venv._obs[:, 1] + venv._obs[:, 2]
        _, _, dones, infos = venv.step(row)
        np.testing.assert_allclose([info["true_reward"] for info in infos], true_rewards, rtol=1e-6)
        told += [infos[i] for i in np.flatnonzero(dones)]
        assert all("true_return" not in infos[i] for i in np.flatnonzero(~dones))
    finished = venv.pop_finished()
    # Ten steps of each end 3 + 2 + 3 + 2, 4 + 1 + 4 + 1 and 2 + 6 + 2.
    assert sorted(episode.length for episode in finished) == [1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 6]
    assert [(e.true_return, e.learned_return) for e in finished] == [
        (info["true_return"], info["learned_return"]) for info in told
    ]
    assert all(episode.learned_return == 0.5 * episode.length for episode in finished)
    assert venv.pop_finished() == []


def test_a_monitor_inside_keeps_the_true_return():
    makers = [lambda: Monitor(Counting(lengths=(4,)))]
    venv = RewardVecEnv(side_by_side(makers), lambda obs, *_: np.full(len(obs), -9.0, dtype="f"))
    venv.reset()
    for _ in range(4):
        _, _, _, infos = venv.step(np.ones((1, 2), dtype=np.float32))
    assert infos[0]["episode"]["r"] == infos[0]["true_return"] == 0 + 1 + 2 + 3 + 4 * 2
    assert infos[0]["learned_return"] == -36.0


@pytest.mark.parametrize("is_truncated", [False, True])
def test_whether_an_episode_was_cut_off_reaches_the_agent_untouched(is_truncated):
    plain = counting_envs(is_truncated=is_truncated)
    venv = RewardVecEnv(counting_envs(is_truncated=is_truncated), looking_ahead)
    plain.reset()
    venv.reset()
    for row in actions_for(venv, 10):
        expected = plain.step(row)
        obs, _, dones, infos = venv.step(row)
        np.testing.assert_array_equal(obs, expected[0])
        np.testing.assert_array_equal(dones, expected[2])
        for info, own in zip(infos, expected[3], strict=True):
            assert info["TimeLimit.truncated"] == own["TimeLimit.truncated"]
            assert ("terminal_observation" in info) == ("terminal_observation" in own)
    assert {episode.is_terminated for episode in venv.pop_finished()} == {not is_truncated}


def test_a_reset_forgets_the_episodes_that_it_cuts_short():
    venv = RewardVecEnv(counting_envs([(3,)]), looking_ahead)
    for _ in range(2):
        venv.reset()
        venv.step(np.zeros((1, 2)))
        venv.step(np.zeros((1, 2)))
    venv.step(np.zeros((1, 2)))
    (episode,) = venv.pop_finished()
    assert episode.length == 3


def test_without_a_reward_function_the_true_reward_passes_through():
    venv = RewardVecEnv(counting_envs([(2,)]), None)
    venv.reset()
    _, rewards, _, infos = venv.step(np.ones((1, 2)))
    assert rewards[0] == infos[0]["true_reward"] == 2.0
    _, _, _, infos = venv.step(np.ones((1, 2)))
    (episode,) = venv.pop_finished()
    assert episode.true_return == infos[0]["true_return"] == 5.0
    assert math.isnan(episode.learned_return)
    assert "learned_return" not in infos[0]


def test_another_reward_holds_from_the_next_step_on():
    venv = RewardVecEnv(counting_envs([(9,)]), None)
    venv.reset()
    rewards = []
    for value in (None, 1.0, 2.0, None):
        constant = None if value is None else (lambda *_, v=value: np.full(1, v, dtype="f"))
        venv.set_reward(constant)
        rewards.append(float(venv.step(np.ones((1, 2)))[1][0]))
    assert rewards == [2.0, 1.0, 2.0, 5.0]


def test_normalising_outside_does_not_reach_the_reward_function():
    seen: list[np.ndarray] = []

    def remember(obs, action, next_obs, done):
        seen.append(np.concatenate([obs, next_obs]))
        return np.ones(len(obs), dtype=np.float32)

    venv = VecNormalize(RewardVecEnv(counting_envs([(50,)]), remember))
    normalized: Any = venv.reset()
    for _ in range(10):
        normalized, *_ = venv.step(np.zeros((1, 2)))
    assert seen[-1].tolist() == [[0, 0, 9], [0, 0, 10]]
    assert abs(normalized).max() < 10


def test_normalising_inside_is_refused():
    with pytest.raises(SpaceError, match=r"put it outside"):
        RewardVecEnv(VecNormalize(counting_envs()), looking_ahead)
    with pytest.raises(SpaceError, match=r"normalised rewards off as the true .*put it outside"):
        RewardVecEnv(VecNormalize(counting_envs(), norm_obs=False), looking_ahead)
    RewardVecEnv(VecNormalize(counting_envs(), norm_obs=False, norm_reward=False), looking_ahead)


def test_a_model_of_another_environment_is_refused_and_the_reward_stays():
    model = EnhancedRewardModel(23, hidden_dim=8, observation_dim=17, env_id="HalfCheetah-v4")
    makers = [partial(gym.make, "Walker2d-v4")]
    with pytest.raises(SpaceError, match=r"trained on HalfCheetah-v4, this is Walker2d-v4"):
        RewardVecEnv(side_by_side(makers), model)
    venv = RewardVecEnv(side_by_side(makers), looking_ahead)
    with pytest.raises(SpaceError, match="Walker2d-v4"):
        venv.set_reward(model.reward_function())
    assert venv.reward_function is looking_ahead
    RewardVecEnv(side_by_side(makers), model, check_env_id=False)


@pytest.mark.parametrize("shape", [(), (3, 1), (2,)])
def test_rewards_that_are_not_one_an_environment_are_refused(shape):
    venv = RewardVecEnv(counting_envs(), lambda *_: np.ones(shape, dtype=np.float32))
    venv.reset()
    with pytest.raises(DataError, match=r"rewards of shape .*; expected \(3,\)"):
        venv.step(np.zeros((3, 2)))


def test_what_does_not_flatten_is_refused_by_name():
    with pytest.raises(SpaceError, match="Lab-v0: observation is an image"):
        RewardVecEnv(side_by_side([Camera]), looking_ahead, env_id="Lab-v0")


def test_plain_sb3_learns_from_it():
    # SB3 numbers discrete actions from 0, whatever the space says.
    makers = [partial(Pieces, first=0)] * 2
    venv = RewardVecEnv(side_by_side(makers), lambda obs, *_: obs[:, 0])
    agent = PPO("MultiInputPolicy", venv, n_steps=16, batch_size=16, n_epochs=1, device="cpu")
    agent.learn(64)
    assert agent.num_timesteps == 64
    assert len(venv.finished) == 16


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_goes_on_as_the_vector_environment_itself_does(copied):
    venv = RewardVecEnv(side_by_side([partial(gym.make, "Pendulum-v1")] * 2), looking_ahead)
    venv.seed(3)
    venv.reset()
    venv.step(np.zeros((2, 1), "f"))
    again = copied(venv)
    for _ in range(3):
        ours, theirs = venv.step(np.ones((2, 1), "f")), again.step(np.ones((2, 1), "f"))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert again.get_attr("spec")[0].id == "Pendulum-v1"
