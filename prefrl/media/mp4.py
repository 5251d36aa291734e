"""Encodes pictures as H.264 video, which every browser plays.

Axes: H, W height and width of a picture in pixels.
"""

import shutil
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.errors import ConfigError, StorageError

# Some players need the index before the pictures, and pictures that can be looked for: at least
# every second of 25 has one that does not depend on those before it.
_SETTINGS = ("-preset", "veryfast", "-g", "25", "-movflags", "+faststart")


def write_mp4(path: Path, frames: Iterable[Any], frames_per_s: float) -> int:
    """Writes pictures into a file as they come; it takes its place when it is whole.

    Args:
        path: the file, ending in .mp4.
        frames: (H, W, 3) uint8 each, all of one size, at least one.
        frames_per_s: how fast they are shown.

    Returns:
        how many there are.

    Raises:
        ConfigError: no encoder is installed.
        StorageError: the file could not be written; what was there before is untouched.
    """
    frames = iter(frames)
    first = next(frames)  # What cannot be rendered fails before there is a file.
    unfinished = path.with_name(f".{path.stem[:50]}.unfinished.mp4")
    try:
        unfinished.touch()  # The system gives better reasons than the encoder.
        num_frames = _encode(unfinished, chain([first], frames), frames_per_s)
        unfinished.replace(path)
    except (OSError, ValueError) as error:
        # The encoder's own errors go on for lines, with the command it was started by.
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        with warnings.catch_warnings():
            # imageio-ffmpeg leaves the pipe to an encoder open that has ended by itself.
            warnings.simplefilter("ignore", ResourceWarning)
            traceback.clear_frames(error.__traceback__)
        raise StorageError(f"could not write {path}: {reason}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return num_frames


def mp4_bytes(frames: Iterable[Any], frames_per_s: float) -> bytes:
    """Returns pictures as the content of an MP4 file.

    Args:
        frames: as in `write_mp4`.
        frames_per_s: likewise.

    Raises:
        ConfigError: no encoder is installed.
        StorageError: there is no room for it in the folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="prefrl-clip-") as folder:
        path = Path(folder) / "clip.mp4"  # A pipe would not do: the index goes to the front.
        write_mp4(path, frames, frames_per_s)
        return path.read_bytes()


def check_encoder() -> None:
    """Makes sure that there is an encoder, before there is anything to encode.

    Raises:
        ConfigError: there is none.
    """
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        reason = "" if shutil.which(program) else f"there is no program {program}"
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
    if reason:
        raise ConfigError(
            f"no video can be made: {reason}; pip install imageio-ffmpeg brings ffmpeg along, or "
            "set IMAGEIO_FFMPEG_EXE to one"
        )


def _encode(path: Path, frames: Iterator[Any], frames_per_s: float) -> int:
    import imageio.v2 as imageio

    check_encoder()
    num_frames = 0
    writer: Any = imageio.get_writer(
        path,
        format="FFMPEG",
        fps=frames_per_s,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=2,
        ffmpeg_log_level="quiet",
        output_params=list(_SETTINGS),
    )
    with closing(writer):
        for frame in frames:
            writer.append_data(_even(frame))
            num_frames += 1
    if not _holds(path, num_frames):
        raise OSError("frames are missing from the file; is the disk full?")
    return num_frames


def _even(frame: Any) -> Any:
    """Returns a frame of even height and width, as the codec needs; an odd last row is doubled."""
    height, width = frame.shape[:2]
    if not (height % 2 or width % 2):
        return frame
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _holds(path: Path, num_frames: int) -> bool:
    """Checks that the clip is whole; the encoder does not say when the disk was full."""
    import imageio_ffmpeg

    try:
        return bool(imageio_ffmpeg.count_frames_and_secs(path)[0] == num_frames)
    except RuntimeError:  # It is no clip at all.
        return False
