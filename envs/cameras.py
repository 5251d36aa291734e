"""The cameras that MuJoCo tasks are filmed with."""

from typing import Any

import gymnasium as gym


def render_settings(env: gym.Env[Any, Any], size: int) -> dict[str, Any]:
    """Returns settings for `gymnasium.make` with which a clip shows the robot, at a chosen size.

    Gymnasium's own choice is a camera that stands still, and a cheetah that has learned to run is
    out of its sight within a second. The locomotion tasks all define a camera that follows.

    Args:
        env: the task.
        size: width and height, in pixels.

    Returns:
        keyword arguments, empty for an environment that is not MuJoCo's.
    """
    model: Any = getattr(env.unwrapped, "model", None)
    if not hasattr(model, "ncam"):
        return {}
    settings: dict[str, Any] = {"width": size, "height": size}
    try:
        model.camera("track")
    except KeyError:
        return settings
    return {**settings, "camera_name": "track"}
