"""A finished run is given more steps, more answers or both, and may be killed on the way."""

import shutil

import numpy as np
import pytest

from prefrl import EnhancedRewardModel, load_comparisons, resume, run
from prefrl.config import from_yaml, to_yaml
from prefrl.errors import ConfigError, StorageError
from prefrl.records.episodes import load_episodes
from prefrl.records.metrics import read_metrics
from prefrl.runs.finished import find
from tests import tiny_runs
from tests.command_line import prefrl
from tests.records.test_checkpoint import same
from tests.runs.homes import DEADLY, Home, at_file, contents

pytestmark = pytest.mark.usefixtures("without_curves")
STEPS, BUDGET = {"ppo": 1_406, "sac": 1_602}, 35
CONFIGS = {
    "ppo": tiny_runs.ppo(env=DEADLY, train_episode_steps=20),
    "sac": tiny_runs.sac(env=DEADLY, explore_episode_steps=30),
}


class Extended(Home):
    """A folder in which a finished run is given more."""

    def __init__(self, path, agent):
        super().__init__(path, agent)
        (path / "settings.yaml").write_text(to_yaml(CONFIGS[agent]))
        self.more = [*self.go_on, "--steps", STEPS[agent], "--budget", BUDGET]

    def final_state(self):
        found = find(self.run, from_yaml(self.run / "config.yaml").fingerprint())
        assert found is not None
        assert found.is_finished
        return {name: found.state[name] for name in ("next_phase", "agent", "learner")}


@pytest.fixture(scope="module")
def make_finished(tmp_path_factory):
    made = {}

    def make(agent):
        if agent not in made:
            home = made[agent] = Extended(tmp_path_factory.mktemp("finished") / agent, agent)
            outcome = prefrl(home.path, *home.begin)
            assert outcome.status == 0, outcome.err
        return made[agent]

    return make


def copied(finished, folder, agent):
    home = Extended(folder / "home", agent)
    shutil.copytree(finished.run, home.run)
    return home


@pytest.fixture(params=["ppo", "sac"])
def agent(request):
    return request.param


@pytest.fixture
def finished(agent, make_finished):
    """A run as it ended; others only read it."""
    return make_finished(agent)


@pytest.fixture(scope="module")
def make_whole(make_finished, tmp_path_factory):
    made = {}

    def make(agent):
        if agent not in made:
            home = made[agent] = copied(make_finished(agent), tmp_path_factory.mktemp("w"), agent)
            outcome = prefrl(home.path, *home.more)
            assert outcome.status == 0, outcome.err
            home.files, home.outcome = outcome.files, outcome
        return made[agent]

    return make


@pytest.fixture
def whole(agent, make_whole):
    """The same run after it was given more, without interruption."""
    return make_whole(agent)


@pytest.fixture
def ppo(make_finished, tmp_path):
    """A finished PPO run of the test's own."""
    return copied(make_finished("ppo"), tmp_path, "ppo")


def test_a_finished_run_keeps_its_newest_episodes_and_its_state_without_experience(finished):
    names = {path.name for path in finished.run.iterdir()}
    assert "checkpoints" not in names
    assert {"final", "episodes.npz", "policy.zip"} <= names
    store = load_episodes(finished.run / "episodes.npz")
    assert store.num_transitions == finished.figures()["steps"]
    for episode in store.episodes:
        assert episode.truncated
        assert not episode.terminated
    assert "buffer" not in finished.final_state()["agent"]
    assert len(load_comparisons(finished.run / "comparisons.npz")) == 23


def test_it_goes_on_from_there_and_plans_only_what_is_new(agent, finished, whole):
    assert whole.figures()["steps"] == STEPS[agent]
    assert whole.figures()["num_answers"] == BUDGET
    before, after = finished.rows(), whole.rows()
    assert same(after[: len(before)], before)
    assert min(row["step"] for row in after[len(before) :]) == finished.figures()["steps"]
    first, more = finished.comparisons(), whole.comparisons()
    assert same(more["p_left"][:23], first["p_left"])
    assert more["session"][23:].min() > first["session"].max()
    config = from_yaml(whole.run / "config.yaml")
    assert (config.steps, config.budget) == (STEPS[agent], BUDGET)
    ends = [(end.steps, end.budget) for end in config.earlier_ends]
    assert ends == [(finished.figures()["steps"], 23)]
    assert len(list((whole.run / "final").iterdir())) == 1
    assert not (whole.run / "checkpoints").exists()
    said = whole.outcome.err.splitlines()[0]
    assert said.startswith("run goes on from step")
    assert said.endswith("it will not be bit-equal to a longer run")


