import os
import subprocess
import sys

import pytest

from prefrl.errors import ConfigError
from prefrl.labelling.clips.graphics import choose_graphics

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
