"""`Films`: pictures that environments render while they are stepped, within a bound on memory.

Axes: H, W height and width in pixels, F frames, S segments.
"""

import io
import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import whole_number
from prefrl.envs.env_checker import env_name
from prefrl.envs.episode_files import EpisodeFiles, episodes_in
from prefrl.errors import DataError, EnvironmentFault, text_of, with_type
from prefrl.media.pictures import check_picture, resized

Picture = NDArray[np.uint8]

MAX_BYTES = 256 * 2**20
_QUALITY = 90  # of JPEG: a tenth of the bytes, and nothing that anybody sees


class Films:
    """Keeps what happens in episodes, as pictures: one before each step.

    It is for environments that no state can be rendered from later. They must have been made with
    `render_mode="rgb_array"`, and every step renders, which may take longer than the step.

    Args:
        size: pixels of the longer side that pictures are kept in.
        max_bytes: the bound; whole episodes go, oldest first, and the newest one stays.
    """

    def __init__(self, size: int = 320, *, max_bytes: int = MAX_BYTES) -> None:
        self.size = whole_number("size", size, least=16)
        self.max_bytes = whole_number("max_bytes", max_bytes, least=1)
        self.num_bytes = 0
        self._envs: Sequence[gym.Env[Any, Any]] = ()
        self._unfinished: list[list[bytes]] = []
        self._episodes: dict[int, list[bytes]] = {}
        self._files: EpisodeFiles | None = None

    def keep_in(self, folder: Path, *, first: int, stop: int) -> None:
        """Keeps pictures in a folder, too, and takes up those that are there; see `Beside`."""
        self._files = EpisodeFiles(folder)
        self._files.keep_sound(self.take_up, first=first, stop=stop)

    def take_up(self, folder: Path, *, first: int, stop: int) -> list[int]:
        """Takes up pictures that are in a folder; see `Beside`."""
        damaged = []
        for number, content in episodes_in(folder, first=first, stop=stop):
            strip = _strip_of(content)
            if strip is None:
                damaged.append(number)
                continue
            self._keep(number, strip)
            self._make_room(oldest=first)
        return damaged

    @property
    def numbers(self) -> frozenset[int]:
        """Returns the numbers of the episodes that there are pictures of."""
        return frozenset(self._episodes)

    def begin(self, envs: Sequence[gym.Env[Any, Any]]) -> None:
        """Films the first moment of every environment's episode."""
        self._envs = envs
        self._unfinished = [[] for _ in envs]
        self.step()

    def step(self) -> None:
        """Films the present moment of every environment."""
        for env, strip in zip(self._envs, self._unfinished, strict=True):
            strip.append(_packed(resized(picture_of(env), self.size)))

    def end(self, env: int, number: int, *, oldest: int) -> None:
        """Keeps an episode's pictures, and lets go of those that there is no room for."""
        strip = self._unfinished[env]
        self._unfinished[env] = []
        self._keep(number, strip)
        if self._files is not None:
            self._files.write(number, _file_of(strip))
        self._make_room(oldest=oldest)

    def _keep(self, number: int, strip: list[bytes]) -> None:
        self._episodes[number] = strip
        self.num_bytes += sum(map(len, strip))

    def _make_room(self, *, oldest: int) -> None:
        for other in sorted(self._episodes)[:-1]:
            if other >= oldest and self.num_bytes <= self.max_bytes:
                break
            self.num_bytes -= sum(map(len, self._episodes.pop(other)))
            if self._files is not None:
                self._files.remove(other)

    def pictures(self, episode: int, steps: NDArray[np.int64]) -> list[Picture]:
        """Returns the pictures before some steps of an episode, (H, W, 3) each.

        Raises:
            DataError: they are not kept, or not any more.
        """
        strip = self._episodes.get(episode)
        if strip is None:
            raise DataError(
                f"there are no pictures of episode {episode}: it was filmed too long ago, or its "
                "file was lost"
            )
        try:
            return [_unpacked(strip[step], self.size) for step in steps.tolist()]
        except (IndexError, OSError, ValueError) as error:
            raise DataError(
                f"the pictures of episode {episode} are damaged: {text_of(error)}"
            ) from None


def picture_of(env: gym.Env[Any, Any]) -> Picture:
    """Returns what an environment renders, as (H, W, 3).

    Raises:
        EnvironmentFault: it raises, or renders something else.
    """
    try:
        frame: Any = env.render()
    except Exception as error:  # every graphics stack fails in its own way
        raise EnvironmentFault(
            f"{env_name(env)} could not be rendered: {with_type(error)}"
        ) from error
    try:
        return check_picture(frame)
    except DataError as error:
        raise EnvironmentFault(f"{env_name(env)} rendered no picture: {error}") from None


def _file_of(strip: list[bytes]) -> bytes:
    """Returns how long each picture's bytes are, as a line of JSON, and then these."""
    return b"\n".join([json.dumps([len(one) for one in strip]).encode(), b"".join(strip)])


def _strip_of(content: bytes) -> list[bytes] | None:
    """Returns what `_file_of` made bytes of; None of any others."""
    line, _, pictures = content.partition(b"\n")
    try:
        lengths: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(lengths, list) or any(type(one) is not int or one < 1 for one in lengths):
        return None
    if sum(lengths) != len(pictures):
        return None
    ends = list(accumulate(lengths))
    return [pictures[end - size : end] for end, size in zip(ends, lengths, strict=True)]


def _packed(picture: Picture) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _unpacked(packed: bytes, size: int) -> Picture:
    """Returns a picture.

    Raises:
        OSError: it is damaged.
        ValueError: it is larger than any that is kept, or has no colours.
    """
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(packed), formats=["JPEG"])
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
    if max(picture.size) > size or picture.mode != "RGB":
        raise ValueError(f"one has {picture.size} pixels of {picture.mode}")
    return np.asarray(picture)
