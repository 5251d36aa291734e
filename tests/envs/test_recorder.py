from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import VecNormalize

from prefrl.envs import make_env, step_blocks
from prefrl.envs.recorder import Recorder
from prefrl.envs.vec_env import SameProcessVecEnv
from prefrl.errors import ConfigError, ContractError, EnvironmentFault, SpaceError
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Camera, Counting, Failing, Pieces, side_by_side


def recorded(lengths: Sequence[Sequence[int]], **settings: Any) -> tuple[Recorder, EpisodeStore]:
    """Counting environments with these episode lengths, and where their episodes arrive."""
    store = EpisodeStore()
    # Unlike SB3's own it copies the last observation before a reset can overwrite it.
    venv = SameProcessVecEnv(
        [partial(Counting, which, each, **settings) for which, each in enumerate(lengths)]
    )
    return Recorder(venv, store, env_id="Counting-v0"), store


def play(venv: Recorder, num_steps: int) -> np.ndarray:
    """(num_steps, N, 2) the actions taken; each tells its step and its environment."""
    numbers = np.arange(num_steps * venv.num_envs * 2, dtype=np.float32) / 8
    actions = numbers.reshape(num_steps, venv.num_envs, 2)
    for row in actions:
        venv.step(row)
    return actions


@given(
    lengths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    num_steps=st.integers(0, 40),
    block_steps=st.sampled_from([2, 3, 8, 1024]),
    is_truncated=st.booleans(),
    reuses_array=st.booleans(),
)
def test_every_step_is_kept_in_the_episode_it_belongs_to(
    lengths, num_steps, block_steps, is_truncated, reuses_array
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_blocks, "NUM_ROWS", block_steps)
        venv, store = recorded(lengths, is_truncated=is_truncated, reuses_array=reuses_array)
        venv.reset()
        actions = play(venv, num_steps)
        venv.reset()  # Hands over what is unfinished.
    assert store.num_transitions == num_steps * len(lengths)
    taken = np.zeros(len(lengths), dtype=int)
    for episode in store.episodes:
        which, number = episode.observations[0, :2].astype(int)
        steps = np.arange(len(episode))
        np.testing.assert_array_equal(episode.observations[:, 0], which)
        np.testing.assert_array_equal(episode.observations[:, 1], number)
        np.testing.assert_array_equal(episode.observations[:, 2], [*steps, len(steps)])
        own = actions[taken[which] : taken[which] + len(episode), which]
        np.testing.assert_array_equal(episode.actions, own)
        np.testing.assert_allclose(
            episode.true_rewards, 100 * number + steps + own.sum(axis=1), rtol=1e-6
        )
        assert episode.sim_states.shape == (len(episode), 0)
        length = lengths[which][number % len(lengths[which])]
        assert episode.is_complete == (len(episode) == length)
        # Where the environment's own end came, it says how; a reset before that cuts.
        assert episode.terminated == (episode.is_complete and not is_truncated)
        assert episode.truncated != episode.terminated
        taken[which] += len(episode)
    np.testing.assert_array_equal(taken, num_steps)


def test_an_episode_longer_than_the_blocks_is_kept_whole_beside_short_ones():
    length = 2 * step_blocks.NUM_ROWS + 500
    venv, store = recorded([(length,), (7,)])
    venv.reset()
    actions = play(venv, length)
    longest = max(store.episodes, key=len)
    assert (len(longest), longest.is_complete) == (length, True)
    np.testing.assert_array_equal(longest.observations[:, 2], np.arange(length + 1))
    np.testing.assert_array_equal(longest.actions, actions[:, 0])
    assert len(store) == 1 + length // 7


def test_finished_episodes_stay_as_they_are_while_the_blocks_are_used_again():
    venv, store = recorded([(4,)])
    venv.reset()
    play(venv, 4)
    before = store.episodes[0].observations.copy()
    play(venv, 3 * step_blocks.NUM_ROWS)
    np.testing.assert_array_equal(store.episodes[0].observations, before)


def test_episodes_arrive_when_they_end_and_unfinished_ones_at_the_next_reset():
    venv, store = recorded([(3,), (5,)])
    venv.reset()
    play(venv, 4)
    assert [(len(e), e.is_complete) for e in store.episodes] == [(3, True)]
    venv.reset()
    assert [(len(e), e.is_complete) for e in store.episodes] == [(3, True), (1, False), (4, False)]
    venv.reset()  # Nothing has happened since.
    assert len(store) == 3


