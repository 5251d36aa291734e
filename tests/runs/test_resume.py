"""`kill -9` at any moment, then `--resume`: the same run as if nothing had happened."""

import io
import json
import random
import re
import shutil
import signal
import time
import zipfile

import numpy as np
import pytest
import torch

from prefrl.config import from_yaml, to_yaml
from prefrl.records.checkpoint import load_state
from prefrl.records.metrics import read_metrics
from tests import tiny_runs
from tests.command_line import Outcome, prefrl, start
from tests.records.test_checkpoint import same
from tests.waiting import wait_until

DEADLY = "tests.own_envs:Deadly-v0"
# Exploration in short episodes, and over more than one phase.
CONFIGS = {
    "ppo": tiny_runs.ppo(
        env=DEADLY,
        explore_steps=360,
        explore_episode_steps=25,
        train_episode_steps=20,
        keep_checkpoints=True,
    ),
    "sac": tiny_runs.sac(env=DEADLY, explore_episode_steps=30, keep_checkpoints=True),
    "watched ppo": tiny_runs.ppo(
        env=DEADLY, eval_every=170, train_episode_steps=20, keep_checkpoints=True
    ),
}


class Home:
    """A folder in which one run is made, whole or in pieces."""

    def __init__(self, path, agent):
        self.path, self.run = path, path / "run"
        self.files: list[str] = []
        self.outcome: Outcome | None = None
        path.mkdir(parents=True)
        (path / "settings.yaml").write_text(to_yaml(CONFIGS[agent]))
        self.begin = ["run", "--config", "settings.yaml", "--out", "run"]
        self.go_on = ["run", "--resume", "run"]

    def policy(self):
        with zipfile.ZipFile(self.run / "policy.zip") as archive:
            return torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)

    def best_policy(self):
        path = self.run / "best_policy.zip"
        if not path.exists():
            return None
        with zipfile.ZipFile(path) as archive:
            return torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)

    def comparisons(self):
        with np.load(self.run / "comparisons.npz") as file:
            return dict(file)

    def rows(self):
        return [
            {**row, "wall_s": 0.0, "cpu_s": 0.0} for row in read_metrics(self.run / "metrics.jsonl")
        ]

    def figures(self):
        summary = json.loads((self.run / "summary.json").read_text())
        return {
            name: summary[name] for name in summary.keys() - {"wall_s", "cpu_s", "wall_breakdown"}
        }

    def checkpoints(self):
        return sorted((self.run / "checkpoints").glob("step_*.npz"))

    def last_state(self):
        fingerprint = from_yaml(self.run / "config.yaml").fingerprint()
        newest = [*sorted((self.run / "final").glob("*.npz")), *self.checkpoints()][-1]
        state = load_state(newest, fingerprint=fingerprint)["state"]
        return {name: state[name] for name in ("next_phase", "agent", "store", "learner")}


@pytest.fixture(scope="module")
def make_whole(tmp_path_factory):
    made = {}

    def make(agent):
        if agent not in made:
            home = made[agent] = Home(tmp_path_factory.mktemp("whole") / agent, agent)
            outcome = prefrl(home.path, *home.begin)
            assert outcome.status == 0, outcome.err
            home.files = outcome.files
        return made[agent]

    return make


@pytest.fixture(params=["ppo", "sac"])
def agent(request):
    return request.param


@pytest.fixture
def whole(agent, make_whole):
    """The uninterrupted run; others only read it."""
    return make_whole(agent)


def assert_same(home, whole):
    assert home.figures() == whole.figures()
    assert same(home.policy(), whole.policy())
    assert same(home.best_policy(), whole.best_policy())
    assert same(home.comparisons(), whole.comparisons())
    assert same(home.rows(), whole.rows())
    assert same(home.last_state(), whole.last_state())
    left_over = [path for path in home.run.rglob("*") if "tmp" in path.name]
    assert left_over == []
    assert not (home.run / "candidates").exists()


def at_step(number):
    """When one of the environments has taken so many steps."""
    return lambda files: {"environ": {"PREFRL_KILL_AT": str(number)}}


def at_file(pattern, number, *, offset=0, sent=signal.SIGKILL):
    """Right before a file operation of the whole run: the `number`-th that matches the pattern."""

    def options(files):
        found = [i for i, entry in enumerate(files) if re.search(pattern, entry)]
        return {"signal_at_file": (found[number] + offset, sent)}

    return options


MOMENTS = {
    "while exploring": at_step(40),
    "in the middle of a rollout": at_step(470),
    "near the end": at_step(600),
    "before the first checkpoint": at_file(r"open run/checkpoints/", 0),
    "before the first answers are written": at_file(r"open .*comparisons", 0),
    "before the second answers are in place": at_file(r"rename .*comparisons", 1),
    "after the last answers were written": at_file(r"rename .*comparisons", -2, offset=1),
    "while a checkpoint is written": at_file(r"open run/checkpoints/", 3, offset=1),
    "before a checkpoint is in place": at_file(r"rename run/checkpoints/", 3),
    "before an old checkpoint is removed": at_file(r"remove run/checkpoints/step", 1),
    "before the last checkpoint is in place": at_file(r"rename run/checkpoints/", -1),
    "before the policy is in place": at_file(r"rename .*policy", -1),
    "between the reward model's files": at_file(r"rename run/reward_model/", -1),
    "before the summary is written": at_file(r"open .*summary", -1),
    "before the answers are compacted": at_file(r"rename .*comparisons", -1),
    "before the episodes are in place": at_file(r"rename .*episodes", -1),
    "before the final state is in place": at_file(r"rename run/final/", -1),
}


