"""Somebody else's run folder does not run code, whatever is in it."""

import io
import pickle
import shutil
import zipfile

import numpy as np
import pytest

from prefrl import run
from prefrl.cli import main
from prefrl.records.run_folder import BEST_POLICY, POLICY
from tests import tiny_runs
from tests.runs.stopped import stopped_after


class Planted:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    run(tiny_runs.ppo(eval_every=400), out=folder / "finished", show_progress=False)
    stopped_after(3, tiny_runs.ppo(eval_every=300), folder / "in_flight")
    return folder


def planted(folder, mark):
    """Puts a pickle that makes the file `mark` into every archive of a folder."""
    content = pickle.dumps(Planted(str(mark)))
    array = io.BytesIO()
    np.lib.format.write_array(array, np.array([Planted(str(mark))], dtype=object))
    for path in [*folder.rglob("*.zip"), *folder.rglob("*.npz")]:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for name in members:
            if path.suffix == ".zip":
                members[name] = content
            elif name.endswith(".npy"):
                members[name] = array.getvalue()
                break
        with zipfile.ZipFile(path, "w") as archive:
            for name, whole in members.items():
                archive.writestr(name, whole)


COMMANDS = (
    ("eval", "RUN", "--episodes", "1"),
    ("eval", "RUN", "--episodes", "1", "--policy", "best"),
    ("eval", "RUN", "--episodes", "0", "--video", "OUT.mp4"),
    ("run", "--resume", "RUN"),
    ("run", "--resume", "RUN", "--steps", "1500"),
    ("learn", "--run", "RUN"),
    ("learn", "--data", "RUN/comparisons.npz", "--out", "OUT"),
    ("answers", "merge", "RUN/comparisons.npz", "RUN/comparisons.npz", "--out", "OUT.npz"),
    ("report", "RUN"),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("kind", ["finished", "in_flight"])
def test_no_command_runs_code_that_is_in_a_run_folder(tmp_path, runs, kind, has_weights, capsys):
    mark = tmp_path / "was_here"
    for number, words in enumerate(COMMANDS):
        folder = tmp_path / f"run{number}"
        shutil.copytree(runs / kind, folder)
        planted(folder, mark)
        if not has_weights:
            for path in [*folder.glob("*.safetensors"), *folder.glob("candidates/*.safetensors")]:
                path.unlink()
        out = str(tmp_path / f"out{number}")
        status = main([w.replace("RUN", str(folder)).replace("OUT", out) for w in words])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert status in (0, 2), said
        assert not mark.exists(), words


def test_an_archive_alone_is_loaded_where_it_is_trusted(tmp_path, runs, capsys):
    folder = tmp_path / "run"
    shutil.copytree(runs / "finished", folder)
    assert main(["eval", str(folder), "--episodes", "1"]) == 0
    expected = capsys.readouterr().out
    for name in (POLICY, BEST_POLICY):
        (folder / name).with_suffix(".safetensors").unlink()
    assert main(["eval", str(folder), "--episodes", "1"]) == 2
    assert "has its policy in policy.zip alone" in capsys.readouterr().err
    assert main(["eval", str(folder), "--episodes", "1", "--trust"]) == 0
    assert capsys.readouterr().out == expected


def test_a_finished_run_of_before_weights_were_written_gets_them_when_it_is_resumed(
    tmp_path, runs, capsys
):
    folder = tmp_path / "run"
    shutil.copytree(runs / "finished", folder)
    assert main(["eval", str(folder), "--episodes", "1"]) == 0
    expected = capsys.readouterr().out
    weights = (folder / POLICY).with_suffix(".safetensors")
    weights.unlink()
    assert main(["run", "--resume", str(folder)]) == 0
    assert f"prefrl eval {folder}" in capsys.readouterr().out
    assert main(["eval", str(folder), "--episodes", "1"]) == 0
    assert capsys.readouterr().out == expected
