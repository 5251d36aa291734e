"""Finds a way to render without a screen: EGL, else OSMesa; both work in software."""

import os
import subprocess
import sys

from prefrl.errors import ConfigError, one_line
from prefrl.media.mp4 import check_encoder

BACKENDS = ("egl", "osmesa")
_TRY = (
    "import mujoco; model = mujoco.MjModel.from_xml_string("
    "\"<mujoco><worldbody><geom size='1'/></worldbody></mujoco>\"); "
    "renderer = mujoco.Renderer(model, 16, 16); renderer.update_scene(mujoco.MjData(model)); "
    "print(renderer.render().shape); renderer.close()"
)
_PATIENCE_S = 120.0


def choose_graphics() -> str:
    """Decides what MuJoCo renders with in this process, before it is first asked to.

    `MUJOCO_GL` is kept where it is set and works. MuJoCo reads it when it is imported, so a process
    that has imported it before keeps what it has. It is tried in a process of its own: a graphics
    stack that fails leaves none that works behind.

    Returns:
        the value that `MUJOCO_GL` has from now on.

    Raises:
        ConfigError: nothing works; it says what to install.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    reasons = []
    for backend in (asked,) if asked else BACKENDS:
        failed = _failure(backend)
        if not failed:
            os.environ["MUJOCO_GL"] = backend
            if "mujoco" not in sys.modules:
                # Whoever started this process may render with something else.
                os.environ.pop("PYOPENGL_PLATFORM", None)
            return backend
        reasons.append(f"{backend}: {failed}")
    hint = "" if not asked or asked == "egl" else ", or unset MUJOCO_GL"
    raise ConfigError(
        f"clips cannot be rendered here ({'; '.join(reasons)}); install what renders without a "
        "screen: on Debian and Ubuntu, apt-get install libegl1 libgl1 libgl1-mesa-dri, or "
        f"libosmesa6 and MUJOCO_GL=osmesa{hint}"
    )


def check_can_render(*, is_rendered: bool = True) -> None:
    """Makes sure that clips can be made, before anybody waits for one.

    Args:
        is_rendered: MuJoCo renders them; else they are of pictures that are there.

    Raises:
        ConfigError: there is no encoder, or nothing to render with; it says what to install.
    """
    check_encoder()
    if is_rendered:
        choose_graphics()


def _failure(backend: str) -> str:
    """Returns why nothing can be rendered so; "" where it can."""
    environment = {**os.environ, "MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)  # left by a backend that was tried before
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRY],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no picture after {_PATIENCE_S:g} s"
    if done.returncode == 0 and "(16, 16, 3)" in done.stdout:
        return ""
    # What went wrong comes first; an object that could not be made is then taken down, too.
    lines = [line for line in done.stderr.splitlines() if line[:1].strip() and "Error" in line]
    return one_line(lines[0]) if lines else f"it ended with status {done.returncode}"
