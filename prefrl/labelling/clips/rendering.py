"""Renders clips: each kind of environment is opened once, and kept for the next clip of it.

Axes: F frames.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby, repeat
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance
from prefrl.envs.beginnings import begin_again
from prefrl.envs.encoding import batch_of_one, observation_encoder
from prefrl.envs.films import picture_of
from prefrl.envs.opening import close_envs
from prefrl.envs.probing import action_of, is_same
from prefrl.envs.registry import make_env
from prefrl.envs.sim_state import simulation_of
from prefrl.errors import ConfigError, DataError, EnvironmentFault, PrefrlError, text_of, with_type
from prefrl.labelling.clips.spec import ClipSpec, NamedEnv, Recorded, Replay, SavedModel, SimStates
from prefrl.labelling.clips.stage import NUM_SAMPLES, SHADOW_SIZE, Stage
from prefrl.media.mp4 import mp4_bytes
from prefrl.media.pictures import resized

_MOST_OPEN = 3
_MAX_MODEL = 2**29  # bytes


@dataclass(frozen=True)
class Clip:
    """A rendered clip.

    Args:
        mp4: the file's content: H.264 in yuv420p with the index in front, as browsers want it.
        frames_per_s: at the speed of real time.
        num_frames: F.
        counts: first frame of the segment, and the first one after it; the rest is context.
    """

    mp4: bytes = field(repr=False)
    frames_per_s: float
    num_frames: int
    counts: tuple[int, int]

    @property
    def meta(self) -> dict[str, Any]:
        """Returns what a page needs to know beside the file, as JSON can hold it."""
        return {
            "fps": self.frames_per_s,
            "num_frames": self.num_frames,
            "counts": list(self.counts),
        }


class ClipRenderer:
    """Renders clips one after the other; used as a context, it closes what it has opened.

    Args:
        shadow_size: as in `Stage`.
        num_samples: likewise.

    Example:
        >>> from prefrl.labelling.clips import ClipRenderer
        >>> with ClipRenderer() as renderer:
        ...     clip = renderer.render(spec)  # doctest: +SKIP
    """

    def __init__(self, *, shadow_size: int = SHADOW_SIZE, num_samples: int = NUM_SAMPLES) -> None:
        self._shadow_size = shadow_size
        self._num_samples = num_samples
        self._open: OrderedDict[Any, tuple[Any, ExitStack]] = OrderedDict()

    def __enter__(self) -> "ClipRenderer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def render(self, spec: ClipSpec) -> Clip:
        """Renders a clip.

        Raises:
            DataError: a state does not fit the model, or a replay is another episode.
            ConfigError: the environment cannot be made or rendered here.
            PrefrlError: anything else that went wrong, in one line.
        """
        instance("spec", spec, ClipSpec)
        content = spec.content
        if isinstance(content, Recorded):
            mp4 = content.mp4
        else:
            pictures = (
                self._restored(content, spec.size)
                if isinstance(content, SimStates)
                else self._replayed(content, spec.size)
            )
            mp4 = mp4_bytes(pictures, spec.frames_per_s)
        return Clip(mp4, spec.frames_per_s, spec.num_frames, spec.counts)

    def close(self) -> None:
        """Closes every environment that was opened; they are opened again when needed."""
        while self._open:
            _, (_, closing) = self._open.popitem()
            closing.close()

    def _restored(self, content: SimStates, size: int) -> Iterator[NDArray[np.uint8]]:
        stage = self._kept(content.scene, size, self._stage)
        for row, group in groupby(content.frames.tolist()):
            # Where the picture stands still, it is rendered once.
            yield from repeat(stage.picture(content.states[row]), len(list(group)))

    def _replayed(self, content: Replay, size: int) -> Iterator[NDArray[np.uint8]]:
        env = self._kept(content.scene, -size, _open_env)
        space, name = env.observation_space, content.scene.env_id
        taken = 0
        try:
            observation = begin_again(env, content.beginning)
            for step, group in groupby(content.frames.tolist()):
                for row in content.actions[taken:step]:
                    observation = env.step(action_of(env.action_space, row))[0]
                taken = step
                yield from repeat(resized(picture_of(env), size), len(list(group)))
            seen = observation_encoder(space, name)(batch_of_one(space, observation))[0]
            if not is_same(seen, content.expected):
                raise DataError(f"{name}: played again, it is not the recorded episode")
        except PrefrlError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{name} failed in a replay: {with_type(error)}") from error

    def _kept(self, scene: NamedEnv | SavedModel, size: int, make: Any) -> Any:
        key = (repr(scene), scene.packed if isinstance(scene, SavedModel) else b"", size)
        if key not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1][1].close()
            with ExitStack() as closing:
                made = make(scene, abs(size), closing)
                self._open[key] = made, closing.pop_all()
        self._open.move_to_end(key)
        return self._open[key][0]

    def _stage(self, scene: NamedEnv | SavedModel, size: int, closing: ExitStack) -> Stage:
        if isinstance(scene, SavedModel):
            name, model = scene.name, _load(scene)
        else:
            name = scene.env_id
            env = make_env(scene.env_id, **scene.settings)
            closing.callback(close_envs, [env])
            env.reset(seed=0)  # Some have no simulation before.
            simulation = simulation_of(env)
            if simulation is None:
                raise DataError(f"{name} has no MuJoCo simulation, so that no state fits it")
            model = simulation.model
        quality = {"shadow_size": self._shadow_size, "num_samples": self._num_samples}
        try:
            stage = Stage(model, name, size=size, **quality)
        except PrefrlError:
            raise
        except Exception as error:  # every graphics stack fails in its own way
            raise ConfigError(f"{name} cannot be rendered here: {with_type(error)}") from error
        closing.callback(stage.close)
        return stage


def render(spec: ClipSpec) -> Clip:
    """Renders one clip; see `ClipRenderer`, which is quicker for several."""
    with ClipRenderer() as renderer:
        return renderer.render(spec)


def save_model(model: Any, name: str) -> SavedModel:
    """Packs a MuJoCo model, for an environment that no id makes.

    Args:
        model: MuJoCo's.
        name: of the environment.
    """
    content = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return SavedModel(name, zlib.compress(content.tobytes(), 6))


def _load(saved: SavedModel) -> Any:
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(saved.packed, _MAX_MODEL)
        if not unpacking.eof:
            raise ValueError("it is larger than it may be, or ends too early")
        return mujoco.MjModel.from_binary_path("model.mjb", {"model.mjb": content})
    except (zlib.error, ValueError) as error:
        raise DataError(
            f"the model of {saved.name} cannot be loaded, as when another version of MuJoCo saved "
            f"it (here is {mujoco.__version__}): {text_of(error)}"
        ) from None


def _open_env(scene: NamedEnv, size: int, closing: ExitStack) -> gym.Env[Any, Any]:
    settings: Mapping[str, Any] = {"render_mode": "rgb_array", **scene.settings}
    env = make_env(scene.env_id, **settings)
    closing.callback(close_envs, [env])
    return env
