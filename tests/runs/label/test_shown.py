"""Finished runs whose episodes no state brings back are labelled by what their folders kept."""

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from prefrl import Parts, RunConfig, load_comparisons, load_episodes, run
from prefrl.config import to_yaml
from tests.cli.in_process import contents
from tests.command_line import start
from tests.runs.cheetah import BUDGET, cheetah
from tests.runs.labeller import Labeller

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.labelling.clips import ClipSpec, Recorded, Replay
from prefrl.labelling.store import LabelStore
from tests.runs.label.labelling import said_in

pytestmark = pytest.mark.usefixtures("without_curves")
PAGE = Path(__file__).parents[3] / "docs/labelling.md"
DOT = "tests.labelling.robots:Dot-v0"


def farther(sides: Any) -> str:
    """Prefers the side on which the first entry of the observations is larger."""
    left, right = (np.mean(np.array(sides[one]["observations"])[:, 0]) for one in ("left", "right"))
    return "left" if left > right else "right"


def taught(folder: Path, teach: Any, **settings: Any) -> RunConfig:
    """Lets a run be taught by a script, over HTTP; returns its settings."""
    ppo: Any = {"agent": "ppo", "agent_settings": {"n_steps": 20}, "num_envs": 1}
    config = cheetah(max_episode_steps=20, **ppo, **settings)
    labeller = Labeller(folder, farther)
    labeller.start()
    try:
        teach(config)
    finally:
        labeller.is_over.set()
        labeller.join()
    assert not labeller.fault
    return config


def asked_in(folder: Path) -> set[int]:
    """Returns the episodes that questions are about which were not the run's own."""
    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        assert store.counts().withdrawn == 0
        asked = [store.question(number) for number in store.standings() if number >= BUDGET]
    return {int(side.episode[0]) for one in asked for side in (one.left, one.right)}


def kinds_of_clips(folder: Path) -> set[type]:
    with contextlib.closing(sqlite3.connect(folder / "labels.sqlite")) as connection:
        rows = connection.execute("SELECT spec FROM clip_specs").fetchall()
    return {type(ClipSpec.from_bytes(spec).content) for (spec,) in rows}


def test_a_run_of_the_cart_of_the_docs_is_asked_about_by_its_pictures(tmp_path, label):
    home = tmp_path / "home"
    (cart,) = re.findall(r"```python\n(?=# my_robot.py\n)(.*?)```", PAGE.read_text(), re.DOTALL)
    (home / "my_robot.py").write_text(cart)
    folder = home / "run"

    def teach(config: RunConfig) -> None:
        (home / "cart.yaml").write_text(to_yaml(config))
        words = ("run", "--config", "cart.yaml", "--out", "run", "--no-open")
        ended = start(home, *words).wait()
        assert ended.status == 0, ended.err

    taught(folder, teach, env="my_robot:Cart-v0")
    before = load_comparisons(folder / "comparisons.npz")
    assert len(before) == BUDGET
    episodes = sorted((folder / "shown").glob("*.episode"))
    assert len(episodes) == len(load_episodes(folder / "episodes.npz"))
    for path in episodes[:-6]:
        path.unlink()
    episodes[-2].write_bytes(b"damaged")
    kept = {int(path.stem) for path in episodes[-6:]} - {int(episodes[-2].stem)}
    shown = contents(folder / "shown")
    words = ("run", "--budget", 3, "--repeat-share", 0)
    labelling = label(folder, *words, judge=farther).answered(3)
    ended = labelling.end()
    assert ended.status == 0, ended.err
    assert "3 questions are answered here" in ended.out
    assert contents(folder / "shown") == shown
    said = said_in(folder / "comparisons.npz", labelling.labeller.said)
    np.testing.assert_array_equal(said.p_left[:BUDGET], before.p_left)
    assert min(labelling.labeller.said) > before.question.max()
    assert asked_in(folder) <= kept
    assert kinds_of_clips(folder) == {Recorded}


def test_a_run_in_environments_of_ones_own_is_asked_about_by_playing_its_episodes_again(
    tmp_path, label
):
    folder, make = tmp_path / "home" / "run", lambda: gym.make(DOT, max_episode_steps=20)

    def teach(config: RunConfig) -> None:
        run(config, out=folder, parts=Parts(make_env=make), show_progress=False)

    taught(folder, teach, env="Dot-v0")
    labelling = label(folder, "run", "--budget", 3, judge=farther).answered(3)
    ended = labelling.end()
    assert ended.status == 0, ended.err
    said_in(folder / "comparisons.npz", labelling.labeller.said)
    assert len(asked_in(folder)) > 1
    assert kinds_of_clips(folder) == {Replay}
