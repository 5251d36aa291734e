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
from tests.runs.test_resume import Home

OWN = "tests.own_envs"
TINY = ["--num-envs", "2", "--segment-length", "10", "--steps", "1206", "--budget", "23"]

# Words after `prefrl run`, and what the one line must say.
REFUSED = {
    "an unknown environment": (
        ["--env", "HalfCheeta-v4"],
        ["unknown environment 'HalfCheeta-v4'", "HalfCheetah-v4"],
    ),
    "a version that does not exist": (["--env", "Pendulum-v7"], ["Pendulum-v7", "Pendulum-v1"]),
    "an environment of a module that does not exist": (
        ["--env", "no_such_module:Robot-v0"],
        ["no_such_module"],
    ),
    "images": (
        ["--env", f"{OWN}:Seeing-v0"],
        ["Seeing-v0: observation is an image of shape (16, 16, 3)", "does not flatten to numbers"],
    ),
    "text": (
        ["--env", f"{OWN}:Reading-v0"],
        ["Reading-v0: observation is a Text space", "usable are Box, Discrete"],
    ),
    "no time limit": (
        ["--env", f"{OWN}:Endless-v0"],
        ["Endless-v0 has no time limit", "--max-episode-steps"],
    ),
    "a segment longer than the episode": (
        ["--segment-length", "51"],
        ["segment_length is 51, but an episode of tests.own_envs:PointMass-v0 has 50 steps"],
    ),
    "a segment longer than what is explored": (
        ["--explore-steps", "30", "--segment-length", "20"],
        ["segment_length is 20", "no environment takes more than 15 steps", "explore_steps 30"],
    ),
    "a segment longer than the time between checkpoints": (
        ["--checkpoint-every", "30", "--segment-length", "20"],
        ["segment_length is 20", "checkpoint_every 30"],
    ),
    "no exploration": (["--explore-steps", "0"], ["explore_steps is 0"]),
    "nothing but exploration": (["--explore-steps", "1206"], ["all of it exploration"]),
    "a budget of 0": (["--budget", "0"], ["budget is 0", "greater than 0"]),
    "a budget below 0": (["--budget", "-5"], ["budget is -5"]),
    "steps of 0": (["--steps", "0"], ["steps is 0"]),
    "steps below 0": (["--steps", "-7"], ["steps is -7"]),
    "steps that the environments cannot share": (
        ["--steps", "1207"],
        ["steps is 1207, but they are taken 2 at a time", "choose 1206 or 1208"],
    ),
    "a seed below 0": (["--seed", "-1"], ["seed is -1"]),
    "an unknown teacher": (["--teacher", "orcale"], ["teacher is 'orcale'", "oracle, noisy"]),
    "a teacher that errs more than always": (
        ["--teacher.p-mistake", "1.5"],
        ["teacher.p_mistake is 1.5"],
    ),
    "an unknown strategy": (["--strategy", "unifrom"], ["'unifrom'", "did you mean uniform"]),
    "an unknown agent": (["--agent", "td3"], ["'td3'", "'--agent'", "'ppo'", "'sac'"]),
    "an unknown reward": (["--reward", "fake"], ["'fake'", "'learned', 'true'"]),
    "SAC on discrete actions": (
        ["--agent", "sac", "--env", f"{OWN}:Kitchen-v0"],
        ["sac needs continuous actions, Kitchen-v0 has Discrete; use --agent ppo"],
    ),
    "a setting that the agent does not know": (
        ["--agent-settings", "{n_stepps: 5}"],
        ["agent_settings do not fit ppo", "n_stepps"],
    ),
    "a setting that the agent refuses": (["--agent-settings", "{batch_size: 1}"], ["batch_size"]),
    "a setting that the environment does not know": (
        ["--env-kwargs", "{gravity: 1}"],
        ["PointMass-v0 could not be made", "gravity"],
    ),
    "settings that are no mapping": (
        ["--agent-settings", "n_steps"],
        ["agent-settings: expected a mapping such as '{n_epochs: 5}', got 'n_steps'"],
    ),
    "an unknown device": (["--device", "tpu9"], ["device", "tpu9"]),
    "an unknown option": (["--stepps", "3"], ["--stepps", "did you mean --steps?"]),
    "a number that is none": (["--steps", "many"], ["--steps", "'many'", "prefrl run --help"]),
    "an option without its value": (["--budget"], ["'--budget'"]),
    "a stray word": (["HalfCheetah-v4"], ["Unrecognized options: HalfCheetah-v4"]),
    "a config file that is not there": (
        ["--config", "nowhere.yaml"],
        ["could not read nowhere.yaml: No such file"],
    ),
    "W&B that is not installed": (
        ["--wandb", "my-project"],
        ["wandb is not installed; pip install 'prefrl[wandb]'"],
    ),
    "a folder that cannot be made": (["--out", "/dev/null/run"], ["/dev/null/run"]),
}


