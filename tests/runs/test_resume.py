"""`kill -9` at any moment, then `--resume`: the same run as if nothing had happened."""

import json
import random
import shutil
import time

import pytest

from tests.command_line import prefrl, start
from tests.runs.homes import Home, assert_same, at_file, at_step, contents


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
