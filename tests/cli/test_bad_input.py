"""Each gets one clear line and a non-zero exit; nothing is lost, nothing half-written."""

import contextlib
import functools
import json
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from prefrl.config import QueryConfig, RewardConfig, to_yaml
from tests import tiny_runs
from tests.command_line import prefrl
from tests.records.test_checkpoint import same
from tests.runs.homes import Home

TINY = ["--num-envs", "2", "--segment-length", "10", "--steps", "1206", "--budget", "23"]


def refusal(folder, *words, **options):
    outcome = prefrl(folder, *words, **options)
    assert outcome.status == 2, outcome.err
    assert outcome.err == f"{outcome.complaint}\n", "one line"
    assert outcome.out == ""
    return outcome.complaint


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run to its end, in which nothing went wrong."""
    home = faulty(tmp_path_factory.mktemp("whole") / "home")
    outcome = prefrl(home.path, *home.begin)
    assert outcome.status == 0, outcome.err
    return home


def faulty(path):
    """A run whose environment is at fault as long as there is a file `fault`."""
    home = Home(path, "ppo")
    config = tiny_runs.ppo(env_kwargs={"fault": "fault"})
    (home.path / "settings.yaml").write_text(to_yaml(config))
    return home


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("nan", "PointMass-v0 returned an observation that is not finite"),
        ("raise", "PointMass-v0 failed in a step: RuntimeError: the motor is too hot"),
    ],
)
def test_an_environment_at_fault_stops_the_run_which_goes_on_once_it_is_repaired(
    fault, expected, whole, tmp_path
):
    home = faulty(tmp_path / "home")
    (home.path / "fault").write_text(f"{fault} 400")
    outcome = prefrl(home.path, *home.begin)
    assert outcome.status == 2
    assert outcome.complaint.startswith(f"prefrl: {expected}; ")
    assert outcome.complaint.endswith("go on from the last checkpoint with --resume run")
    assert len(home.checkpoints()) == 2
    (home.path / "fault").write_text(f"{fault} 3")
    assert prefrl(home.path, *home.go_on).complaint == outcome.complaint

    (home.path / "fault").unlink()
    outcome = prefrl(home.path, *home.go_on)
    assert outcome.status == 0, outcome.err
    assert_same_end(home, whole)


def assert_same_end(home, whole):
    assert home.figures() == whole.figures()
    assert same(home.policy(), whole.policy())
    assert same(home.rows(), whole.rows())


def limit_file_size(num_bytes):
    """No file may become larger: what a full disk looks like to a process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


# Too large are, in turn: the settings, the first checkpoint, the second, the picture.
@pytest.mark.parametrize("num_bytes", [500, 8_000, 20_000, 70_000])
def test_a_full_disk_stops_the_run_which_goes_on_once_there_is_room(num_bytes, whole, tmp_path):
    home = faulty(tmp_path / "home")
    outcome = prefrl(home.path, *home.begin, before=functools.partial(limit_file_size, num_bytes))
    assert outcome.status == 2, outcome.err
    assert "could not write" in outcome.complaint
    assert "File too large" in outcome.complaint
    if (home.run / "config.yaml").exists():
        assert outcome.complaint.endswith("go on from the last checkpoint with --resume run")
        outcome = prefrl(home.path, *home.go_on)
        assert outcome.status == 0, outcome.err
        assert_same_end(home, whole)


def test_a_disk_that_is_full_for_tensorboard_stops_the_run_too(tmp_path):
    home = Home(tmp_path / "home", "ppo")
    talkative = tiny_runs.ppo(
        num_envs=1,
        agent_settings={**tiny_runs.PPO_SETTINGS, "n_steps": 4, "batch_size": 4},
        queries=QueryConfig(num_sessions=1),
        store_transitions=200,
        checkpoint_every=2_000,
        reward_model=RewardConfig(hidden_dim=16, max_updates=50, bank_size=0),
    )
    (home.path / "settings.yaml").write_text(to_yaml(talkative))
    outcome = prefrl(home.path, *home.begin, before=functools.partial(limit_file_size, 50_000))
    assert outcome.status == 2, outcome.err
    assert outcome.complaint == (
        "prefrl: could not write into run: File too large; "
        "go on from the last checkpoint with --resume run"
    )
    assert "Traceback" not in outcome.err
    assert prefrl(home.path, *home.go_on).status == 0


@pytest.fixture
def small_disk():
    """A file system of its own with room for 200 kB, where this process may make one."""
    folder = Path(tempfile.mkdtemp())
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if not mounted or mounted.returncode:
        folder.rmdir()
        pytest.skip("this process may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_disk_that_is_really_full_stops_the_run_which_goes_on_once_there_is_room(
    small_disk, whole, tmp_path
):
    home = faulty(tmp_path / "home")
    home.run = small_disk / "run"
    outcome = prefrl(home.path, *home.begin[:-1], home.run)
    assert outcome.status == 2, outcome.err
    assert "No space left on device" in outcome.complaint
    assert outcome.complaint.endswith(f"go on from the last checkpoint with --resume {home.run}")
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    outcome = prefrl(home.path, "run", "--resume", home.run)
    assert outcome.status == 0, outcome.err
    assert_same_end(home, whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "locked/run"]
    assert "Permission denied" in refusal(tmp_path, *begin)


def test_a_teacher_who_skips_everything_is_no_endless_loop(tmp_path):
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run"]
    # No return reaches so far above the mean.
    outcome = prefrl(tmp_path, *begin, "--teacher", "skip", "--teacher.skip-fraction", "1000")
    assert outcome.status == 2
    assert "the teacher has skipped every query so far" in outcome.complaint


def test_figures_that_are_not_known_are_null_in_what_eval_prints(tmp_path):
    config = tiny_runs.ppo(reward="true", steps=130)
    (tmp_path / "mine.yaml").write_text(to_yaml(config))
    assert prefrl(tmp_path, "run", "--config", "mine.yaml", "--out", "run").status == 0
    outcome = prefrl(tmp_path, "eval", "run", "--episodes", "2")
    assert outcome.status == 0, outcome.err

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    figures = json.loads(outcome.out, parse_constant=refuse)
    assert figures["learned_return_mean"] is None
    assert figures["num_episodes"] == 2
    with contextlib.suppress(KeyError):
        assert figures["reward_true_correlation"] is None