def test_an_environment_that_overwrites_its_arrays_is_recorded_as_it_was():
    venv, store = recorded([(5,)], reuses_array=True)
    venv.reset()
    play(venv, 10)
    for number, episode in enumerate(store.episodes):
        np.testing.assert_array_equal(episode.observations[:, 1], number)
        np.testing.assert_array_equal(episode.observations[:, 2], np.arange(6))


def test_what_passes_through_is_not_changed():
    venv, _ = recorded([(3,), (5,)])
    plain = side_by_side([partial(Counting, 0, (3,)), partial(Counting, 1, (5,))])
    np.testing.assert_array_equal(venv.reset(), plain.reset())
    for step in range(10):
        actions = np.full((2, 2), step, dtype=np.float32)
        np.testing.assert_equal(venv.step(actions), plain.step(actions))


def test_dictionaries_and_discrete_actions_are_recorded_as_rows():
    store = EpisodeStore()
    venv = Recorder(side_by_side([Pieces]), store, env_id="Pieces-v0")
    venv.seed(1)
    venv.reset()
    for action in (2, 6, 3, 4):
        venv.step(np.array([action]))
    (episode,) = store.episodes
    np.testing.assert_array_equal(episode.actions.argmax(axis=1), [0, 4, 1, 2])
    np.testing.assert_array_equal(episode.actions.sum(axis=1), 1)
    again = Pieces()
    observation, _ = again.reset(seed=1)
    expected: Any = gym.spaces.utils.flatten(again.observation_space, observation)
    np.testing.assert_array_equal(episode.observations[0], expected.astype(np.float32))
    np.testing.assert_array_equal(episode.true_rewards, [2, 6, 3, 4])


def test_arrays_of_more_axes_are_recorded_as_rows():
    class Grid(Counting):
        observation_space: Any = gym.spaces.Box(-np.inf, np.inf, (2, 2), np.float64)
        action_space: Any = gym.spaces.Box(-1.0, 1.0, (3, 1), np.float32)

        def reset(self, **arguments: Any) -> Any:
            return np.ones((2, 2)), super().reset(**arguments)[1]

        def step(self, action: Any) -> Any:
            return (np.array([[1, 2], [3, 4]]) / 4, *super().step(action)[1:])

    store = EpisodeStore()
    venv = Recorder(SameProcessVecEnv([partial(Grid, 0, (2,))] * 2), store, env_id="Grid")
    venv.reset()
    actions = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    for _ in range(2):
        venv.step(actions)
    for episode, action in zip(store.episodes, actions, strict=True):
        assert episode.observations.tolist() == [[1, 1, 1, 1], *2 * [[0.25, 0.5, 0.75, 1]]]
        assert episode.actions.tolist() == 2 * [action.ravel().tolist()]


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Hopper-v4", "Ant-v4", "Swimmer-v4"])
def test_a_saved_simulator_state_put_back_shows_what_was_observed(env_id):
    from prefrl.envs.sim_state import write_state

    store = EpisodeStore()
    venv = side_by_side([partial(make_env, env_id, max_episode_steps=20)] * 2)
    recording = Recorder(venv, store, env_id=env_id)
    recording.seed(0)
    recording.reset()
    recording.action_space.seed(0)
    for _ in range(50):
        recording.step(np.stack([recording.action_space.sample() for _ in range(2)]))
    recording.close()
    assert len(store) == 4
    fresh: Any = make_env(env_id).unwrapped
    for episode in store.episodes:
        for observation, state in zip(episode.observations[:-1], episode.sim_states, strict=True):
            write_state(fresh.data, state)
            # These tasks observe nothing but positions and velocities.
            np.testing.assert_array_equal(fresh._get_obs().astype(np.float32), observation)
    fresh.close()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("observation", "returned an observation that is not finite"),
        ("last observation", "returned an observation that is not finite"),
        ("reward", "returned a reward that is not finite"),
        ("raises", "failed in a step: RuntimeError: the arm is stuck"),
    ],
)
def test_an_environment_that_goes_wrong_is_named_and_what_came_before_is_kept(how, said):
    store = EpisodeStore()
    venv = Recorder(side_by_side([partial(Failing, how)]), store, env_id="Failing-v0")
    venv.reset()
    venv.step(np.zeros((1, 1)))
    venv.step(np.zeros((1, 1)))
    with pytest.raises(EnvironmentFault) as error:
        venv.step(np.zeros((1, 1)))
    assert str(error.value) == f"Failing-v0 {said}"
    venv.reset()
    (episode,) = store.episodes
    # What an episode ends in is no row of it, so its last step is whole.
    assert len(episode) == (3 if how == "last observation" else 2)
    assert not episode.is_complete
    np.testing.assert_array_equal(episode.true_rewards, 1.0)
    np.testing.assert_array_equal(episode.observations, 0.0)


