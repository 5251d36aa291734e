from typing import Any

import numpy as np
import pytest

from prefrl.envs import make_env
from prefrl.envs.probing import Probe, probe
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import dataset_of
from prefrl.labelling.clips import DatasetClips, NamedEnv, Recorded, SimStates, render
from tests.labelling.videos import frames_of


def cheetah() -> Probe:
    env = make_env("HalfCheetah-v4")
    try:
        return probe(env)
    finally:
        env.close()


EPISODE = cheetah()


def dataset(env_id: str | None = "HalfCheetah-v4", **changes: Any) -> PreferenceDataset:
    """Two pairs of ten steps each within one recorded episode; a change to None leaves one out."""
    arrays: dict[str, Any] = {
        "observations": EPISODE.observations[:-1],
        "actions": EPISODE.actions,
        "sim_states": EPISODE.sim_states,
        "episode": np.zeros(60, np.int64),
        "left_start": np.array([0, 20]),
        "right_start": np.array([50, 30]),
        "segment_length": np.asarray(10),
        "p_left": np.array([1.0, np.nan]),
        **({} if env_id is None else {"env_id": np.asarray(env_id)}),
        **changes,
    }
    return dataset_of({name: array for name, array in arrays.items() if array is not None})


def states_of(spec: Any) -> np.ndarray:
    assert isinstance(spec.content, SimStates)
    shown: np.ndarray = spec.content.states[spec.content.frames]
    return shown


def test_pairs_of_states_are_shown_with_what_was_around_them():
    left, right = DatasetClips(dataset()).pair(0)
    np.testing.assert_array_equal(states_of(left), EPISODE.sim_states[:20])
    assert left.counts == (0, 10)
    np.testing.assert_array_equal(states_of(right), EPISODE.sim_states[40:])
    assert right.counts == (10, 20)
    assert left.dt == right.dt == 0.05
    assert isinstance(left.content, SimStates)
    assert left.content.scene == NamedEnv("HalfCheetah-v4", {"max_episode_steps": 1_000_000})


def test_without_episodes_nothing_is_known_to_be_around_a_segment():
    left, _ = DatasetClips(dataset(episode=None)).pair(1)
    np.testing.assert_array_equal(states_of(left)[:10], EPISODE.sim_states[20:30])
    assert left.counts == (0, 10)
    assert left.num_frames == 20
    assert (left.content.frames[10:] == 9).all()  # type: ignore[union-attr]


def test_what_is_around_a_segment_ends_where_its_episode_does():
    episode = np.repeat([3, 4], [26, 34])
    left, right = DatasetClips(dataset(episode=episode)).pair(1)
    assert left.counts == (0, 10), "rows 20 to 29 are of two episodes: nothing is added"
    np.testing.assert_array_equal(states_of(right), EPISODE.sim_states[26:46])
    assert right.counts == (4, 14)
    step = np.concatenate([np.arange(36), np.arange(100, 124)])
    _, right = DatasetClips(dataset(episode_step=step)).pair(1)
    assert right.counts == (0, 10), "rows 36 and 35 do not follow each other"


def test_pictures_are_shown_as_they_are(tmp_path):
    frames = np.zeros((60, 32, 48, 3), np.uint8)
    frames[:] = (4 * np.arange(60))[:, None, None, None]
    bare = dataset(None, frames=frames, sim_states=None)
    left, right = DatasetClips(bare, size=48, dt=0.1).pair(1)
    assert isinstance(left.content, Recorded)
    shown = frames_of(render(right).mp4, tmp_path)
    np.testing.assert_allclose(shown.mean(axis=(1, 2, 3)), 4 * np.arange(30, 40), atol=3)
    assert right.counts == (0, 10)


@pytest.mark.parametrize(
    ("dtype", "most"), [(np.float32, 1.0), (np.float64, 255.0), (np.int64, 255)]
)
def test_pictures_of_any_numbers_are_shown_as_bright_as_they_are(dtype, most, tmp_path):
    frames = np.full((60, 16, 16, 3), most / 2).astype(dtype)
    frames[0] = most
    clips = DatasetClips(dataset(None, frames=frames, sim_states=None), size=16)
    shown = frames_of(render(clips.pair(1)[0]).mp4, tmp_path)
    np.testing.assert_allclose(shown.mean(), 127, atol=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env_id": None}, "it has nothing to show to people: neither frames"),
        ({"sim_states": None}, "it has nothing to show to people: neither frames"),
        ({"env_id": "Hopper-v4"}, "sim_states has 18 dims, but the states of Hopper-v4 have 12"),
        ({"env_id": "CartPole-v1"}, "but the states of CartPole-v1 have 0"),
        ({"sim_states": np.roll(EPISODE.sim_states, 3, axis=0)}, "sim_states does not fit HalfCh"),
        (
            {"sim_states": np.full((60, 18), np.nan)},
            "sim_states holds NaN or an infinity in row 0",
        ),
        (
            {"sim_states": np.where(np.arange(60)[:, None] == 59, np.inf, EPISODE.sim_states)},
            "sim_states holds NaN or an infinity in row 59",
        ),
    ],
)
def test_what_shows_nothing_or_something_else_is_refused(changes, said):
    with pytest.raises(DataError, match=said):
        DatasetClips(dataset(**changes))


def test_states_are_compared_with_the_next_observations_where_the_file_has_them():
    following = EPISODE.observations[1:]
    DatasetClips(dataset(episode=None, next_observations=following))
    with pytest.raises(DataError, match="sim_states does not fit HalfCheetah-v4"):
        DatasetClips(dataset(episode=None, next_observations=following[::-1].copy()))


def test_an_environment_without_a_time_limit_can_be_shown():
    env = make_env("tests.labelling.robots:Tireless-v0", max_episode_steps=100)
    recorded = probe(env)
    env.close()
    own = dataset(
        "tests.labelling.robots:Tireless-v0",
        observations=recorded.observations[:-1],
        actions=recorded.actions,
        sim_states=recorded.sim_states,
    )
    assert DatasetClips(own).pair(0)[0].dt == 0.04  # two of its steps of .02 s a frame


def test_a_speed_that_is_none_is_refused():
    with pytest.raises(DataError, match=r"dt is 0; expected seconds above 0"):
        DatasetClips(dataset(), dt=0)
