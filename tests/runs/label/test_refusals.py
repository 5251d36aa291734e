"""Obstacles to labelling are one line before anybody is asked, and nothing is lost."""

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prefrl import Parts, ServingConfig, TeacherConfig, run
from prefrl.feedback.protocols import Answer
from prefrl.records.files import claimed
from tests.cli.in_process import call, contents
from tests.session.stores import put

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.labelling.clips import ClipSource, NamedEnv
from prefrl.labelling.clips.source_file import write_source
from prefrl.labelling.store import LabelStore
from prefrl.runs.label.data_material import about_of
from prefrl.runs.processes import Processes
from prefrl.runs.serving import claimed_store
from tests import tiny_runs
from tests.own_envs import Painted
from tests.runs.cheetah import cheetah
from tests.runs.label.labelling import recorded

pytestmark = pytest.mark.usefixtures("without_curves")
PAINTED = "tests.own_envs:Painted-v0"
WORDS = ["label", "--data", "walks.npz", "--no-open"]


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "walks.npz"
    recorded().save(path)
    return path


@pytest.fixture
def home(tmp_path: Path, walks: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recorded data."""
    monkeypatch.delenv("PREFRL_DATABASE", raising=False)
    (tmp_path / "home").mkdir()
    shutil.copy(walks, tmp_path / "home" / "walks.npz")
    return tmp_path / "home"


def refusal(home: Path, *words: str, before: dict[bytes, bytes] | None = None) -> str:
    """The one line by which a command is refused that changes nothing."""
    before = contents(home) if before is None else before
    line = call(home, list(words)).refusal
    assert contents(home) == before
    return line


def test_no_graphics_are_told_with_what_to_install(home, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    line = refusal(home, *WORDS)
    assert "on Debian and Ubuntu, apt-get install libegl1 libgl1 libgl1-mesa-dri" in line


def test_no_encoder_is_told_with_what_to_install(home, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    assert "no video can be made: " in refusal(home, *WORDS)


@pytest.mark.parametrize(
    "words", [WORDS, ["run", "--teacher", "human"], ["label", "backup", "run", "copy.sqlite"]]
)
def test_without_the_extra_it_is_told_what_to_install(home, words):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        f"from prefrl.cli import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"sys = __import__('sys'); sys.path[:] = {sys.path!r}\n{code}"],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "prefrl: people label in a page, which needs uvicorn: pip install 'prefrl[human]'\n"
    )


def test_a_database_that_is_away_is_named_without_its_password(home):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"postgresql://ann:hunter2@127.0.0.1:{one.getsockname()[1]}/labels"
        line = refusal(home, *WORDS, "--database", url)
    assert "is not available" in line
    assert "hunter2" not in line


def test_a_host_that_is_not_ours_is_named(home):
    line = refusal(home, *WORDS, "--host", "203.0.113.7")
    assert "host is '203.0.113.7', on which nothing can listen here" in line


def test_a_port_in_use_leaves_database_and_folder_to_others(home, postgres_url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = refusal(home, *WORDS, "--port", port, "--database", postgres_url)
    assert f"port {port} is in use; choose another --port" in line
    with contextlib.closing(LabelStore(postgres_url)) as store:
        store.claim("another", name="another")


def test_states_of_another_environment_are_refused(home):
    dataset = recorded()
    shuffled = {"sim_states": np.roll(dataset.steps["sim_states"], 3, axis=0)}
    recorded(**shuffled).save(home / "walks.npz")
    assert "sim_states does not fit HalfCheetah-v4" in refusal(home, *WORDS)


def test_an_environment_that_is_not_there_is_told_with_the_file_that_names_it(home):
    dataset = recorded()
    dataset.env_id = "HalfCheetoh-v4"
    dataset.save(home / "walks.npz")
    line = refusal(home, *WORDS)
    assert "walks.npz cannot be labelled: unknown environment 'HalfCheetoh-v4'" in line


def labelled(home: Path) -> Path:
    """A folder in which one question about the recorded data was answered."""
    folder = home / "walks-labels"
    folder.mkdir()
    from prefrl.config import LabelConfig

    about = about_of(home / "walks.npz", LabelConfig())
    with claimed_store(folder, ServingConfig(), about=about) as (store, _):
        put(store, 1)
        store.answer([Answer(0, 1.0, "ann")])
    return folder


def answers_in(folder: Path) -> int:
    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        return len(store.answers())


def test_data_that_has_changed_is_not_asked_about_in_the_same_folder(home):
    folder = labelled(home)
    recorded(p_left=np.ones(8)).save(home / "walks.npz")
    assert "walks-labels has the answers about other data" in refusal(home, *WORDS)
    assert answers_in(folder) == 1


def test_a_database_of_a_newer_version_is_left_alone(home):
    folder = labelled(home)
    with contextlib.closing(sqlite3.connect(folder / "labels.sqlite")) as connection:
        connection.execute("UPDATE prefrl_version SET version_num = '9999'")
        connection.commit()
    for words in (WORDS, ["label", "backup", "walks-labels", "copy.sqlite"]):
        line = refusal(home, *words)
        assert "is of schema version 9999; this prefrl reads up to" in line
        assert "a newer one wrote it" in line


def test_who_is_served_already_is_told_where(home):
    folder = labelled(home)
    with (
        claimed(folder),
        claimed_store(folder, ServingConfig()) as (store, kept),
        Processes(store, folder, kept, port=None, is_runs=False) as processes,
    ):
        ended = call(home, WORDS)
        assert ended.status == 0
        assert processes.links.label_link in ended.out
        assert "it is being served already" in ended.out


def test_a_run_whose_episodes_cannot_be_shown_says_what_stands_in_the_way(home):
    run(tiny_runs.tiniest(), out=home / "run", show_progress=False)
    line = refusal(home, "label", "run")
    assert "cannot be shown to people. From its state: it has no MuJoCo state. By pict" in line


def test_a_run_that_kept_nothing_to_show_its_episodes_by_says_what_is_possible(home):
    config = cheetah(env=PAINTED, teacher=TeacherConfig(), max_episode_steps=20)
    run(config, out=home / "run", show_progress=False)
    line = refusal(home, "label", "run")
    assert f"episodes of {PAINTED} can be shown only by pictures taken of them while they" in line
    assert "run has no shown/: only a run with --teacher human keeps it, so start one" in line
    assert "or label recorded steps with `frames` by prefrl label --data FILE" in line
    shown = home / "run" / "shown"
    shown.mkdir()
    write_source(shown, ClipSource("pictures", None, 0.05))
    line = refusal(home, "label", "run")
    assert "what run/shown still has of run/episodes.npz holds no two segments of 10 steps" in line
    write_source(shown, ClipSource("actions", NamedEnv("run.robot:Cart-v0"), 0.05))
    (home / "run" / "robot.py").write_text("raise SystemExit")
    line = refusal(home, "label", "run")
    assert "run names the module run.robot, which lies in that folder itself" in line
    (shown / "source.json").write_text("[]")
    assert "run/shown/source.json is damaged" in refusal(home, "label", "run")


def test_a_run_in_environments_of_ones_own_says_by_what_alone_they_can_be_shown(home):
    config = cheetah(env="Painted", teacher=TeacherConfig(), max_episode_steps=20)
    run(config, out=home / "run", parts=Parts(make_env=Painted), show_progress=False)
    line = refusal(home, "label", "run")
    assert "was made with make_env tests.own_envs:Painted, which prefrl label cannot call" in line
    assert "can be shown only by what a run with --teacher human keeps in shown/" in line


def test_a_run_is_labelled_only_where_its_episodes_are_there_and_fit(home):
    config = cheetah(teacher=TeacherConfig())
    run(config, out=home / "run", show_progress=False)
    path = home / "run" / "episodes.npz"
    with np.load(path) as whole:
        arrays = dict(whole)
    for changed, said in (
        ({"sim_states": np.roll(arrays["sim_states"], 3, axis=0)}, "does not fit HalfCheetah-v4"),
        ({"sim_states": arrays["sim_states"][:, 1:]}, "has 17 dims, but the states of HalfCheetah"),
        ({"actions": arrays["actions"][:, 1:]}, "does not fit this run: its episodes have 17 obs"),
    ):
        np.savez(path, **{**arrays, **changed})
        assert said in refusal(home, "label", "run"), said
    path.unlink()
    assert "there is no file run/episodes.npz" in refusal(home, "label", "run")