@pytest.mark.filterwarnings("ignore:.*encountered in reduce:RuntimeWarning")
def test_numbers_may_be_as_large_as_they_are_finite():
    class Vast(Counting):
        scale = 3e38

        def step(self, action: Any):
            _, *rest = super().step(action)
            return np.array([self.scale, self.scale, -self.scale], dtype=np.float32), *rest

    store = EpisodeStore()
    venv = Recorder(side_by_side([Vast]), store, env_id="Vast-v0")
    venv.reset()
    for _ in range(5):
        venv.step(np.zeros((1, 2)))
    assert store.episodes[0].observations[1:].max() == np.float32(3e38)
    Vast.scale = np.inf  # Of both signs, so that no sum tells which.
    with pytest.raises(EnvironmentFault, match="Vast-v0 returned an observation"):
        venv.step(np.zeros((1, 2)))


def test_an_environment_that_cannot_be_reset_is_named():
    venv = Recorder(
        side_by_side([partial(Failing, "raises on reset")]), EpisodeStore(), env_id="Failing-v0"
    )
    with pytest.raises(
        EnvironmentFault, match=r"^Failing-v0 failed to reset: OSError: the arm is unplugged$"
    ):
        venv.reset()


def test_an_error_with_a_line_for_the_user_keeps_it():
    class Picky(Counting):
        def step(self, action: Any):
            raise ConfigError("gravity is -1; expected 0 or more")

    venv = Recorder(side_by_side([Picky]), EpisodeStore(), env_id="Picky-v0")
    venv.reset()
    with pytest.raises(ConfigError, match="gravity is -1; expected 0 or more"):
        venv.step(np.zeros((1, 2)))


def test_a_step_before_the_first_reset_is_refused():
    venv = Recorder(side_by_side([Counting]), EpisodeStore(), env_id="Counting-v0")
    with pytest.raises(ContractError, match=r"^Counting-v0 was stepped before it was reset$"):
        venv.step(np.zeros((1, 2)))


def test_what_cannot_be_written_as_rows_is_refused_by_name():
    with pytest.raises(SpaceError, match="Lab-v0: observation is an image"):
        Recorder(side_by_side([Camera]), EpisodeStore(), env_id="Lab-v0")


@pytest.mark.parametrize(("norm_obs", "norm_reward"), [(True, False), (False, True)])
def test_normalised_observations_and_rewards_are_refused(norm_obs, norm_reward):
    counting = side_by_side([Counting])
    venv = VecNormalize(counting, norm_obs=norm_obs, norm_reward=norm_reward)
    with pytest.raises(SpaceError, match="put VecNormalize outside"):
        Recorder(venv, EpisodeStore(), env_id="Counting-v0")


class Objectives(Counting):
    """Says its step's number, and half of it, as two objectives."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        number = float(observation[2])
        return observation, reward, terminated, truncated, {**info, "a": number, "b": number / 2}


def test_the_true_rewards_of_objectives_stand_beside_the_environments_own():
    store = EpisodeStore()
    venv = SameProcessVecEnv([partial(Objectives, 0, [3]), partial(Objectives, 1, [5])])
    recording = Recorder(venv, store, env_id="Counting-v0", objectives=["b", "a"])
    recording.reset()
    play(recording, 5)
    for episode in store.episodes:
        numbers = episode.observations[1:, 2]
        np.testing.assert_array_equal(
            episode.objective_rewards, np.stack([numbers / 2, numbers], axis=1)
        )


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("c", ConfigError, "the info of Counting-v0 has no 'c'; it has .*a"),
        ("word", ConfigError, "not numbers"),
        ("nan", EnvironmentFault, "an objective's reward that is not finite"),
    ],
)
def test_objectives_that_cannot_be_recorded_are_refused_in_a_line(name, error, said):
    class Odd(Objectives):
        def step(self, action: Any) -> Any:
            *rest, info = super().step(action)
            return (*rest, {**info, "word": "much", "nan": float("nan")})

    venv = SameProcessVecEnv([partial(Odd, 0, [3])])
    recording = Recorder(venv, EpisodeStore(), env_id="Counting-v0", objectives=["a", name])
    recording.reset()
    with pytest.raises(error, match=said):
        play(recording, 1)
