import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from prefrl.errors import ConfigError, DataError
from prefrl.media.mp4 import mp4_bytes, write_mp4
from prefrl.media.pictures import check_picture, resized


def pictures(num: int = 12, shape: tuple[int, int] = (32, 48)) -> list[np.ndarray]:
    return [np.full((*shape, 3), 20 * i, dtype=np.uint8) for i in range(num)]


def test_a_clip_begins_with_its_index_and_is_h264_in_yuv420p(tmp_path):
    content = mp4_bytes(pictures(), 31.25)
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True, check=False
    ).stderr
    assert "Video: h264" in said
    assert "yuv420p" in said
    assert "48x32" in said
    assert "31.25 fps" in said
    assert imageio_ffmpeg.count_frames_and_secs(path)[0] == 12


def test_the_same_pictures_make_the_same_file():
    assert mp4_bytes(pictures(), 20.0) == mp4_bytes(pictures(), 20.0)


def test_where_no_encoder_is_installed_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"^no video can be made: there is no program .*none"):
        write_mp4(tmp_path / "clip.mp4", pictures(), 20.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "frame",
    [None, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(frame):
    with pytest.raises(DataError, match="expected \\(height, width, 3\\) of uint8"):
        check_picture(frame)


def test_a_picture_keeps_its_shape_in_another_size():
    assert resized(np.zeros((30, 60, 3), np.uint8), 20).shape == (10, 20, 3)
    assert resized(np.zeros((60, 20, 3), np.uint8), 30).shape == (30, 10, 3)
