from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from prefrl.envs.films import Films
from prefrl.errors import DataError
from prefrl.labelling.clips import ClipMaker, ClipSpec, NamedEnv, Replay, SimStates
from prefrl.labelling.clips import Recorded as RecordedPictures
from prefrl.labelling.clips.sources import ClipSource
from prefrl.records.episodes import load_episodes, save_episodes
from prefrl.segments import Episode, EpisodeStore
from tests.labelling.clips.recorded import ROBOTS, Recorded, named
from tests.labelling.robots import place_in
from tests.labelling.videos import frames_of

HOPPER = ClipSource("states", NamedEnv("Hopper-v4"), 0.008)


def numbered(lengths: tuple[int, ...], bound: int = 10**6) -> EpisodeStore:
    """Episodes in whose states stand the number of the episode, and the step."""
    store = EpisodeStore(bound)
    for number, length in enumerate(lengths):
        steps = np.arange(length, dtype=np.float64)
        states = np.stack([np.full(length, number), steps], axis=1)
        zeros = np.zeros((length + 1, 1), np.float32)
        store.add(Episode(zeros, zeros[1:], zeros[1:, 0], states))
    return store


def test_a_clip_holds_the_states_of_its_segment_and_of_what_is_around_it():
    store = numbered((300, 300))
    segments = store.sample(20, 50, rng=np.random.default_rng(0))
    for row, spec in enumerate(ClipMaker(HOPPER).specs(segments, store)):
        content = spec.content
        assert isinstance(content, SimStates)
        shown = content.states[content.frames]
        assert (shown[:, 0] == segments.episode[row]).all()
        first, stop = spec.counts
        start = segments.start[row]
        assert shown[first:stop, 1].tolist() == list(range(start, start + 50, 4))
        assert spec.dt == pytest.approx(0.032)
        assert spec.num_frames * spec.dt >= 1


def test_both_sides_of_a_pair_are_shown_at_the_same_speed_and_for_as_long():
    store = numbered((300, 300))
    maker = ClipMaker(HOPPER)
    left, right = (store.sample(9, 50, rng=np.random.default_rng(seed)) for seed in (0, 1))
    for one, other in zip(maker.specs(left, store), maker.specs(right, store), strict=True):
        assert (one.dt, one.num_frames) == (other.dt, other.num_frames)


def test_specs_are_the_same_of_a_run_and_of_the_file_that_it_leaves(tmp_path):
    store = numbered((40, 40, 40, 40), bound=100)
    assert store.num_dropped == 2
    save_episodes(tmp_path / "episodes.npz", store)
    again = load_episodes(tmp_path / "episodes.npz")
    segments = store.sample(9, 10, rng=np.random.default_rng(0))
    maker = ClipMaker(HOPPER)
    keys = [spec.key for spec in maker.specs(segments, store)]
    assert keys == [spec.key for spec in maker.specs(segments, again)]
    assert len(set(keys)) == len({*zip(segments.episode, segments.start, strict=True)})


def test_of_an_episode_that_is_gone_the_segment_is_shown_alone():
    store = numbered((40, 40))
    segments = store.sample(3, 10, rng=np.random.default_rng(0)).cut_out()
    for row, spec in enumerate(ClipMaker(HOPPER).specs(segments, EpisodeStore())):
        assert isinstance(spec.content, SimStates)
        start = segments.start[row]
        assert spec.content.states[:, 1].tolist() == [start, start + 4, start + 8]
        assert spec.counts == (0, 3)
        assert spec.num_frames * spec.dt >= 1
        assert set(spec.content.frames[3:]) == {2}


def test_a_short_episode_is_shown_as_far_as_it_goes():
    store = numbered((6, 40))
    segments = store.sample(30, 10, rng=np.random.default_rng(0))
    short = int(np.flatnonzero(segments.length == 6)[0])
    spec = ClipMaker(replace(HOPPER, dt=0.05)).specs(segments[[short]], store)[0]
    assert isinstance(spec.content, SimStates)
    assert spec.content.states[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert (spec.counts, spec.num_frames) == ((0, 6), 20)


def test_a_segment_without_states_is_refused():
    store = numbered((40,))
    segments = store.sample(1, 10, rng=np.random.default_rng(0)).cut_out()
    bare = replace(segments, sim_states=np.zeros((1, 10, 0)))
    with pytest.raises(DataError, match="the segment has no simulator states"):
        ClipMaker(HOPPER).specs(bare)


def test_pictures_that_were_filmed_become_the_clip(tmp_path):
    recorded = Recorded(*named(f"{ROBOTS}:Dot-v0"))
    segments = recorded.segments(4, 20)
    for row, spec in enumerate(recorded.maker.specs(segments, recorded.store)):
        assert isinstance(spec.content, RecordedPictures)
        frames = frames_of(spec.content.mp4, tmp_path)
        assert len(frames) == spec.num_frames == 20
        assert frames.shape[1:] == (44, 64, 3)  # 64 / 90 of 60 pixels, and even
        for frame, place in zip(frames, segments.observations[row], strict=True):
            np.testing.assert_allclose(place_in(frame), place, atol=0.03)


def test_actions_that_were_recorded_are_what_a_replay_is_made_of():
    recorded = Recorded(lambda _: gym.make(f"{ROBOTS}:Dot-v0"), None)
    segments = recorded.segments(3, 20)
    for row, spec in enumerate(recorded.maker.specs(segments, recorded.store)):
        content = spec.content
        assert isinstance(content, Replay)
        last = segments.start[row] + 19
        assert content.frames.tolist() == list(range(last - 19, last + 1))
        np.testing.assert_array_equal(content.expected, segments.observations[row, -1])
        assert ClipSpec.from_bytes(spec.to_bytes()).key == spec.key


@pytest.mark.parametrize("kind", ["pictures", "actions"])
def test_an_episode_of_which_nothing_is_kept_cannot_be_shown(kind):
    store = numbered((40,))
    segments = store.sample(2, 10, rng=np.random.default_rng(0))
    maker = ClipMaker(ClipSource(kind, NamedEnv("CartPole-v1"), 0.02))
    with pytest.raises(DataError, match="too long ago, or its file was lost"):
        maker.specs(segments, store)
    with pytest.raises(DataError, match="episode 0 is not kept any more"):
        maker.specs(segments, EpisodeStore())
    assert isinstance(maker.beside, Films) == (kind == "pictures")
