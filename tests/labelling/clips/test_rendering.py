import subprocess
import zlib
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest

from prefrl.envs import make_env
from prefrl.envs.sim_state import simulation_of
from prefrl.errors import ConfigError, DataError
from prefrl.labelling.clips import (
    ClipRenderer,
    ClipSpec,
    NamedEnv,
    Replay,
    SavedModel,
    SimStates,
    render,
)
from prefrl.labelling.clips import Recorded as RecordedPictures
from prefrl.labelling.clips.rendering import save_model
from prefrl.media.mp4 import mp4_bytes
from tests.labelling.clips.recorded import ROBOTS, Recorded, named
from tests.labelling.robots import place_in
from tests.labelling.videos import frames_of

needs_dm_control = pytest.mark.skipif(
    find_spec("shimmy") is None or find_spec("dm_control") is None,
    reason="needs shimmy and dm_control",
)


def standing(num: int = 20, **changes: Any) -> ClipSpec:
    """A cheetah that does not move."""
    content = SimStates(
        NamedEnv("HalfCheetah-v4"), np.zeros((1, 18), np.float32), np.zeros(num, int)
    )
    return replace(ClipSpec(content, counts=(0, num), dt=0.05, size=64), **changes)


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize(
    "env_id",
    [
        "HalfCheetah-v4",
        "Walker2d-v5",
        f"{ROBOTS}:Standard-v0",
        pytest.param("dm_control/walker-walk-v0", marks=needs_dm_control),
    ],
)
def test_a_segment_becomes_a_clip_that_browsers_play(env_id, tmp_path):
    recorded = Recorded(*named(env_id))
    (spec,) = recorded.maker.specs(recorded.segments(1, 20), recorded.store)
    clip = render(spec)
    assert (clip.num_frames, clip.counts) == (spec.num_frames, spec.counts)
    assert clip.num_frames / clip.frames_per_s >= 0.999
    assert clip.meta == {
        "fps": round(1 / spec.dt, 6),
        "num_frames": spec.num_frames,
        "counts": list(spec.counts),
    }
    frames = frames_of(clip.mp4, tmp_path)
    assert frames.shape == (spec.num_frames, 64, 64, 3)
    assert frames[0].std() > 10
    assert abs(frames[-1].astype(int) - frames[0]).max() > 60, "something moves"
    assert 0 < clip.mp4.index(b"moov") < clip.mp4.index(b"mdat")
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "read.mp4"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert "h264" in said
    assert "yuv420p" in said


@pytest.mark.usefixtures("graphics")
def test_each_frame_shows_the_state_of_its_step(tmp_path):
    recorded = Recorded(*named("HalfCheetah-v4"))
    (spec,) = recorded.maker.specs(recorded.segments(1, 20), recorded.store)
    assert isinstance(spec.content, SimStates)
    frames = frames_of(render(spec).mp4, tmp_path).astype(int)
    env = make_env(
        "HalfCheetah-v4", render_mode="rgb_array", width=64, height=64, camera_name="track"
    )
    env.unwrapped.model.vis.quality.offsamples = 0  # type: ignore[attr-defined]
    env.reset(seed=0)
    for step in (0, 7, 19):
        state = spec.content.states[step].astype(float)
        env.unwrapped.set_state(state[:9], state[9:])  # type: ignore[attr-defined]
        expected = np.asarray(env.render()).astype(int)
        distance = [abs(expected - frame).mean() for frame in frames]
        assert int(np.argmin(distance)) == step
        assert min(distance) < 8
    env.close()


@pytest.mark.usefixtures("graphics")
def test_the_same_spec_is_the_same_clip_whatever_was_rendered_before():
    other = ClipSpec(
        SimStates(NamedEnv("Hopper-v4"), np.zeros((1, 12), np.float32), np.zeros(9, int)),
        counts=(0, 9),
        dt=0.05,
        size=64,
    )
    with ClipRenderer() as renderer:
        first = renderer.render(standing())
        renderer.render(other)
        renderer.render(standing(size=32))
        assert renderer.render(standing()).mp4 == first.mp4
    assert render(standing()).mp4 == first.mp4


@pytest.mark.usefixtures("graphics")
def test_an_environment_is_opened_once_for_many_clips(monkeypatch):
    opened = []

    def counted(env_id: str, **settings: Any) -> Any:
        opened.append(env_id)
        return make_env(env_id, **settings)

    monkeypatch.setattr("prefrl.labelling.clips.rendering.make_env", counted)
    with ClipRenderer() as renderer:
        for num in (20, 21, 22):
            renderer.render(standing(num, counts=(0, num)))
        assert opened == ["HalfCheetah-v4"]
        renderer.close()
        renderer.render(standing())
    assert opened == ["HalfCheetah-v4"] * 2


