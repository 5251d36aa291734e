"""Films a policy."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl import arguments
from prefrl.arguments import function, whole_number
from prefrl.envs.env_checker import check_env
from prefrl.envs.opening import close_envs
from prefrl.errors import (
    ArgumentError,
    ConfigError,
    EnvironmentFault,
    PrefrlError,
    not_a,
    with_type,
)
from prefrl.media.mp4 import write_mp4
from prefrl.media.pictures import resized
from prefrl.records.files import check_new_file


def film(
    predict: Callable[[Any], Any],
    make_env: Callable[[], gym.Env[Any, Any]],
    path: Path,
    *,
    max_seconds: float,
    seed: int,
    size: int | None = None,
) -> int:
    """Renders one episode, or its beginning, into an MP4 file at the speed of real time.

    Args:
        predict: (N, O) observations -> actions.
        make_env: makes an environment with `render_mode="rgb_array"`.
        path: the file to write, ending in .mp4; its folder must exist.
        max_seconds: longest clip, in seconds of simulated time.
        seed: of the episode.
        size: pixels of the frames' longer side; None leaves them as they are rendered.

    Returns:
        the number of frames.

    Raises:
        ConfigError: the environment cannot be rendered here, or the clip would not be one.
        EnvironmentFault: the environment went wrong.
        StorageError: the file could not be written; what was there before is untouched.
    """
    function("predict", predict, "a function of (N, O) observations that returns actions")
    function("make_env", make_env, "a function that makes one environment")
    path = arguments.path("path", path)
    seed = whole_number("seed", seed)
    if size is not None:
        size = whole_number("size", size, least=1)
    if isinstance(max_seconds, bool) or not isinstance(max_seconds, (int, float)):
        raise ArgumentError(not_a("max_seconds", max_seconds, "a number above 0"))
    check_clip_path(path)
    if not 0 < max_seconds < math.inf:
        raise ConfigError(f"max_seconds is {max_seconds}; expected more than 0")
    max_seconds = min(max_seconds, 1e9)
    env = make_env()
    check_env(env)
    try:
        frames_per_s = float(env.metadata.get("render_fps") or 30)
        frames = _play(predict, env, seed=seed, max_frames=math.ceil(max_seconds * frames_per_s))
        if size is not None:
            frames = (resized(frame, size) for frame in frames)
        return write_mp4(path, frames, frames_per_s)
    finally:
        close_envs([env])


def check_clip_path(path: Path) -> None:
    """Refuses a path that no clip can be written to, before anything is played.

    Raises:
        ConfigError: the name does not end in .mp4.
        StorageError: it cannot be written.
    """
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"clips are MP4 files, {path} is not named like one; end it in .mp4")
    check_new_file(path)


def _play(
    predict: Callable[[Any], Any], env: gym.Env[Any, Any], *, seed: int, max_frames: int
) -> Iterator[Any]:
    """Yields the frames of an episode, each rendered before the action of its step."""
    try:
        observation, _ = env.reset(seed=seed)
        for _ in range(max_frames):
            yield _render(env)
            action = predict(np.asarray(observation)[None])[0]
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                return
    except PrefrlError:
        raise
    except Exception as error:
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        raise EnvironmentFault(f"{name} failed while it was filmed: {with_type(error)}") from error


def _render(env: gym.Env[Any, Any]) -> Any:
    try:
        frame = env.render()
    except NotImplementedError:  # Gymnasium's own, of a class that has no `render`.
        frame = None
    except Exception as error:  # every graphics stack fails in its own way
        # An environment that lacks a package says itself which, and may not be one of MuJoCo's.
        is_said = isinstance(error, gym.error.DependencyNotInstalled)
        hint = "" if is_said else "; MuJoCo needs MUJOCO_GL=egl and libegl1"
        raise ConfigError(f"could not render: {with_type(error)}{hint}") from error
    if frame is None:
        raise ConfigError("this environment renders no images")
    return frame