MOMENTS = {
    "before its first checkpoint is in place": at_file(r"rename run/checkpoints/", 0),
    "before the settings are in place": at_file(r"rename .*config", 0),
    "after the settings are in place": at_file(r"rename .*config", 0, offset=1),
    "before the first new answers are in place": at_file(r"rename .*comparisons", 0),
    "after the first new answers are in place": at_file(r"rename .*comparisons", 0, offset=1),
    "before its second checkpoint is in place": at_file(r"rename run/checkpoints/", 1),
    "before its last checkpoint is in place": at_file(r"rename run/checkpoints/", -1),
    "before the policy is in place": at_file(r"rename .*policy", -1),
    "before the answers are compacted": at_file(r"rename .*comparisons", -1),
    "before the episodes are in place": at_file(r"rename .*episodes", -1),
    "before the final state is in place": at_file(r"rename run/final/", -1),
    "before the old final state is removed": at_file(r"remove run/final/", -1),
    "before the checkpoints are removed": at_file(r"remove run/checkpoints/", -1),
}
MOMENTS_OF_SAC = list(MOMENTS)[1:6:2]
CASES = [("ppo", moment) for moment in MOMENTS] + [("sac", moment) for moment in MOMENTS_OF_SAC]


@pytest.mark.parametrize(("agent", "moment"), CASES, indirect=["agent"])
def test_killed_on_the_way_it_ends_as_if_nothing_had_happened(
    agent, finished, whole, moment, tmp_path
):
    home = copied(finished, tmp_path, agent)
    assert prefrl(home.path, *home.more, **MOMENTS[moment](whole.files)).status == -9
    outcome = prefrl(home.path, *home.more)
    assert outcome.status == 0, outcome.err
    assert_same(home, whole)


@pytest.mark.parametrize("agent", ["ppo"], indirect=True)
def test_once_it_has_begun_a_plain_resume_goes_on_with_it(finished, agent, whole, tmp_path):
    home = copied(finished, tmp_path, agent)
    moment = MOMENTS["after the first new answers are in place"](whole.files)
    assert prefrl(home.path, *home.more, **moment).status == -9
    assert prefrl(home.path, *home.go_on).status == 0
    assert_same(home, whole)


@pytest.mark.parametrize("agent", ["ppo"], indirect=True)
def test_before_it_has_begun_a_plain_resume_finds_the_finished_run(
    finished, agent, whole, tmp_path
):
    home = copied(finished, tmp_path, agent)
    moment = MOMENTS["before the settings are in place"](whole.files)
    assert prefrl(home.path, *home.more, **moment).status == -9
    outcome = prefrl(home.path, *home.go_on)
    assert "run is finished" in outcome.err
    assert home.figures() == finished.figures()
    assert not (home.run / "checkpoints").exists()


def assert_same(home, whole):
    assert home.figures() == whole.figures()
    assert same(home.policy(), whole.policy())
    assert same(home.comparisons(), whole.comparisons())
    assert same(home.rows(), whole.rows())
    assert same(home.final_state(), whole.final_state())
    assert not (home.run / "checkpoints").exists()
    assert [path for path in home.run.rglob("*") if "tmp" in path.name] == []


def test_it_can_be_given_more_again_and_again(finished, agent, tmp_path):
    home = copied(finished, tmp_path, agent)
    now = finished.figures()["steps"]
    for steps, budget in ((now + 200, 23), (now + 200, 30), (now + 300, 31)):
        result = resume(home.run, steps=steps, budget=budget, show_progress=False)
        assert (result.summary["steps"], result.summary["num_answers"]) == (steps, budget)
    config = from_yaml(home.run / "config.yaml")
    assert [end.budget for end in config.earlier_ends] == [23, 23, 30]


