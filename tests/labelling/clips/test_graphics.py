import ctypes.util
import os
import subprocess
import sys

import numpy as np
import pytest

from prefrl.errors import ConfigError
from prefrl.labelling.clips import ClipSpec, NamedEnv, SimStates
from prefrl.labelling.clips.graphics import choose_graphics
from tests.labelling.videos import frames_of

CODE = (
    "import os; from prefrl.labelling.clips.graphics import choose_graphics; "
    "print(choose_graphics(), os.environ['MUJOCO_GL'])"
)


def test_what_is_asked_for_is_used_where_it_works(graphics, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", graphics.upper())
    assert choose_graphics() == graphics


def test_without_a_wish_whatever_works_is_chosen_for_mujoco(graphics):
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    )
    chosen = done.stdout.split()
    assert chosen[0] in ("egl", "osmesa")
    assert chosen[1] == chosen[0]


@pytest.fixture
def without_egl():
    """Returns an environment in which EGL finds nothing to render with, but OSMesa does."""
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    environment["__EGL_VENDOR_LIBRARY_FILENAMES"] = os.devnull
    environment["PYOPENGL_PLATFORM"] = "egl"  # as MuJoCo leaves it in whoever starts a renderer
    if ctypes.util.find_library("OSMesa") is None:
        pytest.skip("libosmesa6 is not installed")
    return environment


def test_where_there_is_no_egl_osmesa_is_chosen(without_egl):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=without_egl, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["osmesa", "osmesa"]


def test_a_clip_rendered_by_osmesa_shows_what_is_seen_elsewhere(without_egl, graphics, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    code = (
        "import sys; from prefrl.labelling.clips.graphics import choose_graphics; "
        "choose_graphics(); from prefrl.labelling.clips import ClipSpec, render; "
        "from pathlib import Path; spec = ClipSpec.from_bytes(Path(sys.argv[1]).read_bytes()); "
        "Path(sys.argv[2]).write_bytes(render(spec).mp4)"
    )
    states = np.zeros((2, 18), np.float32)
    states[1, 2] = 0.8  # it rears up
    content = SimStates(NamedEnv("HalfCheetah-v4"), states, np.arange(2))
    spec = ClipSpec(content, counts=(0, 2), dt=0.1, size=64)
    (tmp_path / "spec").write_bytes(spec.to_bytes())
    seen = []
    for name, environment in (("osmesa", without_egl), (graphics, {**os.environ})):
        mp4 = tmp_path / f"{name}.mp4"
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "spec"), str(mp4)],
            env={**environment, **({"MUJOCO_GL": graphics} if name == graphics else {})},
            check=True,
        )
        seen.append(frames_of(mp4.read_bytes(), tmp_path).astype(float))
    by_osmesa, elsewhere = seen
    assert by_osmesa.shape == (2, 64, 64, 3)
    assert np.abs(by_osmesa[0] - by_osmesa[1]).mean() > 2, "the cheetah moves"
    assert np.abs(by_osmesa - elsewhere).mean() < 2


def test_what_does_not_work_is_refused_with_the_packages_that_would(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "abacus")
    with pytest.raises(ConfigError) as error:
        choose_graphics()
    said = str(error.value)
    assert said.startswith("clips cannot be rendered here (abacus: ")
    assert "abacus" in said.partition(")")[0]
    assert "apt-get install libegl1 libgl1 libgl1-mesa-dri" in said
    assert "or libosmesa6 and MUJOCO_GL=osmesa, or unset MUJOCO_GL" in said
    assert os.environ["MUJOCO_GL"] == "abacus"
