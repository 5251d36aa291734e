"""Evaluations while a run trains: what they measure, and that training never notices them."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prefrl import Parts, resume, run
from prefrl.errors import ConfigError
from prefrl.records.metrics import read_metrics
from prefrl.rewards import RewardTrainer
from prefrl.runs.candidate_policies import CandidatePolicies
from prefrl.runs.playback import evaluate_run
from prefrl.seeding import Streams
from tests import tiny_runs
from tests.own_envs import Single

pytestmark = pytest.mark.usefixtures("without_curves")
EVERY = 250
CONFIGS = {
    "ppo": tiny_runs.ppo(train_episode_steps=20),
    "sac": tiny_runs.sac(),
    "batch-norm statistics": tiny_runs.sac(agent="crossq"),
    "ppo on the true reward": tiny_runs.ppo(reward="true"),
    "global generators": tiny_runs.ppo(env="tests.own_envs:Drawing-v0", eval_in="own"),
}


def rows_of(folder):
    return [{**row, "wall_s": 0.0, "cpu_s": 0.0} for row in read_metrics(folder / "metrics.jsonl")]


def training_rows(folder):
    return [row for row in rows_of(folder) if "eval_true_return" not in row]


def evaluations(folder):
    return [row for row in rows_of(folder) if "eval_true_return" in row]


def same_rows(one, other):
    return str(one) == str(other)  # NaN is NaN.


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """The same run, not watched and watched."""
    out, config = tmp_path_factory.mktemp("runs"), CONFIGS[request.param]
    return [
        run(replace(config, eval_every=every), out=out / str(every), show_progress=False)
        for every in (None, EVERY)
    ]


def test_training_ends_with_the_same_digits_as_unwatched(pair):
    plain, watched = pair
    ours, theirs = (result.agent.model.policy.state_dict() for result in pair)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert same_rows(training_rows(plain.folder), training_rows(watched.folder))
    own = ("best_policy", "wall_", "cpu_")
    for name, value in plain.summary.items():
        assert name.startswith(own) or watched.summary[name] == value, name
    if plain.reward_model is not None:
        answers = [(result.folder / "comparisons.npz").read_bytes() for result in pair]
        assert answers[0] == answers[1]
    states = [(result.folder / "checkpoints").glob("*") for result in pair]
    assert sorted(p.name for p in states[0]) == sorted(p.name for p in states[1])


def test_it_evaluates_at_the_asked_steps_and_at_the_end(pair):
    _, watched = pair
    steps = watched.summary["steps"]
    assert [row["step"] for row in evaluations(watched.folder)] == [
        *range(EVERY, steps, EVERY),
        steps,
    ]
    for row in evaluations(watched.folder):
        assert row["eval_true_return"] < 0 <= row["eval_true_return_std"]
        assert row["eval_episodes"] == 2
    learned = [row["eval_learned_return"] for row in evaluations(watched.folder)]
    if watched.summary["reward"] == "true":
        assert all(math.isnan(value) for value in learned)
    else:
        assert math.isfinite(learned[-1])
        if watched.summary["agent"] != "ppo":
            assert math.isnan(learned[0]), "there is no learned reward while exploring"


def test_only_a_watched_run_has_a_best_policy_and_neither_has_candidates_left(pair):
    plain, watched = pair
    assert plain.summary["best_policy_step"] is None
    assert not (plain.folder / "best_policy.zip").exists()
    assert (watched.folder / "best_policy.zip").exists()
    assert not (watched.folder / "candidates").exists()


def test_the_best_policy_reached_what_the_summary_says_by_the_final_reward(pair, monkeypatch):
    seed = Streams(0).integer("evaluation-while-training")
    monkeypatch.setattr("prefrl.runs.evaluation.first_episode_seed", lambda _: seed)
    _, watched = pair
    summary = watched.summary
    (best,) = [e for e in evaluations(watched.folder) if e["step"] == summary["best_policy_step"]]
    assert best["eval_true_return"] == pytest.approx(summary["best_policy_true_return"])
    assert json.loads((watched.folder / "summary.json").read_text()) == summary
    again = evaluate_run(
        watched.folder,
        num_episodes=2,
        seed=0,
        policy="best",
    )
    assert again.true_return_mean == pytest.approx(summary["best_policy_true_return"], rel=1e-6)
    if summary["reward"] == "learned":
        score = again.learned_return_mean
        assert score == pytest.approx(summary["best_policy_score"], rel=1e-5)
    else:
        assert summary["best_policy_score"] == summary["best_policy_true_return"]
        assert summary["best_policy_score"] == max(
            row["eval_true_return"] for row in evaluations(watched.folder)
        )


def test_tensorboard_shows_evaluations_under_names_of_their_own(pair):
    _, watched = pair
    events = EventAccumulator(str(watched.folder / "tensorboard"))
    events.Reload()
    shown = [event.step for event in events.Scalars("prefrl/eval_true_return")]
    assert shown == [row["step"] for row in evaluations(watched.folder)]


def test_the_time_is_counted_apart(pair):
    plain, watched = pair
    assert plain.summary["wall_breakdown"]["eval_s"] == 0
    breakdown = watched.summary["wall_breakdown"]
    assert breakdown["eval_s"] > 0
    assert breakdown["rl_s"] > 0
    assert sum(breakdown.values()) <= watched.summary["wall_s"]


class Turning(RewardTrainer):
    """A reward that says the opposite from its last session on."""

    def fit(self, comparisons, *, session):
        metrics = super().fit(comparisons, session=session)
        self.has_turned = comparisons.num_answers == 23
        return metrics

    def reward_function(self):
        sign = -1.0 if self.has_turned else 1.0
        return lambda obs, action, next_obs, done: (sign * np.abs(obs).sum(axis=1)).astype("f")


def test_the_best_by_the_final_reward_need_not_be_the_best_of_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr("prefrl.runs.compose.RewardTrainer", Turning)
    config = tiny_runs.ppo(eval_every=100, eval_episodes=3)
    summary = run(config, out=tmp_path / "run", show_progress=False).summary
    rows = evaluations(tmp_path / "run")
    before = [row for row in rows if row["eval_learned_return"] > 0]
    after = [row for row in rows if row["eval_learned_return"] < 0]
    assert before
    assert after
    final = {row["step"]: -abs(row["eval_learned_return"]) for row in rows[1:]}
    assert summary["best_policy_step"] == max(final, key=lambda step: final[step])
    assert summary["best_policy_score"] == pytest.approx(max(final.values()), rel=1e-5)
    of_its_time = {row["step"]: row["eval_learned_return"] for row in rows[1:]}
    assert summary["best_policy_step"] != max(of_its_time, key=lambda step: of_its_time[step])


@pytest.fixture
def single():
    """An environment that exists once, free again afterwards."""
    yield Single
    Single.is_taken = False


def only_one(tmp_path, name, **changes):
    config = tiny_runs.ppo(num_envs=1, max_episode_steps=50, train_episode_steps=20, **changes)
    return run(config, out=tmp_path / name, parts=Parts(make_env=Single), show_progress=False)


def test_an_environment_that_exists_once_is_evaluated_at_the_ends_of_phases(single, tmp_path):
    said = r"no further environment could be made \(RuntimeError: the port is in use\)"
    with pytest.warns(UserWarning, match=said):
        watched = only_one(tmp_path, "watched", eval_every=250)
    assert not single.is_taken, "it was closed"
    ends = {row["step"] for row in training_rows(watched.folder)}
    steps = [row["step"] for row in evaluations(watched.folder)]
    assert set(steps) <= ends
    assert steps[-1] == watched.summary["steps"]
    # The first end of a phase at or after every multiple.
    asked = range(250, watched.summary["steps"], 250)
    assert set(steps) == {min(end for end in ends if end >= step) for step in asked} | {steps[-1]}
    assert (watched.folder / "best_policy.zip").exists()


def test_an_environment_that_exists_once_trains_as_if_it_were_not_evaluated(single, tmp_path):
    results = [
        only_one(tmp_path, str(every), eval_in="training", eval_every=every)
        for every in (None, 250)
    ]
    ours, theirs = (result.agent.model.policy.state_dict() for result in results)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    plain, watched = (training_rows(result.folder) for result in results)
    assert same_rows(plain, watched)
    final = [result.summary["final_true_return_mean"] for result in results]
    assert final[0] == final[1]


def test_own_environments_that_cannot_be_had_are_insisted_on_before_the_first_step(
    single, tmp_path
):
    with pytest.raises(ConfigError, match="the port is in use"):
        only_one(tmp_path, "run", eval_every=250, eval_in="own")
    assert not (tmp_path / "run").exists()


class Counter(BaseCallback):
    """Counts its calls, and draws from nothing."""

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("make", [tiny_runs.ppo, tiny_runs.sac])
def test_callbacks_of_ones_own_are_called_on_training_steps(make, tmp_path):
    counter = Counter()
    parts = Parts(callbacks=[counter])
    result = run(make(), out=tmp_path / "run", parts=parts, show_progress=False)
    explored = sum(phase.num_steps for phase in plan_of(result) if phase.is_exploration)
    num_envs = result.agent.num_envs
    assert counter.n_calls == (result.summary["steps"] - explored) // num_envs
    assert counter.num_timesteps == result.summary["steps"]


def plan_of(result):
    from prefrl.config import ResolvedRun, from_yaml
    from prefrl.runs.resolve import plan

    return plan(ResolvedRun.of(from_yaml(result.folder / "config.yaml")))


def test_what_is_no_callback_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"callbacks\[0\] is an int; expected a BaseCallback"):
        run(tiny_runs.ppo(), out=tmp_path / "run", parts=Parts(callbacks=[3]))  # type: ignore[list-item]
    assert not (tmp_path / "run").exists()


def test_a_finished_run_that_is_resumed_still_says_which_policy_was_best(pair, tmp_path):
    _, watched = pair
    archive = (watched.folder / "best_policy.zip").read_bytes()
    again = resume(watched.folder, show_progress=False)
    assert again.summary["best_policy_step"] == watched.summary["best_policy_step"]
    assert again.summary["best_policy_score"] == watched.summary["best_policy_score"]
    assert (watched.folder / "best_policy.zip").read_bytes() == archive


@pytest.mark.parametrize("pair", ["ppo", "sac"], indirect=True)
def test_the_best_policy_of_a_run_that_is_given_more_is_a_candidate_again(
    pair, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(pair[1].folder, folder)
    before, steps = pair[1].summary, pair[1].summary["steps"]
    archive = (folder / "best_policy.zip").read_bytes()
    monkeypatch.setattr(CandidatePolicies, "remove", lambda self: None)
    after = resume(folder, steps=steps + 600, show_progress=False).summary
    new = [row["step"] for row in evaluations(folder) if row["step"] > steps]
    held = sorted((folder / "candidates").glob("*.npz"))
    assert [int(path.stem[5:]) for path in held] == [before["best_policy_step"], *new]
    (again,) = (folder / "candidates").glob(f"step_{before['best_policy_step']:09d}.zip")
    assert again.read_bytes() == archive
    if after["best_policy_step"] == before["best_policy_step"]:
        assert after["best_policy_true_return"] == before["best_policy_true_return"]
        assert (folder / "best_policy.zip").read_bytes() == archive
    else:
        assert after["best_policy_step"] in new


def test_a_run_that_is_given_answers_alone_is_judged_by_its_new_reward(tmp_path):
    out = tmp_path / "run"
    before = run(tiny_runs.ppo(eval_every=400), out=out, show_progress=False).summary
    after = resume(out, budget=33, show_progress=False).summary
    assert after["steps"] == before["steps"]
    assert after["best_policy_score"] != before["best_policy_score"]
    assert after["best_policy_step"] in (before["best_policy_step"], before["steps"])
    assert not (out / "candidates").exists()