@pytest.mark.usefixtures("graphics")
def test_a_saved_model_is_rendered_like_the_environment_it_is_of(tmp_path):
    recorded = Recorded(lambda _: make_env(f"{ROBOTS}:Crawler-v0"), None)
    assert isinstance(recorded.source.scene, SavedModel)
    (spec,) = recorded.maker.specs(recorded.segments(1, 20), recorded.store)
    assert isinstance(spec.content, SimStates)
    again = ClipSpec.from_bytes(spec.to_bytes())
    by_name = replace(spec, content=replace(spec.content, scene=NamedEnv(f"{ROBOTS}:Crawler-v0")))
    saved, made = (frames_of(render(one).mp4, tmp_path).astype(int) for one in (again, by_name))
    np.testing.assert_array_equal(saved, made)


@pytest.mark.usefixtures("graphics")
def test_a_replay_shows_what_happened(tmp_path):
    recorded = Recorded(lambda _: gym.make(f"{ROBOTS}:Dot-v0"), None)
    segments = recorded.segments(2, 20)
    with ClipRenderer() as renderer:
        for row, spec in enumerate(recorded.maker.specs(segments, recorded.store)):
            frames = frames_of(renderer.render(spec).mp4, tmp_path)
            assert len(frames) == 20
            for frame, place in zip(frames, segments.observations[row], strict=True):
                np.testing.assert_allclose(place_in(frame), place, atol=0.03)


def test_a_replay_that_is_another_episode_is_no_clip():
    recorded = Recorded(lambda _: gym.make(f"{ROBOTS}:Dot-v0"), None)
    (spec,) = recorded.maker.specs(recorded.segments(1, 20), recorded.store)
    assert isinstance(spec.content, Replay)
    other = replace(spec, content=replace(spec.content, beginning={"seed": 77}))
    with pytest.raises(DataError, match="Dot-v0: played again, it is not the recorded episode"):
        render(other)


def test_pictures_are_the_clip_already():
    mp4 = mp4_bytes([np.zeros((16, 16, 3), np.uint8)] * 10, 10.0)
    clip = render(ClipSpec(RecordedPictures(mp4, 10), counts=(2, 5), dt=0.1))
    assert clip.mp4 == mp4
    assert clip.meta == {"fps": 10.0, "num_frames": 10, "counts": [2, 5]}


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize(
    ("scene", "states", "said"),
    [
        (
            NamedEnv("HalfCheetah-v4"),
            np.zeros((1, 12)),
            r"HalfCheetah-v4: a state has shape \(12,\)",
        ),
        (NamedEnv("HalfCheetah-v4"), np.full((1, 18), np.inf), "a state holds NaN or an infinity"),
        (NamedEnv("CartPole-v1"), np.zeros((1, 4)), "CartPole-v1 has no MuJoCo simulation"),
        (
            SavedModel("My-v0", zlib.compress(b"nothing")),
            np.zeros((1, 4)),
            "the model of My-v0 can",
        ),
        (SavedModel("My-v0", b"nothing"), np.zeros((1, 4)), "the model of My-v0 cannot be loaded"),
    ],
)
def test_a_state_that_fits_nothing_is_refused_by_name(scene, states, said):
    content = SimStates(scene, states.astype(np.float32), np.zeros(20, int))
    with pytest.raises(DataError, match=said) as error:
        render(ClipSpec(content, counts=(0, 20), dt=0.05, size=64))
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("graphics")
def test_an_environment_that_is_not_there_is_named():
    nowhere = NamedEnv("HalfCheetoh-v4")
    content = SimStates(nowhere, np.zeros((1, 18), np.float32), np.zeros(20, int))
    with pytest.raises(ConfigError, match="unknown environment 'HalfCheetoh-v4'"):
        render(standing(content=content))


@pytest.mark.usefixtures("graphics")
def test_after_a_bad_state_the_next_clip_is_right():
    bad = SimStates(
        NamedEnv("HalfCheetah-v4"), np.full((1, 18), np.nan, np.float32), np.zeros(20, int)
    )
    with ClipRenderer() as renderer:
        before = renderer.render(standing())
        with pytest.raises(DataError):
            renderer.render(standing(content=bad))
        assert renderer.render(standing()).mp4 == before.mp4


def test_a_model_is_saved_the_same_each_time():
    env = make_env("Hopper-v4")
    model = simulation_of(env).model
    assert save_model(model, "it") == save_model(model, "it")
    env.close()