def refusal(folder, *words, **options):
    outcome = prefrl(folder, *words, **options)
    assert outcome.status == 2, outcome.err
    assert outcome.err == f"{outcome.complaint}\n", "one line"
    assert outcome.out == ""
    return outcome.complaint


@pytest.mark.parametrize(("words", "expected"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line_and_nothing_is_written(words, expected, tmp_path):
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run", *words]
    if "--out" in words:
        begin = [*begin[:2], tiny_runs.POINT_MASS, *TINY, *words]
    said = refusal(tmp_path, *begin)
    assert [part for part in expected if part not in said] == [], said
    assert list(tmp_path.iterdir()) == []


# Lines of a config file, and what the one line must say.
SETTINGS = {
    "an unknown key": ("bugdet: 3", ["unknown setting 'bugdet'; did you mean budget?"]),
    "an unknown key further in": ("teacher: {bta: 1}", ["'teacher.bta'", "did you mean beta"]),
    "a key given twice": ("seed: 1\nseed: 2", ["the key 'seed' is given twice"]),
    "a value out of range": ("budget: 0", ["budget is 0"]),
    "a value of another kind": ("steps: many", ["steps is 'many'"]),
    "no mapping": ("- budget", ["holds no settings"]),
    "no YAML": ("budget: [3", ["is not YAML"]),
    "an unknown teacher": ("teacher: {name: god}", ["'god'"]),
    "an unknown agent": ("agent: td3", ["agent is 'td3'"]),
}


@pytest.mark.parametrize(("lines", "expected"), SETTINGS.values(), ids=SETTINGS)
def test_a_config_file_is_refused_in_one_line(lines, expected, tmp_path):
    (tmp_path / "mine.yaml").write_text(lines + "\n")
    said = refusal(tmp_path, "run", "--config", "mine.yaml", "--out", "run")
    assert [part for part in expected if part not in said] == [], said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


COMMANDS = {
    "an unknown command": (["train"], ["unknown command 'train'; choose from run, eval"]),
    "resuming with other settings": (
        ["run", "--resume", "run", "--steps", "9"],
        ["--resume goes on with the run's own settings; give it alone"],
    ),
    "resuming into another folder": (
        ["run", "--resume", "run", "--out", "other"],
        ["--resume goes on with the run's own settings"],
    ),
    "resuming what is no run": (
        ["run", "--resume", "run"],
        ["run holds no run to resume: there is no config.yaml in it"],
    ),
    "evaluating what is no run": (["eval", "run"], ["run holds no run"]),
    "evaluating nothing": (["eval"], ["prefrl eval --help"]),
    "evaluating over no episodes": (["eval", "run", "--episodes", "0"], ["episodes is 0"]),
    "a clip without length": (["eval", "run", "--video-seconds", "0"], ["video_seconds is 0"]),
}


@pytest.mark.parametrize(("words", "expected"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_is_refused_in_one_line(words, expected, tmp_path):
    said = refusal(tmp_path, *words)
    assert [part for part in expected if part not in said] == [], said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("all my work")
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run"]
    said = refusal(tmp_path, *begin)
    assert said == "prefrl: the output folder run is in use, or choose another --out"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_run_in_the_folder_is_offered_to_be_resumed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(to_yaml(tiny_runs.ppo()))
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run"]
    assert "go on with it by --resume run, or choose another --out" in refusal(tmp_path, *begin)


def test_an_existing_file_is_no_output_folder(tmp_path):
    (tmp_path / "run").write_text("a file")
    begin = ["run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run"]
    assert "the output folder run is in use" in refusal(tmp_path, *begin)
    assert (tmp_path / "run").read_text() == "a file"


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
        agent_settings={**tiny_runs.PPO_SETTINGS, "n_steps": 4},
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
