import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from prefrl import PreferenceLoop, QueryConfig, RewardConfig
from prefrl.agents import OnPolicyAgent
from prefrl.config import SessionSettings, TeacherSettings
from prefrl.envs import make_vec_env
from prefrl.errors import ConfigError, DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.loop import Feedback, Records, return_metrics
from prefrl.plan import Phase, plan_run
from prefrl.queries import Uniform, make_strategy, standardised
from prefrl.records.checkpoint import Checkpoints
from prefrl.records.metrics import JsonLinesSink, Metrics, read_metrics
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.seeding import REWARD_WEIGHTS, Streams
from prefrl.segments import EpisodeStore, observation_embeddings
from prefrl.session.asker import MAX_QUERIES_PER_ANSWER
from prefrl.session.unasked import asked_up_to
from prefrl.types import EpisodeReturns
from tests import linear_task
from tests.own_envs import PointMass

STEPS, BUDGET = 600, 20
PLAN = plan_run(
    steps=STEPS,
    explore_steps=120,
    budget=BUDGET,
    queries=QueryConfig(num_sessions=3, initial_fraction=0.4, last_session_at=0.8),
    checkpoint_every=200,
    multiple=2,
)
SESSIONS = [phase.num_queries for phase in PLAN if phase.num_queries]


class Oracle(SyntheticTeacher):
    """Keeps count of the sessions and of what it was asked in each."""

    def __init__(self):
        super().__init__(TeacherSettings())
        self.asked = []

    def observe(self, pool):
        self.asked.append([])
        return super().observe(pool)

    def answer(self, left, right, *, rng):
        self.asked[-1].append(len(left))
        return super().answer(left, right, rng=rng)


class Recording(OnPolicyAgent):
    """PPO that keeps a diary."""

    def __init__(self, model):
        super().__init__(model)
        self.diary = []

    def explore(self, num_steps):
        self.diary.append(("explore", num_steps))
        super().explore(num_steps)

    def set_reward(self, reward_function):
        self.diary.append(("set_reward", reward_function))
        super().set_reward(reward_function)

    def relabel(self, reward_function):
        self.diary.append(("relabel", reward_function))
        super().relabel(reward_function)

    def train(self, num_steps):
        self.diary.append(("train", num_steps))
        super().train(num_steps)


@dataclass
class Workshop:
    """A loop made by hand, whose parts can be exchanged."""

    folder: Path
    make_env: Callable[[], gym.Env] = lambda: gym.wrappers.TimeLimit(PointMass(), 30)
    teacher: Any = field(default_factory=Oracle)
    strategy: Any = field(default_factory=Uniform)
    make_learner: Any = RewardTrainer
    plan: Sequence[Phase] = PLAN
    segment_length: int = 10
    spread_factor: int = 3
    log: JsonLinesSink | None = None

    def build(self, *, dataset=None, has_feedback=True):
        streams, store = Streams(0), EpisodeStore()
        venv = make_vec_env(self.make_env, 2, store)
        self.agent = Recording(PPO("MlpPolicy", venv, n_steps=30, batch_size=60, seed=0))
        dims = gym.spaces.flatdim(venv.observation_space)
        model = EnhancedRewardModel(
            dims + gym.spaces.flatdim(venv.action_space),
            generator=streams.torch_generator(REWARD_WEIGHTS),
            hidden_dim=16,
            observation_dim=dims,
        )
        self.learner = self.make_learner(model, RewardConfig(max_updates=20), streams=streams)
        self.answers = self.folder / "comparisons.npz"
        self.feedback = Feedback(
            teacher=self.teacher,
            strategy=self.strategy,
            learner=self.learner,
            settings=SessionSettings(
                segment_length=self.segment_length,
                min_candidates=40,
                spread_factor=self.spread_factor,
            ),
            dataset=dataset or PreferenceDataset(),
            path=self.answers,
        )
        self.close()
        self.log = JsonLinesSink(self.folder / "metrics.jsonl")
        return PreferenceLoop(
            plan=self.plan,
            agent=self.agent,
            store=store,
            streams=streams,
            feedback=self.feedback if has_feedback else None,
            records=Records(
                Metrics([self.log]), Checkpoints(self.folder / "checkpoints", ""), self.log
            ),
        )

    def resume(self):
        loop = self.build(dataset=PreferenceDataset.load(self.folder / "comparisons.npz"))
        loop.restore(loop.records.checkpoints.latest()[1])
        return loop

    def rows(self):
        return [
            {**row, "wall_s": 0.0, "cpu_s": 0.0}
            for row in read_metrics(self.folder / "metrics.jsonl")
        ]

    def close(self):
        if self.log is not None:
            self.log.close()


