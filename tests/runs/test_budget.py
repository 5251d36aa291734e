"""A budget is refused where it could only be spent on the same questions again."""

import itertools
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl import Parts, QueryConfig, run
from prefrl.cli.result_text import result_text
from prefrl.envs import make_vec_env
from prefrl.errors import ConfigError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.plan import Phase
from prefrl.runs.budget import most_pairs
from prefrl.runs.resolve import resolve
from prefrl.segments import EpisodeStore
from tests import tiny_runs
from tests.own_envs import PointMass

pytestmark = pytest.mark.usefixtures("without_curves")


class EndsEarly(gym.Wrapper):
    """A point mass whose episodes are over after so many steps each, in turns."""

    def __init__(self, lengths):
        super().__init__(PointMass())
        self.lengths = lengths
        self.num_episodes = self.left = 0

    def reset(self, **arguments):
        self.left = self.lengths[self.num_episodes % len(self.lengths)]
        self.num_episodes += 1
        return self.env.reset(**arguments)

    def step(self, action):
        self.left -= 1
        observation, reward, _, _, info = self.env.step(action)
        return observation, reward, self.left == 0, False, info


class TwoObjectives(gym.Wrapper):
    """A point mass that tells how near it is, and how still it stands."""

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        near, still = -float(np.abs(observation).sum()), -float(np.abs(action).sum())
        return observation, reward, terminated, truncated, {**info, "near": near, "still": still}


def one_session(**changes):
    settings = {
        "num_envs": 1,
        "steps": 40,
        "segment_length": 10,
        "explore_steps": 13,
        "queries": QueryConfig(num_sessions=1, min_candidates=10),
        "eval_episodes": 0,
    }
    return tiny_runs.ppo(**{**settings, **changes})


def test_more_answers_than_pairs_are_refused_before_there_is_a_folder(tmp_path):
    out = tmp_path / "deep" / "run"
    said = r"^budget is 79, but .* 13 steps, in which there are 78 different pairs .* at most 78"
    with pytest.raises(ConfigError, match=said):
        run(one_session(budget=79), out=out, show_progress=False)
    assert not out.parent.exists()


@pytest.mark.filterwarnings("ignore:episodes end early")
def test_an_environment_of_short_episodes_may_be_asked_about_each_pair_of_them(tmp_path):
    parts = Parts(make_env=lambda: EndsEarly([1]))
    config = one_session(budget=78, max_episode_steps=100)
    result = run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    assert result.summary["num_answers"] == 78
    pairs = PreferenceDataset.load(tmp_path / "run" / "comparisons.npz").window_pairs()
    assert len(np.unique(pairs, axis=0)) == 78


@pytest.mark.filterwarnings("ignore:episodes end early")
def test_a_pair_may_be_asked_about_once_for_each_objective(tmp_path):
    config = one_session(budget=2 * 78, objectives=["near", "still"], env="own-v0")
    parts = Parts(make_env=lambda: TwoObjectives(EndsEarly([1])))
    config = replace(config, max_episode_steps=100)
    run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    answers = PreferenceDataset.load(tmp_path / "run" / "comparisons.npz")
    put = np.column_stack([answers.window_pairs(), answers.objective])
    assert len(np.unique(put, axis=0)) == 2 * 78
    with pytest.raises(ConfigError, match=f"choose at most {2 * 78}, or more steps"):
        run(
            replace(config, budget=2 * 78 + 1),
            out=tmp_path / "more",
            parts=parts,
            show_progress=False,
        )


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    steps=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    num_envs=st.integers(1, 3),
    segment_length=st.integers(1, 12),
)
def test_no_store_has_more_pairs_than_are_allowed_however_its_episodes_end(
    lengths, steps, num_envs, segment_length
):
    store, phases, taken = EpisodeStore(), [], 0
    for num_steps in steps:
        phases.append(Phase(taken, num_envs * num_steps))
        taken += num_envs * num_steps
        venv = make_vec_env(lambda: EndsEarly(lengths), num_envs, store)
        venv.reset()
        for _ in range(num_steps):
            venv.step(np.zeros((num_envs, 2)))
        venv.reset()
        venv.close()
    phases.append(Phase(taken, 10, num_queries=5))
    num = sum(
        len(episode) - segment_length + 1 if len(episode) >= segment_length else episode.is_complete
        for episode in store.episodes
    )
    assert num * (num - 1) // 2 <= most_pairs(phases, may_ask_late=False)
    if lengths == [1] or segment_length == 1:
        assert num * (num - 1) // 2 == most_pairs(phases, may_ask_late=False)


def test_of_older_steps_than_sessions_look_at_no_pair_is_counted():
    plan = [Phase(0, 100), Phase(100, 100, num_queries=5), Phase(200, 100, num_queries=5)]
    pairs = {
        frozenset(pair)
        for first, last in ((40, 100), (140, 200))
        for pair in itertools.combinations(range(first, last), 2)
    }
    assert most_pairs(plan, may_ask_late=False, reach=60) == len(pairs)
    assert most_pairs(plan, may_ask_late=False) == 200 * 199 // 2


@given(
    starts=st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True).map(sorted),
    reach=st.integers(1, 70),
)
def test_pairs_are_counted_once_however_sessions_overlap(starts, reach):
    pairs = {
        frozenset(pair)
        for start in starts
        for pair in itertools.combinations(range(max(0, start - reach), start), 2)
    }
    plan = [Phase(start, 1, num_queries=1) for start in starts]
    assert most_pairs(plan, may_ask_late=False, reach=reach) == len(pairs)


def test_what_lies_beyond_the_newest_steps_makes_a_budget_too_large(tmp_path):
    queries = QueryConfig(num_sessions=1, min_candidates=10, newest_steps=20)
    config = one_session(
        explore_steps=32, segment_length=4, max_episode_steps=5, budget=191, queries=queries
    )
    parts = Parts(make_env=lambda: EndsEarly([1]))
    with pytest.raises(ConfigError, match="there are 190 different pairs"):
        run(replace(config, env="own-v0"), out=tmp_path / "run", parts=parts, show_progress=False)


@pytest.mark.filterwarnings("ignore:every pair of the 4 segments")
def test_a_run_of_fewer_pairs_than_its_budget_ends_with_what_there_was_to_ask(tmp_path):
    result = run(one_session(budget=70), out=tmp_path / "run", show_progress=False)
    summary = result.summary
    assert (summary["budget"], summary["num_asked"], summary["num_answers"]) == (70, 6, 6)
    assert "steps, 6 of 70 answers" in result_text(result.folder, summary)


def test_a_single_environment_explores_more_than_one_segment():
    for steps in (80, 200, 2_000):
        resolved = resolve(
            one_session(steps=steps, segment_length=50, explore_steps=None, budget=10)
        )
        assert resolved.explore_steps > 50
