"""`ClipSpec`: everything that a clip is rendered from, as bytes that stay the same.

Axes: F frames, R states, Q simulator-state dims, L steps from an episode's first, A action dims, O
observation dims.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance, whole_number
from prefrl.errors import DataError, not_a, shown, text_of

_MARK = b"prefrl clip 1\n"
_LENGTH = struct.Struct("<I")
_MAX_HEADER = 2**20
_MAX_FRAMES = 100_000
_MAX_SIZE = 4096  # pixels
_DTYPES = {"f": "<f4", "i": "<i8", "b": "|u1"}


@dataclass(frozen=True)
class NamedEnv:
    """An environment that whoever renders makes by its id.

    Args:
        env_id: as `prefrl.envs.make_env` takes it.
        settings: further arguments of `make_env`, of what JSON can hold.
    """

    env_id: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instance("env_id", self.env_id, str, "the id of an environment: 'HalfCheetah-v4'")
        try:
            plain = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DataError(f"settings of {self.env_id}: {text_of(error)}") from None
        object.__setattr__(self, "settings", plain)


@dataclass(frozen=True)
class SavedModel:
    """A MuJoCo model as MuJoCo saves it, where no id makes the environment.

    Args:
        name: of the environment, for errors.
        packed: the model's binary form, compressed by zlib.
    """

    name: str
    packed: bytes = field(repr=False)


@dataclass(frozen=True)
class SimStates:
    """A clip of simulator states.

    Args:
        scene: whose model they are states of.
        states: (R, Q) float32, which is enough to render from.
        frames: (F,) the state that each frame shows.
    """

    scene: NamedEnv | SavedModel
    states: NDArray[np.float32]
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class Replay:
    """A clip of an episode that is played again from its reset.

    Args:
        scene: the environment.
        beginning: state of its random generator before the reset, as JSON can hold it.
        actions: (L, A) float32, from the first on.
        frames: (F,) the step that each frame stands before.
        expected: (O,) float32, observed before the step that the last frame stands before.
    """

    scene: NamedEnv
    beginning: Mapping[str, Any]
    actions: NDArray[np.float32]
    frames: NDArray[np.int64]
    expected: NDArray[np.float32]


@dataclass(frozen=True)
class Recorded:
    """A clip of pictures that were recorded, and are video already.

    Args:
        mp4: the content of the file.
        num_frames: F.
    """

    mp4: bytes = field(repr=False)
    num_frames: int


Content = SimStates | Replay | Recorded


@dataclass(frozen=True)
class ClipSpec:
    """A clip that can be rendered anywhere and at any time, always the same.

    Args:
        content: what it shows.
        counts: first frame of the segment, and the first one after it; the rest is context.
        dt: seconds of real time between frames.
        size: height and width in pixels.

    Raises:
        DataError: something is of another shape, or out of range.

    Example:
        >>> import numpy as np
        >>> from prefrl.labelling.clips import ClipSpec, NamedEnv, SimStates
        >>> states = np.zeros((3, 18), dtype=np.float32)
        >>> content = SimStates(NamedEnv("HalfCheetah-v4"), states, np.arange(3))
        >>> spec = ClipSpec(content, counts=(0, 3), dt=0.05)
        >>> ClipSpec.from_bytes(spec.to_bytes()).key == spec.key
        True
    """

    content: Content
    counts: tuple[int, int]
    dt: float
    size: int = 320

    def __post_init__(self) -> None:
        whole_number("size", self.size, least=16)
        if self.size > _MAX_SIZE or self.size % 2:
            raise DataError(f"size is {self.size}; expected an even number up to {_MAX_SIZE}")
        if not (isinstance(self.dt, float) and 0 < self.dt < math.inf):
            raise DataError(f"dt is {shown(self.dt)}; expected seconds above 0")
        _check_content(self.content)
        num = self.num_frames
        if not 1 <= num <= _MAX_FRAMES:
            raise DataError(f"a clip has {num} frames; expected 1 to {_MAX_FRAMES:,}")
        first, stop = self.counts
        if not 0 <= first < stop <= num:
            raise DataError(f"counts is {self.counts}; expected two of 0 to {num}, ascending")

    @property
    def num_frames(self) -> int:
        """F."""
        content = self.content
        return content.num_frames if isinstance(content, Recorded) else len(content.frames)

    @property
    def frames_per_s(self) -> float:
        """Returns how fast the frames are shown, at the speed of real time."""
        return round(1 / self.dt, 6)

    @cached_property
    def key(self) -> str:
        """The SHA-256 of its bytes: two segments that look alike are rendered once."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Returns a header in JSON, then the arrays, little-endian, in the header's order."""
        header: dict[str, Any] = {
            "kind": type(self.content).__name__,
            "counts": list(self.counts),
            "dt": self.dt,
            "size": self.size,
        }
        parts: dict[str, NDArray[Any]] = {}
        for name, value in vars(self.content).items():
            if isinstance(value, NamedEnv):
                header["env"] = [value.env_id, value.settings]
            elif isinstance(value, SavedModel):
                header["model"] = value.name
                parts["model"] = np.frombuffer(value.packed, np.uint8)
            elif isinstance(value, bytes):
                parts[name] = np.frombuffer(value, np.uint8)
            elif isinstance(value, np.ndarray):
                parts[name] = value
            else:
                header[name] = value
        arrays = {name: value.astype(_DTYPES[_kind(value)]) for name, value in parts.items()}
        header["arrays"] = [[n, _kind(parts[n]), list(a.shape)] for n, a in arrays.items()]
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
        blobs = [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
        return b"".join([_MARK, _LENGTH.pack(len(text)), text, *blobs])

    @staticmethod
    def from_bytes(content: bytes) -> "ClipSpec":
        """Reads what `to_bytes` returned; nothing in it is run.

        Raises:
            DataError: it is damaged, or of another version.
        """
        try:
            return _read(content)
        except DataError:
            raise
        except (ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
            raise DataError(f"a clip's description is damaged: {text_of(error)}") from None


def _kind(array: NDArray[Any]) -> str:
    return {"f": "f", "i": "i", "u": "b"}[array.dtype.kind]


def _read(content: bytes) -> ClipSpec:
    if not content.startswith(_MARK):
        raise DataError("these bytes describe no clip, or one of another version")
    at = len(_MARK)
    (length,) = _LENGTH.unpack_from(content, at)
    at += _LENGTH.size
    if length > _MAX_HEADER:
        raise ValueError(f"its header has {length} bytes")
    header = json.loads(content[at : at + length].decode("ascii"))
    at += length
    parts: dict[str, Any] = {}
    for name, kind, shape in header["arrays"]:
        if any(type(length) is not int or length < 0 for length in shape):
            raise ValueError(f"{name} has shape {shape}")
        dtype = np.dtype(_DTYPES[kind])
        size = math.prod(shape) * dtype.itemsize
        if at + size > len(content):
            raise ValueError(f"{name} ends too early")
        array = np.frombuffer(content, dtype, math.prod(shape), at).reshape(shape)
        parts[name] = array.astype(dtype.newbyteorder("="))
        at += size
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow its end")
    return ClipSpec(
        _content_of(header, parts),
        counts=tuple(header["counts"]),
        dt=header["dt"],
        size=header["size"],
    )


def _content_of(header: Mapping[str, Any], parts: Mapping[str, Any]) -> Content:
    kind = header["kind"]
    if kind == "Recorded":
        return Recorded(parts["mp4"].tobytes(), header["num_frames"])
    scene: NamedEnv | SavedModel
    if "model" in header:
        scene = SavedModel(header["model"], parts["model"].tobytes())
    else:
        scene = NamedEnv(*header["env"])
    if kind == "SimStates":
        return SimStates(scene, parts["states"], parts["frames"])
    if kind != "Replay" or not isinstance(scene, NamedEnv):
        raise ValueError(f"it is of kind {kind!r}")
    own = {name: parts[name] for name in ("actions", "frames", "expected")}
    return Replay(scene, header["beginning"], **own)


def _check_content(content: Content) -> None:
    if isinstance(content, Recorded):
        instance("mp4", content.mp4, bytes)
        whole_number("num_frames", content.num_frames, least=1)
        return
    rows = content.states if isinstance(content, SimStates) else content.actions
    name = "states" if isinstance(content, SimStates) else "actions"
    arrays: tuple[tuple[str, Any, str, int], ...] = (
        (name, rows, "float32", 2),
        ("frames", content.frames, "int64", 1),
    )
    for its, array, dtype, ndim in arrays:
        is_fine = isinstance(array, np.ndarray) and array.ndim == ndim and array.dtype == dtype
        if not is_fine:
            raise DataError(not_a(f"{its} of a clip", array, f"{ndim} axes of {dtype}"))
    # A frame of a replay stands before its step: the last one may come after the last action.
    stop = len(rows) + isinstance(content, Replay)
    if len(content.frames) and not 0 <= content.frames.min() <= content.frames.max() < stop:
        raise DataError(f"frames of a clip lie outside of its {len(rows)} {name}")
    if isinstance(content, Replay):
        if (np.diff(content.frames) < 0).any():
            raise DataError("frames of a replay must not go back")
        if content.expected.ndim != 1 or content.expected.dtype != np.float32:
            raise DataError("expected of a clip must be one observation of float32")