@pytest.fixture
def open_workshop(tmp_path):
    opened = []

    def open_one(name="workshop", **parts):
        (tmp_path / name).mkdir(exist_ok=True)
        opened.append(Workshop(tmp_path / name, **parts))
        return opened[-1]

    yield open_one
    for workshop in opened:
        workshop.close()


@pytest.fixture
def workshop(open_workshop):
    return open_workshop()


def test_it_takes_exactly_the_planned_steps_and_asks_for_exactly_the_budget(workshop):
    loop = workshop.build()
    loop.run()
    assert workshop.agent.num_steps == STEPS
    assert workshop.feedback.dataset.num_answers == BUDGET
    assert [sum(asked) for asked in workshop.teacher.asked] == SESSIONS
    assert loop.next_phase == len(PLAN)


def test_running_it_again_does_nothing(workshop):
    loop = workshop.build()
    loop.run()
    loop.run()
    assert workshop.agent.num_steps == STEPS
    assert workshop.feedback.dataset.num_answers == BUDGET


def test_every_session_sets_the_reward_and_relabels_before_the_agent_trains(workshop):
    workshop.build().run()
    expected = []
    for phase in PLAN:
        if phase.num_queries:
            expected += ["set_reward", "relabel"]
        expected.append("explore" if phase.is_exploration else "train")
    diary = workshop.agent.diary
    assert [name for name, _ in diary] == expected
    rewards = [given for name, given in diary if name in ("set_reward", "relabel")]
    assert rewards[::2] == rewards[1::2], "what is stored is relabelled with the reward just set"


def test_the_agent_is_paid_by_the_newest_reward_model(workshop):
    workshop.build().run()
    newest = [given for name, given in workshop.agent.diary if name == "set_reward"][-1]
    buffer, space = workshop.agent.model.rollout_buffer, workshop.agent.venv.action_space
    obs = buffer.observations.reshape(-1, 2)
    actions = np.clip(buffer.actions.reshape(-1, 2), space.low, space.high)
    learned = newest(obs, actions, obs, np.zeros(len(obs), dtype=bool))
    # By now SB3 has put all but the rewards in the order of environments.
    is_learned = np.isclose(buffer.rewards.T.reshape(-1), learned, atol=1e-4)
    # At a time limit SB3 adds the value of the state at which the episode was cut off.
    assert is_learned.mean() > 0.9


class Counting(Uniform):
    def __init__(self):
        self.predictors, self.pools = [], []

    def select(self, pool, num_queries, predictor, *, rng):
        self.predictors.append(predictor)
        self.pools.append(len(pool))
        return super().select(pool, num_queries, predictor, rng=rng)


def test_the_first_session_is_uniform_and_the_later_ones_are_the_strategys(workshop):
    workshop.strategy = Counting()
    workshop.build().run()
    assert len(workshop.strategy.predictors) == len(SESSIONS) - 1
    assert set(map(id, workshop.strategy.predictors)) == {id(workshop.learner)}
    assert set(workshop.strategy.pools) == {workshop.feedback.settings.pool_size(SESSIONS[1])}


