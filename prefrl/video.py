"""Films a policy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.errors import ConfigError, StorageError


def film(
    predict: Callable[[Any], Any],
    make_env: Callable[[], gym.Env[Any, Any]],
    path: Path,
    *,
    max_seconds: float,
    seed: int,
) -> int:
    """Renders one episode, or its beginning, into an MP4 file at the speed of real time.

    Args:
        predict: (N, O) observations -> actions.
        make_env: makes an environment with `render_mode="rgb_array"`.
        path: the file to write; its folder must exist.
        max_seconds: longest clip, in seconds of simulated time.
        seed: of the episode.

    Returns:
        the number of frames.

    Raises:
        ConfigError: the environment cannot be rendered here.
        StorageError: the file could not be written.
    """
    import imageio.v2 as imageio

    if not path.parent.is_dir():
        raise StorageError(f"could not write {path}: there is no folder {path.parent}")
    env = make_env()
    try:
        frames_per_s = float(env.metadata.get("render_fps") or 30)
        observation, _ = env.reset(seed=seed)
        frames = []
        while len(frames) < max_seconds * frames_per_s:
            frames.append(_frame(env))
            action = predict(np.asarray(observation)[None])[0]
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
    finally:
        env.close()
    try:
        with imageio.get_writer(path, fps=frames_per_s, macro_block_size=2) as writer:
            for frame in frames:
                writer.append_data(frame)
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"could not write {path}: {' '.join(str(error).split())}") from None
    return len(frames)


def _frame(env: gym.Env[Any, Any]) -> Any:
    try:
        frame = env.render()
    except Exception as error:  # every graphics stack fails in its own way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "MuJoCo needs MUJOCO_GL=egl and libegl1"
        raise ConfigError(f"could not render: {reason}; {hint}") from error
    if frame is None:
        raise ConfigError("this environment renders no images")
    return frame