# For SAC only those that bear on what PPO does not have: exploration that learns, a replay buffer.
MOMENTS_OF_SAC = {
    "while exploring": at_step(1_070),
    "in the middle of training": at_step(1_300),
    "before the second answers are in place": MOMENTS["before the second answers are in place"],
    "while a checkpoint is written": MOMENTS["while a checkpoint is written"],
}
# A run that is evaluated while it trains: an evaluation itself, and what it writes.
MOMENTS_OF_EVALUATIONS = {
    "before the first evaluation": at_step(80),
    "while a candidate's policy is written": at_file(r"open run/candidates/.*zip", 2, offset=1),
    "before a candidate's episodes are in place": at_file(r"rename run/candidates/.*npz", 3),
    "after a candidate and before its metrics": at_file(
        r"rename run/candidates/.*npz", 3, offset=1
    ),
    "after the last evaluation and before its checkpoint": at_file(r"rename run/checkpoints/", -1),
    "before the best policy is in place": at_file(r"rename .*best_policy", -1),
    "after the best policy was found": at_file(r"rename .*best_policy", -1, offset=1),
}
MOMENTS_BY_RUN = {"ppo": MOMENTS, "sac": MOMENTS_OF_SAC, "watched ppo": MOMENTS_OF_EVALUATIONS}
CASES = [(name, moment) for name, moments in MOMENTS_BY_RUN.items() for moment in moments]


@pytest.mark.parametrize(("agent", "moment"), CASES, indirect=["agent"])
def test_a_killed_run_ends_as_if_nothing_had_happened(agent, whole, moment, tmp_path):
    home = Home(tmp_path / "home", agent)
    options = MOMENTS_BY_RUN[agent][moment](whole.files)
    assert prefrl(home.path, *home.begin, **options).status == -9
    assert list((home.run / "final").glob("*.npz")) == []
    outcome = prefrl(home.path, *home.go_on)
    assert outcome.status == 0, outcome.err
    assert_same(home, whole)


def test_a_run_killed_while_it_removed_candidates_has_the_same_best_policy(make_whole, tmp_path):
    whole, home = make_whole("watched ppo"), Home(tmp_path / "home", "watched ppo")
    removal = at_file(r"remove run/candidates/|remove .*step_.*(zip|npz)", -1)(whole.files)
    assert prefrl(home.path, *home.begin, **removal).status == -9
    assert (home.run / "summary.json").exists()
    assert prefrl(home.path, *home.go_on).status == 0
    assert_same(home, whole)


def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(agent, whole, tmp_path):
    home = Home(tmp_path / "home", agent)
    # Not seeded: whatever the moments, the end is the same.
    shortest_s = random.uniform(0.05, 0.2)
    patience_s, num_kills, words = shortest_s, 0, home.begin
    while True:
        process = start(home.path, *words)
        began_s = time.monotonic()
        while process.is_alive and time.monotonic() - began_s < patience_s:
            time.sleep(0.005)
        process.kill()
        outcome = process.wait()
        if outcome.status == 0 and num_kills >= 2:
            break
        if outcome.status == 0:  # It was too fast, or this process too slow: once more.
            shutil.rmtree(home.run)
            shortest_s *= 0.7
            patience_s, num_kills, words = shortest_s, 0, home.begin
            continue
        assert outcome.status == -9, outcome.err
        num_kills += 1
        patience_s *= random.uniform(1.2, 1.5)
        if (home.run / "config.yaml").exists():
            words = home.go_on
        else:
            shutil.rmtree(home.run, ignore_errors=True)
    assert_same(home, whole)


def test_a_finished_run_says_so_and_stays_as_it_is(agent, whole, tmp_path):
    home = Home(tmp_path / "home", agent)
    shutil.copytree(whole.run, home.run)
    before = contents(home.run)
    # As a kill leaves it in the last thing that a run does.
    (home.run / ".learning_curve.png.3fcf7204.tmp").write_bytes(b"half a picture")
    outcome = prefrl(home.path, *home.go_on)
    assert outcome.status == 0
    assert contents(home.run) == before
    steps = f"{home.figures()['steps']:,}"
    assert outcome.err == (
        f"run is finished, with {steps} steps and 23 answers; give it more by --steps or --budget\n"
    )
    assert outcome.out.startswith(f"run is finished: {steps} steps, 23 answers, ")


def unfinished(whole, path, agent):
    """A run that was killed when its last checkpoint was written."""
    home = Home(path, agent)
    shutil.copytree(whole.run, home.run)
    shutil.rmtree(home.run / "final")
    return home


def test_a_run_whose_last_checkpoint_is_written_is_only_summed_up(agent, whole, tmp_path):
    home = unfinished(whole, tmp_path / "home", agent)
    before = (home.run / "metrics.jsonl").read_bytes()
    assert prefrl(home.path, *home.go_on).status == 0
    assert (home.run / "metrics.jsonl").read_bytes() == before
    assert_same(home, whole)


def test_wall_time_goes_on_from_the_checkpoint(agent, whole, tmp_path):
    home = unfinished(whole, tmp_path / "home", agent)
    spent_s = json.loads((whole.run / "summary.json").read_text())["wall_breakdown"]["rl_s"]
    assert prefrl(home.path, *home.go_on).status == 0
    summary = json.loads((home.run / "summary.json").read_text())
    assert summary["wall_breakdown"]["rl_s"] == spent_s
    assert summary["wall_s"] > spent_s


def test_the_checkpoint_before_the_newest_leads_to_the_same_end(agent, whole, tmp_path):
    home = unfinished(whole, tmp_path / "home", agent)
    home.checkpoints()[-1].unlink()
    outcome = prefrl(home.path, *home.go_on)
    assert outcome.status == 0, outcome.err
    assert_same(home, whole)


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


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


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