class Forgetful(Uniform):
    """Asks half of its queries again, wherever the pool still has both windows."""

    def __init__(self):
        self.before, self.num_repeats = [], 0

    def select(self, pool, num_queries, predictor, *, rng):
        windows = list(zip(pool.episode.tolist(), pool.start.tolist(), strict=True))
        again = [pair for pair in self.before if set(pair) <= set(windows)]
        again = again[: num_queries // 2]
        self.num_repeats += len(again)
        pairs = [[windows.index(one) for one in pair] for pair in again]
        for pair in super().select(pool, len(pool) // 2, predictor, rng=rng).tolist():
            if len(pairs) < num_queries and sorted(pair) not in map(sorted, pairs):
                pairs.append(pair)
                self.before.append((windows[pair[0]], windows[pair[1]]))
        return np.array(pairs)


def windows_of(dataset):
    """Each query's two windows, whichever side they stood on."""
    sides = [
        [
            (int(e), int(s))
            for batch in side
            for e, s in zip(batch.episode, batch.start, strict=True)
        ]
        for side in (dataset.left, dataset.right)
    ]
    return [frozenset(pair) for pair in zip(*sides, strict=True)]


def test_a_session_can_ask_about_the_episode_that_it_cuts_short(open_workshop):
    workshop = open_workshop(make_env=lambda: gym.wrappers.TimeLimit(PointMass(), 10_000))
    workshop.build().run()  # in which no episode ends by itself
    asked = workshop.feedback.dataset
    assert asked.num_answers == BUDGET
    episodes = asked.window_pairs()[:, [0, 2]].max(axis=1)
    newest = [episodes[asked.session == session].max() for session in np.unique(asked.session)]
    assert len(newest) == len(SESSIONS)
    assert all(np.diff(newest) > 0), "each asks about an episode that none before knew"


def test_a_query_is_not_put_a_second_time(open_workshop):
    # So few windows that the same two are often in the pool.
    workshop = open_workshop("forgetful", strategy=Forgetful(), spread_factor=1)
    workshop.segment_length = 28
    workshop.build().run()
    assert workshop.strategy.num_repeats > 0
    asked = windows_of(workshop.feedback.dataset)
    assert len(asked) == BUDGET
    assert len(set(asked)) == BUDGET


def test_where_there_is_nothing_new_to_ask_it_is_said_once_and_asked_in_later_sessions(workshop):
    workshop.segment_length = 30
    workshop.plan = (
        # A whole episode of each environment: one pair of windows.
        Phase(0, 60, is_exploration=True),
        Phase(60, 60, num_queries=3),
        Phase(120, 60, num_queries=1),
        Phase(180, 60, num_queries=20),
    )
    with pytest.warns(UserWarning, match="every pair of the 2 segments") as said:
        workshop.build().run()
    assert len(said) == 1
    assert "so far there are 1 answers, open questions among them, of 3;" in str(said[0].message)
    dataset = workshop.feedback.dataset
    asked = windows_of(dataset)
    assert set(map(len, asked)) == {2}, "no window is compared with itself"
    assert len(set(asked)) == len(asked), "and no pair is put twice"
    assert np.bincount(dataset.session).tolist() == [0, 1, 3, 11], "all that there were each time"


FAULTY = {
    "too few": (lambda n: np.zeros((n - 1, 2), int), r"array of shape \(\d+, 2\) .*expected"),
    "fractions": (lambda n: np.zeros((n, 2)), "type float64; expected"),
    "outside": (lambda n: np.full((n, 2), [0, 10**6]), "chose segments 0 to 1000000; the pool has"),
    "with itself": (lambda n: np.zeros((n, 2), int), "paired a segment with itself"),
    "twice": (lambda n: np.tile([[0, 1], [1, 0]], (n, 1))[:n], "chose a pair twice"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_strategy_of_ones_own_that_chooses_wrongly_is_told_how(workshop, fault):
    choice, said = FAULTY[fault]

    class Faulty(Uniform):
        def select(self, pool, num_queries, predictor, *, rng):
            return choice(num_queries)

    workshop.strategy = Faulty()
    with pytest.raises(DataError, match=f"the query strategy .*{said}"):
        workshop.build().run()


class Measuring(Uniform):
    """Notes how far apart the two segments of each pool lie that are closest to each other."""

    def __init__(self):
        self.gaps = []

    def select(self, pool, num_queries, predictor, *, rng):
        points = standardised(observation_embeddings(pool.observations))
        distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
        np.fill_diagonal(distances, np.inf)
        self.gaps.append(float(distances.min()))
        return super().select(pool, num_queries, predictor, rng=rng)


def test_candidates_lie_farther_apart_than_a_plain_draw(open_workshop):
    spread, plain = (
        open_workshop(f"spread {factor}", strategy=Measuring(), spread_factor=factor)
        for factor in (3, 1)
    )
    for workshop in (spread, plain):
        workshop.build().run()
    assert spread.strategy.gaps[0] > 2 * plain.strategy.gaps[0]


class Reading(RewardTrainer):
    """Looks, whenever it is fitted, for what the disk holds at that moment."""

    folder: Path

    def fit(self, comparisons, *, session):
        on_disk = PreferenceDataset.load(self.folder / "comparisons.npz")
        assert np.array_equal(on_disk.p_left, comparisons.p_left, equal_nan=True)
        assert np.array_equal(on_disk.session, comparisons.session)
        for mine, theirs in zip(on_disk.split(), comparisons.split(), strict=True):
            assert np.array_equal(mine.left, theirs.left)
            assert np.array_equal(mine.right, theirs.right)
        self.sizes = [*getattr(self, "sizes", []), len(comparisons)]
        return super().fit(comparisons, session=session)


def test_answers_are_on_disk_before_they_are_used(workshop):
    workshop.make_learner = Reading
    Reading.folder = workshop.folder
    workshop.build().run()
    assert workshop.learner.sizes == np.cumsum(SESSIONS).tolist()


class Skipping(Oracle):
    """Answers about two queries in five."""

    def answer(self, left, right, *, rng):
        answers = super().answer(left, right, rng=rng)
        return np.where(rng.random(len(left)) < 0.6, np.nan, answers)


def test_the_budget_counts_answers_and_the_skips_are_reported(workshop):
    workshop.teacher = Skipping()
    workshop.build().run()
    dataset = workshop.feedback.dataset
    assert dataset.num_answers == BUDGET
    assert dataset.num_skips == len(dataset) - BUDGET > 0
    last = workshop.rows()[-1]
    assert (last["num_answers"], last["num_skips"]) == (BUDGET, dataset.num_skips)


class Silent(Oracle):
    """Skips everything."""

    def answer(self, left, right, *, rng):
        return np.full_like(super().answer(left, right, rng=rng), np.nan)


def test_a_teacher_that_skips_everything_ends_the_run_in_one_line(workshop):
    workshop.teacher = Silent()
    asked = MAX_QUERIES_PER_ANSWER * SESSIONS[0]
    expected = rf"^the teacher has skipped every query so far \({asked}\); nothing can be learned$"
    with pytest.raises(DataError, match=expected):
        workshop.build().run()
    assert len(PreferenceDataset.load(workshop.answers)) == asked


class Shy(Oracle):
    """Answers one query in the first session, and every one later."""

    def answer(self, left, right, *, rng):
        answers = super().answer(left, right, rng=rng)
        if len(self.asked) == 1:
            answers[len(self.asked[0]) == 1 :] = np.nan
        return answers


def test_what_one_session_could_not_get_the_next_one_asks_for(workshop):
    workshop.teacher = Shy()
    workshop.build().run()
    dataset = workshop.feedback.dataset
    assert dataset.num_answers == BUDGET
    first, second, *_ = np.unique(dataset.session)
    assert np.isfinite(dataset.p_left[dataset.session == first]).sum() == 1
    assert (dataset.session == second).sum() == sum(SESSIONS[:2]) - 1


def assert_same_rows(rows, others):
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, rel=0, abs=0, nan_ok=True)


class PowerCut(BaseException):
    pass


def interrupted(teacher_class: Any, at_batch):
    """A teacher of that class, who is cut off while answering the batch of that number."""

    class Interrupted(teacher_class):
        def answer(self, left, right, *, rng):
            if sum(map(len, self.asked)) == at_batch:
                raise PowerCut
            return super().answer(left, right, rng=rng)

    return Interrupted()


@pytest.mark.parametrize("at_batch", [1, 2, 5])
def test_a_session_that_was_cut_off_goes_on_where_it_was(open_workshop, at_batch):
    whole = open_workshop("whole", teacher=Skipping())
    whole.build().run()
    cut = open_workshop("cut", teacher=interrupted(Skipping, at_batch))
    with pytest.raises(PowerCut):
        cut.build().run()
    known = len(PreferenceDataset.load(cut.answers))

    cut.teacher = Skipping()
    cut.resume().run()
    assert cut.answers.read_bytes() == whole.answers.read_bytes()
    assert sum(map(sum, cut.teacher.asked)) == len(whole.feedback.dataset) - known
    assert_same_rows(cut.rows(), whole.rows())


@pytest.mark.parametrize("name", ["uniform+kcenter", "uniform+kcenter_observations"])
def test_what_was_asked_about_before_a_restart_is_kept_away_from_after_it(open_workshop, name):
    whole = open_workshop("whole", strategy=make_strategy(name))
    whole.build().run()
    cut = open_workshop("cut", teacher=interrupted(Oracle, 1), strategy=make_strategy(name))
    with pytest.raises(PowerCut):
        cut.build().run()
    cut.teacher = Oracle()
    cut.resume().run()
    assert cut.answers.read_bytes() == whole.answers.read_bytes()


def test_patience_with_a_teacher_who_skips_does_not_begin_anew_with_every_restart(workshop):
    workshop.teacher = interrupted(Silent, 3)
    with pytest.raises(PowerCut):
        workshop.build().run()
    for _ in range(2):
        workshop.teacher = Silent()
        with pytest.raises(DataError, match="skipped every query"):
            workshop.resume().run()
    asked = len(PreferenceDataset.load(workshop.answers))
    assert asked == MAX_QUERIES_PER_ANSWER * SESSIONS[0]


def test_answers_of_sessions_that_are_to_come_again_wait_for_their_turn(open_workshop):
    first = open_workshop()
    first.build().run()
    known = PreferenceDataset.load(first.answers)

    again = open_workshop("again", teacher=Oracle())
    again.build(dataset=known).run()  # From its start, with all answers there already.
    assert again.teacher.asked == [[] for _ in SESSIONS]
    assert not again.answers.exists(), "there was nothing new to write"
    assert_same_rows(again.rows(), first.rows())


def test_a_checkpoint_whose_answers_are_gone_is_refused(workshop):
    loop = workshop.build()
    loop.run()
    state = loop.state()
    expected = rf"comparisons.npz holds 0 queries, the checkpoint knows of {BUDGET}"
    with pytest.raises(DataError, match=expected):
        workshop.build().restore(state)


@pytest.mark.parametrize(
    ("plan", "has_feedback", "expected"),
    [
        ([Phase(0, 100)], True, "phase 0 trains before the first queries; let it explore"),
        (
            [Phase(0, 100, is_exploration=True), Phase(100, 100), Phase(200, 100, num_queries=5)],
            True,
            "phase 1 trains before the first queries",
        ),
        (
            [Phase(0, 100, num_queries=5)],
            False,
            "phase 0 has queries, but there is no teacher to ask",
        ),
    ],
)
def test_a_plan_that_would_train_on_nothing_is_refused_at_once(
    workshop, plan, has_feedback, expected
):
    workshop.plan = plan
    with pytest.raises(ConfigError, match=expected):
        workshop.build(has_feedback=has_feedback)


def test_a_phase_that_does_not_begin_where_the_agent_is_is_refused(workshop):
    workshop.plan = [Phase(50, 100, is_exploration=True)]
    with pytest.raises(DataError, match="phase 0 starts at step 50, the agent is at 0"):
        workshop.build().run()


def test_without_feedback_it_trains_on_the_environments_own_reward(workshop):
    workshop.plan = plan_run(
        steps=200,
        explore_steps=0,
        budget=1,
        queries=QueryConfig(num_sessions=1),
        checkpoint_every=100,
        multiple=2,
    )
    loop = workshop.build(has_feedback=False)
    workshop.agent.venv.set_reward(lambda obs, action, next_obs, done: -np.ones(2, np.float32))
    loop.run()
    assert not workshop.answers.exists()
    assert {name for name, _ in workshop.agent.diary} == {"train"}
    assert all(row["learned_return"] == -30 for row in workshop.rows())


@pytest.mark.filterwarnings("ignore:every answer is a tie")  # CartPole pays 1 for every step
def test_episodes_that_end_early_are_warned_of_once(workshop):
    workshop.make_env, workshop.segment_length = lambda: gym.make("CartPole-v1"), 5
    with pytest.warns(UserWarning, match="episodes end early .* fixed horizon") as caught:
        workshop.build().run()
    assert sum("episodes end early" in str(one.message) for one in caught) == 1


def test_episodes_that_end_at_their_time_limit_are_not_warned_of(workshop):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workshop.build().run()


def test_the_figures_of_a_phase_are_means_over_its_episodes():
    episodes = [
        EpisodeReturns(true_return=2.0, learned_return=5.0, length=10, is_terminated=True),
        EpisodeReturns(true_return=4.0, learned_return=7.0, length=30, is_terminated=False),
    ]
    assert return_metrics(episodes) == {
        "true_return": 3.0,
        "true_return_std": 1.0,
        "learned_return": 6.0,
        "num_episodes": 2.0,
        "terminated_share": 0.5,
    }


def test_while_exploring_there_is_no_learned_return():
    episode = EpisodeReturns(true_return=2.0, learned_return=2.0, length=1, is_terminated=False)
    assert math.isnan(return_metrics([episode], is_exploration=True)["learned_return"])


def test_a_phase_in_which_no_episode_ended_has_no_returns():
    figures = return_metrics([])
    assert math.isnan(figures["true_return"])
    assert math.isnan(figures["true_return_std"])
    assert math.isnan(figures["learned_return"])
    assert figures["num_episodes"] == figures["terminated_share"] == 0


def test_heard_by_keeps_the_sessions_up_to_one():
    rng = np.random.default_rng(0)
    dataset = PreferenceDataset(0.0)
    for session, num in ((1, 3), (4, 2)):
        left, right = linear_task.segments(num, rng=rng), linear_task.segments(num, rng=rng)
        answers = linear_task.oracle(left, right)
        dataset.add(left, right, answers, session=session, rng=rng)
    assert [len(asked_up_to(dataset, session)) for session in range(6)] == [0, 3, 3, 3, 5, 5]
    assert asked_up_to(dataset, 4) is dataset


@pytest.mark.parametrize(
    ("num_queries", "expected"), [(1, 200), (30, 300), (100, 1_000), (400, 1_000), (600, 1_200)]
)
def test_the_pool_has_ten_segments_a_query_within_bounds(num_queries, expected):
    assert SessionSettings(segment_length=50).pool_size(num_queries) == expected
