import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import StorageError
from prefrl.records.checkpoint import save_state
from prefrl.runs.candidate_policies import (
    MAX_POLICIES,
    Best,
    CandidatePolicies,
    is_candidate,
)
from prefrl.runs.rollouts import Rollouts


def played(*observed, true=0.0):
    """Episodes of two steps, each of which observes one number all along."""
    obs = np.repeat(np.array(observed, np.float32), 2)[:, None]
    episode = np.repeat(np.arange(len(observed)), 2)
    done = np.zeros(len(obs), dtype=bool)
    return Rollouts(episode, np.full(len(obs), true), None, (obs, 0 * obs, obs, done))


def likes(sign):
    return lambda obs, action, next_obs, done: sign * obs[:, 0]


@pytest.fixture
def candidates(tmp_path):
    """Two policies: the first has seen larger numbers, the second has the higher true return."""
    candidates = CandidatePolicies(tmp_path / "candidates", "mine", ends=(300, 20))
    candidates.add(100, played(5, 7, true=1.0), lambda path: path.write_text("at 100"))
    candidates.add(200, played(1, 2, true=3.0), lambda path: path.write_text("at 200"))
    return candidates


def test_the_final_reward_decides_and_not_the_one_of_the_time_nor_the_true_one(
    candidates, tmp_path
):
    best = candidates.keep_best(tmp_path / "best", likes(+1))
    assert best == Best(100, 2 * (5 + 7) / 2, 2.0)
    assert (tmp_path / "best").read_text() == "at 100"
    best = candidates.keep_best(tmp_path / "best", likes(-1))
    assert best == Best(200, -2 * (1 + 2) / 2, 6.0)
    assert (tmp_path / "best").read_text() == "at 200"


def test_without_a_learned_reward_the_true_one_decides(candidates, tmp_path):
    assert candidates.keep_best(tmp_path / "best", None) == Best(200, 6.0, 6.0)


def test_of_equals_the_latest_is_the_best(candidates, tmp_path):
    assert candidates.keep_best(tmp_path / "best", likes(0)).step == 200


def test_a_policy_without_its_episodes_is_no_candidate(candidates, tmp_path):
    (tmp_path / "candidates" / "step_000000200.npz").unlink()
    assert candidates.keep_best(tmp_path / "best", likes(-1)).step == 100


def test_what_was_added_at_a_step_before_is_replaced(candidates, tmp_path):
    candidates.add(100, played(-9), lambda path: path.write_text("again"))
    assert candidates.keep_best(tmp_path / "best", likes(-1)) == Best(100, 18.0, 0.0)
    assert (tmp_path / "best").read_text() == "again"


def test_removed_candidates_leave_nothing_and_none_is_best(candidates, tmp_path):
    for _ in range(2):
        candidates.remove()
        assert list(tmp_path.iterdir()) == []
    assert candidates.keep_best(tmp_path / "best", likes(1)) is None
    assert not (tmp_path / "best").exists()


def test_damaged_episodes_and_those_of_another_run_are_named(candidates, tmp_path):
    other = CandidatePolicies(tmp_path / "candidates", "another", ends=(300, 20))
    with pytest.raises(StorageError, match=r"step_000000100.npz belongs to another run"):
        other.keep_best(tmp_path / "best", None)
    path = tmp_path / "candidates" / "step_000000100.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StorageError, match=r"step_000000100.npz is damaged"):
        candidates.keep_best(tmp_path / "best", None)
    path.unlink()
    (tmp_path / "candidates" / "step_000000200.zip").unlink()
    with pytest.raises(StorageError, match=r"there is no policy .*step_000000200\.zip"):
        candidates.keep_best(tmp_path / "best", None)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("episode", np.array([0, 0, 2**60, 2**60])),
        ("episode", np.array([-1, -1, 0, 0])),
        ("episode", "text"),
        ("true_rewards", np.array([1.0, 2.0, np.nan, 1.0])),
        ("observations", np.zeros((3, 1))),
        ("last_observations", np.zeros((2, 5))),
        ("done", np.zeros(4)),
        ("actions", None),
    ],
)
def test_episodes_that_are_none_are_refused_before_a_run_goes_on(tmp_path, candidates, name, wrong):
    candidates.check()
    state = {**played(5, 7).state(), name: wrong}
    path = tmp_path / "candidates" / "step_000000200.npz"
    save_state(path, state, fingerprint="mine")
    with pytest.raises(StorageError, match=rf"{path.name} is damaged: .*{name}"):
        candidates.check()


