import gc
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.envs import make_env
from prefrl.errors import ConfigError, EnvironmentFault, StorageError
from prefrl.runs.video import film
from tests.envs.tasks import Counting, Failing

resource = pytest.importorskip("resource")  # Limits the size of files; Windows has none.

WIDTH, HEIGHT = 48, 32


class Painting(Counting):
    """Draws a picture that grows brighter from step to step.

    Args:
        length: steps of an episode.
        fps: pictures a second of simulated time.
        size: height and width of a picture.
    """

    def __init__(
        self, length: int = 12, fps: float | None = 10, size: tuple[int, int] = (HEIGHT, WIDTH)
    ) -> None:
        super().__init__(lengths=(length,))
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}
        self.size = size
        self.num_closed = 0

    def render(self) -> Any:
        return np.full((*self.size, 3), min(20 * int(self._obs[2]), 255), dtype=np.uint8)

    def close(self) -> None:
        self.num_closed += 1


def still(observations: Any) -> np.ndarray:
    return np.zeros((len(observations), 2), dtype=np.float32)


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    """The frames of a clip, and how many there are a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio forgets its reader's pipes.
        reader: Any = imageio.get_reader(path)
        frames = [np.asarray(frame) for frame in reader]
        frames_per_s = reader.get_meta_data()["fps"]
        reader.close()
        del reader
        gc.collect()
    return frames, frames_per_s


@pytest.mark.parametrize(
    ("max_seconds", "num_frames"), [(0.1, 1), (0.5, 5), (0.55, 6), (1.0, 10), (99.0, 12)]
)
def test_a_clip_holds_an_episode_or_its_beginning_at_the_speed_of_real_time(
    tmp_path, max_seconds, num_frames
):
    path = tmp_path / "clip.mp4"
    env = Painting()
    assert film(still, lambda: env, path, max_seconds=max_seconds, seed=0) == num_frames
    frames, fps = frames_of(path)
    assert len(frames) == num_frames
    assert fps == 10
    brightness = [frame.mean() for frame in frames]
    np.testing.assert_allclose(brightness, 20 * np.arange(num_frames), atol=6)
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert env.num_closed == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_environment_that_names_no_speed_is_filmed_at_thirty_frames_a_second(tmp_path):
    path = tmp_path / "clip.mp4"
    make = partial(Painting, 90, None)
    assert film(still, make, path, max_seconds=1.0, seed=0) == 30
    assert frames_of(path)[1] == 30


@pytest.mark.parametrize("size", [(33, 47), (32, 47), (33, 48)])
def test_an_odd_number_of_pixels_can_be_filmed_without_a_word(tmp_path, caplog, size):
    path = tmp_path / "clip.mp4"
    film(still, partial(Painting, size=size), path, max_seconds=0.5, seed=0)
    height, width = size
    assert frames_of(path)[0][0].shape == (height + height % 2, width + width % 2, 3)
    assert not caplog.records


@given(
    shape=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    size=st.integers(16, 120),
)
@settings(max_examples=8)
def test_frames_of_any_size_are_filmed_in_the_size_that_is_asked_for(tmp_path_factory, shape, size):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    film(still, partial(Painting, 2, size=shape), path, max_seconds=0.2, seed=0, size=size)
    height, width = frames_of(path)[0][0].shape[:2]
    assert max(height, width) in (size, size + 1), "the codec needs even numbers"
    smaller = min(shape) * size / max(shape)
    assert abs(min(height, width) - smaller) <= 1.5


def test_a_new_clip_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "clip.mp4"
    for max_seconds in (0.5, 0.8):
        film(still, Painting, path, max_seconds=max_seconds, seed=0)
    assert len(frames_of(path)[0]) == 8


@pytest.fixture
def no_screen() -> None:
    """Skips where MuJoCo cannot render without a screen."""
    try:
        env = make_env("HalfCheetah-v4", render_mode="rgb_array", width=WIDTH, height=HEIGHT)
        env.reset(seed=0)
        env.render()
        env.close()
    except Exception as error:  # noqa: BLE001 - every graphics stack fails in its own way
        pytest.skip(f"no EGL here: {error}")


@pytest.mark.usefixtures("no_screen")
def test_mujoco_is_filmed_without_a_screen(tmp_path):
    path = tmp_path / "clip.mp4"
    make = partial(make_env, "HalfCheetah-v4", render_mode="rgb_array", width=WIDTH, height=HEIGHT)

    def running(observations: Any) -> np.ndarray:
        return np.sin(10 * np.asarray(observations)[:, :6]).astype(np.float32)

    assert film(running, make, path, max_seconds=0.5, seed=0) == 10
    frames, fps = frames_of(path)
    assert (len(frames), fps, frames[0].shape) == (10, 20, (HEIGHT, WIDTH, 3))
    assert frames[0].std() > 5  # Not an empty picture,
    assert abs(frames[9].astype(int) - frames[0]).mean() > 1  # nor a still one.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip.gif", r"end it in \.mp4"),
        ("clip", r"end it in \.mp4"),
    ],
)
def test_only_mp4_files_are_written(tmp_path, name, said):
    with pytest.raises(ConfigError, match=said):
        film(still, Painting, tmp_path / name, max_seconds=1.0, seed=0)


@pytest.mark.parametrize("max_seconds", [0.0, -1.0, float("nan")])
def test_a_clip_of_no_length_is_refused(tmp_path, max_seconds):
    with pytest.raises(ConfigError, match=r"max_seconds is .*; expected more than 0"):
        film(still, Painting, tmp_path / "clip.mp4", max_seconds=max_seconds, seed=0)


def test_a_clip_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "taken.mp4").mkdir()
    for path, said in (
        (tmp_path / "no_such_folder" / "clip.mp4", "there is no folder"),
        (tmp_path / "taken.mp4", "Is a directory"),
        (Path("/proc/clip.mp4"), ""),
    ):
        with pytest.raises(StorageError, match=f"^could not write {path}: .*{said}") as error:
            film(still, Painting, path, max_seconds=0.5, seed=0)
        assert "\n" not in str(error.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.mp4"]


def test_a_disk_that_fills_up_leaves_the_old_clip(tmp_path):
    path = tmp_path / "clip.mp4"
    film(still, Painting, path, max_seconds=0.5, seed=0)
    before = path.read_bytes()

    class Noisy(Painting):
        def render(self) -> Any:
            return np.random.default_rng(int(self._obs[2])).integers(
                256, size=(200, 200, 3), dtype=np.uint8
            )

    own = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, own[1]))
    try:
        with pytest.raises(StorageError, match=f"^could not write {path}: ") as error:
            film(still, partial(Noisy, 60), path, max_seconds=6.0, seed=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, own)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_cannot_be_rendered_is_refused_before_there_is_a_file(tmp_path):
    class Broken(Painting):
        def render(self) -> Any:
            raise ImportError("no\nEGL")

    class Bare(Painting):
        def render(self) -> Any:
            raise gym.error.DependencyNotInstalled("pygame is not installed")

    class Blind(Painting):
        def render(self) -> Any:
            return None

    class Plain(Painting):
        render = gym.Env.render

    for make, said in (
        (Broken, "could not render: ImportError: no EGL; MuJoCo needs MUJOCO_GL=egl and libegl1"),
        (Bare, "could not render: DependencyNotInstalled: pygame is not installed"),
        (Blind, "this environment renders no images"),
        (Plain, "this environment renders no images"),
    ):
        with pytest.raises(ConfigError, match=f"^{said}$"):
            film(still, make, tmp_path / "clip.mp4", max_seconds=1.0, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_goes_wrong_is_named_and_leaves_no_file(tmp_path):
    class Sparkling(Failing):
        def render(self) -> Any:
            return np.zeros((16, 16, 3), dtype=np.uint8)

    def make() -> gym.Env[Any, Any]:
        return Sparkling("raises")

    def still_here(observations: Any) -> np.ndarray:
        return np.zeros((len(observations), 1), dtype=np.float32)

    with pytest.raises(
        EnvironmentFault, match=r"Sparkling failed while it was filmed: .* is stuck"
    ):
        film(still_here, make, tmp_path / "clip.mp4", max_seconds=1.0, seed=0)
    assert list(tmp_path.iterdir()) == []