def test_more_answers_alone_are_asked_for_and_fitted_and_no_step_is_taken(ppo):
    before = ppo.figures(), ppo.policy(), EnhancedRewardModel.load(ppo.run / "reward_model")
    result = resume(ppo.run, budget=30, show_progress=False)
    assert result.summary["num_answers"] == 30
    assert result.summary["steps"] == before[0]["steps"]
    assert same(ppo.policy(), before[1])
    after = EnhancedRewardModel.load(ppo.run / "reward_model")
    assert not same(after.state_dict(), before[2].state_dict())


@pytest.mark.parametrize("is_corrected", [False, True])
def test_a_label_corrected_in_the_file_is_fitted_to_though_nothing_new_is_asked(ppo, is_corrected):
    path, before = ppo.run / "comparisons.npz", ppo.rows()
    arrays = dict(np.load(path))
    if is_corrected:
        arrays["p_left"] = 1.0 - arrays["p_left"]
        np.savez(path, **arrays)
    resume(ppo.run, steps=1_406, show_progress=False)
    new = read_metrics(ppo.run / "metrics.jsonl")[len(before) :]
    assert any("reward_train_accuracy" in row for row in new) == is_corrected
    np.testing.assert_array_equal(load_comparisons(path).p_left, arrays["p_left"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"steps": 1_000}, "steps is 1000, but the run has 1206 already; give it more"),
        ({"budget": 10}, "budget is 10, but the run has 23 already; give it more"),
        ({"steps": 1_407}, "steps is 1407, but they are taken 2 at a time .* choose 1406 or 1408"),
    ],
)
def test_what_is_not_more_is_refused_and_nothing_changes(ppo, more, said):
    before = contents(ppo.run)
    with pytest.raises(ConfigError, match=said):
        resume(ppo.run, **more, show_progress=False)
    assert contents(ppo.run) == before


def test_a_run_that_has_not_ended_is_not_given_more(tmp_path):
    home = Extended(tmp_path / "home", "ppo")
    assert prefrl(home.path, *home.begin, environ={"PREFRL_KILL_AT": "500"}).status == -9
    outcome = prefrl(home.path, *home.more)
    assert outcome.status == 2
    assert "the run in run has not ended yet, at 1206 steps and 23 answers" in outcome.complaint


@pytest.mark.parametrize("is_missing", [True, False])
def test_episodes_that_are_gone_or_damaged_are_missed_by_name(ppo, is_missing):
    path = ppo.run / "episodes.npz"
    content = path.read_bytes()
    path.unlink()
    if not is_missing:
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match=r"episodes\.npz"):
        resume(ppo.run, steps=1_406, show_progress=False)
    # What it has reached is still shown.
    assert resume(ppo.run, show_progress=False).summary["num_answers"] == 23


@pytest.mark.parametrize("more", [{}, {"steps": 1_406}])
def test_a_finished_run_whose_state_is_gone_is_not_begun_again(ppo, more):
    shutil.rmtree(ppo.run / "final")
    before = contents(ppo.run)
    with pytest.raises(StorageError, match=r"has summary\.json, but no state.* final/ and checkp"):
        resume(ppo.run, **more, show_progress=False)
    assert contents(ppo.run) == before


def test_a_lost_summary_is_written_again(ppo):
    before = ppo.figures()
    (ppo.run / "summary.json").unlink()
    resume(ppo.run, show_progress=False)
    assert ppo.figures() == before
    assert load_episodes(ppo.run / "episodes.npz").num_transitions == before["steps"]


def test_settings_of_a_finished_run_changed_by_hand_are_refused(ppo):
    path = ppo.run / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(StorageError, match="belongs to another run"):
        resume(ppo.run, show_progress=False)


def test_a_run_on_the_true_reward_is_given_more_steps_but_no_answers(tmp_path):
    config = tiny_runs.ppo(reward="true", steps=512)
    run(config, out=tmp_path / "run", show_progress=False)
    with pytest.raises(ConfigError, match="trains on the true reward and asks nothing"):
        resume(tmp_path / "run", budget=900, show_progress=False)
    result = resume(tmp_path / "run", steps=768, show_progress=False)
    assert result.summary["steps"] == 768
