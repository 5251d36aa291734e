"""Runs that cannot be gone on from say so in a line, and their folders stay as they are."""

import re
import shutil
import signal

import pytest

from prefrl.config import to_yaml
from tests import tiny_runs
from tests.command_line import prefrl, start
from tests.runs.homes import DEADLY, Home, at_file, contents
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A PPO run that was killed in its last phase but one, with every kind of file in place."""
    home = Home(tmp_path_factory.mktemp("killed") / "ppo", "ppo")
    outcome = prefrl(home.path, *home.begin, environ={"PREFRL_KILL_AT": "500"})
    assert outcome.status == -9, outcome.err
    home.files = outcome.files
    return home


@pytest.fixture
def copy(killed, tmp_path):
    home = Home(tmp_path / "copy", "ppo")
    shutil.copytree(killed.run, home.run)
    return home


def refusal(home):
    """Why the run is not gone on with; nothing in its folder may have changed."""
    before = contents(home.run)
    outcome = prefrl(home.path, *home.go_on)
    assert outcome.status == 2, outcome.err
    assert contents(home.run) == before
    assert outcome.err == f"{outcome.complaint}\n", "one line"
    return outcome.complaint


def test_a_damaged_checkpoint_is_refused_and_the_whole_one_before_it_is_named(copy):
    older, newest = copy.checkpoints()
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    said = refusal(copy)
    assert f"run/checkpoints/{newest.name} is damaged" in said
    assert f"{older.name} beside it is whole: remove the newer to go on from step" in said


def test_a_checkpoint_cut_short_is_refused(copy):
    newest = copy.checkpoints()[-1]
    newest.write_bytes(newest.read_bytes()[:1_000])
    assert f"run/checkpoints/{newest.name} is damaged" in refusal(copy)


def test_the_checkpoint_of_another_run_is_refused(copy, tmp_path_factory):
    other = Home(tmp_path_factory.mktemp("other") / "run", "ppo")
    (other.path / "settings.yaml").write_text(to_yaml(tiny_runs.ppo(env=DEADLY, seed=1)))
    environ = {"PREFRL_KILL_AT": "520"}
    assert prefrl(other.path, *other.begin, environ=environ).status == -9
    newest = other.checkpoints()[-1]
    shutil.copy(newest, copy.run / "checkpoints")
    assert f"run/checkpoints/{newest.name} belongs to another run" in refusal(copy)


@pytest.mark.parametrize("change", ["seed: 1", "steps: 2000", "steps: null", "eval_episodes: 3"])
def test_settings_changed_by_hand_are_refused(copy, change):
    path = copy.run / "config.yaml"
    name = change.split(":")[0]
    path.write_text(re.sub(rf"(?m)^{name}: .*$", change, path.read_text()))
    said = refusal(copy)
    assert "belongs to another run" in said
    assert "were they changed since it began?" in said


def test_an_unknown_setting_written_in_by_hand_is_named(copy):
    path = copy.run / "config.yaml"
    path.write_text(path.read_text() + "bugdet: 3\n")
    assert "run/config.yaml: unknown setting 'bugdet'; did you mean budget?" in refusal(copy)


def test_before_the_first_checkpoint_the_settings_may_still_be_changed(killed, tmp_path):
    home = Home(tmp_path / "home", "ppo")
    moment = at_file(r"open run/checkpoints/", 0)(killed.files)
    assert prefrl(home.path, *home.begin, **moment).status == -9
    path = home.run / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    assert prefrl(home.path, *home.go_on).status == 0
    assert home.figures()["seed"] == 7


def test_answers_that_are_gone_are_missed(copy):
    (copy.run / "comparisons.npz").unlink()
    said = refusal(copy)
    assert "comparisons.npz holds 0 queries, the checkpoint knows of" in said


def test_damaged_answers_are_refused(copy):
    path = copy.run / "comparisons.npz"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert "run/comparisons.npz is damaged" in refusal(copy)


def test_lost_lines_of_the_figures_are_missed(copy):
    path = copy.run / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:100])
    said = "run/metrics.jsonl was changed after the checkpoint was made: line 1 is missing"
    assert said in refusal(copy)


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run", "nowhere"):
        outcome = prefrl(tmp_path, "run", "--resume", name)
        assert outcome.status == 2
        assert outcome.complaint.startswith(f"prefrl: {name} holds no run: there is no")
    assert list((tmp_path / "run").iterdir()) == []


def test_two_processes_cannot_work_on_one_run(copy):
    # What it opens first is the run's folder, to claim it; whatever comes next, it holds it.
    first = start(copy.path, *copy.go_on, signal_at_file=(2, signal.SIGSTOP))
    try:
        wait_until(lambda: len(first.files) == 2 or not first.is_alive)
        second = prefrl(copy.path, *copy.go_on)
    finally:
        first.go_on()
        outcome = first.wait()
    assert outcome.status == 0, outcome.err
    assert second.status == 2
    assert second.complaint == "prefrl: another process is at work in run"


def test_a_start_is_not_confused_with_a_resume(copy):
    outcome = prefrl(copy.path, *copy.begin)
    assert outcome.status == 2
    assert "the output folder run is in use; go on with it by --resume run" in outcome.complaint