def test_a_policy_that_cannot_be_copied_is_named_before_a_run_goes_on(tmp_path, candidates):
    path = tmp_path / "candidates" / "step_000000100.zip"
    path.unlink()
    with pytest.raises(StorageError, match=r"there is no policy .*step_000000100\.zip"):
        candidates.check()
    path.mkdir()
    with pytest.raises(StorageError, match=r"could not read .*step_000000100\.zip: Is a directory"):
        candidates.check()


def test_files_of_other_names_are_no_candidates(tmp_path, candidates):
    for name in ("step_x.npz", "step_7.npz", "step_\u00b2.npz", "step_.npz"):
        (tmp_path / "candidates" / name).write_text("no candidate")
    assert candidates.steps() == [100, 200]


def test_a_candidate_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "candidates").write_text("a file, not a folder")
    with pytest.raises(StorageError, match=r"could not make .*candidates: File exists"):
        CandidatePolicies(tmp_path / "candidates", "", ends=(1, 1)).add(
            1, played(1), lambda path: None
        )


@given(every=st.integers(1, 500), num=st.integers(1, 400), rest=st.integers(0, 499))
def test_few_enough_are_kept_and_the_final_one_always(every, num, rest):
    total = num * every + rest % every
    steps = [*range(every, total, every), total]
    kept = [step for step in steps if is_candidate(step, every=every, total_steps=total)]
    assert kept[-1] == total
    assert len(kept) <= MAX_POLICIES + 1
    if len(steps) <= MAX_POLICIES:
        assert kept == steps
    assert len(kept) >= min(len(steps), MAX_POLICIES // 2)


BEST = {"best_policy_step": 5, "best_policy_score": 1.5, "best_policy_true_return": -2.0}


def ended(tmp_path, *, ends=(7, 20), **summary):
    """The candidates of a run whose folder holds a summary and a best policy."""
    (tmp_path / "best_policy.zip").write_text("the best")
    written = {"steps": 7, "budget": 20, **BEST, **summary}
    (tmp_path / "summary.json").write_text(json.dumps(written))
    return CandidatePolicies(tmp_path / "candidates", "", ends=ends)


def test_a_run_that_has_ended_says_which_policy_was_best(tmp_path):
    candidates = ended(tmp_path)
    assert candidates.decided() == Best(5, 1.5, -2.0)
    assert candidates.earlier_best() is None, "there is nothing to decide"
    candidates.add(6, played(9), lambda path: path.write_text("left over"))
    assert candidates.keep_best(tmp_path / "best_policy.zip", likes(1)) == Best(5, 1.5, -2.0)
    assert (tmp_path / "best_policy.zip").read_text() == "the best"


@pytest.mark.parametrize("ends", [(9, 20), (7, 30)])
def test_given_more_its_best_policy_may_be_beaten(tmp_path, ends):
    candidates = ended(tmp_path, ends=ends)
    assert candidates.decided() is None
    assert candidates.earlier_best() == (Best(5, 1.5, -2.0), tmp_path / "best_policy.zip")
    candidates.add(8, played(9), lambda path: path.write_text("another"))
    assert candidates.earlier_best() is None, "it is a candidate by now"
    assert candidates.keep_best(tmp_path / "best_policy.zip", likes(1)) == Best(8, 18.0, 0.0)


def test_a_summary_without_evaluations_or_a_damaged_one_says_nothing(tmp_path):
    for candidates in (
        ended(tmp_path, best_policy_step=None),
        CandidatePolicies(tmp_path / "elsewhere" / "candidates", "", ends=(7, 20)),
    ):
        assert candidates.decided() is candidates.earlier_best() is None
    candidates = ended(tmp_path)
    (tmp_path / "summary.json").write_text("[")
    assert candidates.decided() is candidates.earlier_best() is None
