"""Whatever calls about queries, sessions, segments and contracts are given, they work or say why.

As in test_arguments.py, and with two wrong arguments at once.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl import queries, testing
from prefrl.config import PoolSettings, Schedule, SessionSettings
from prefrl.feedback.protocols import Answer
from prefrl.seeding import Streams
from prefrl.segments import Episode, EpisodeStore, SegmentBatch, equally_long
from prefrl.segments.batch import observation_embeddings
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource, StoreSource
from prefrl.session.questions import MemoryQuestions
from prefrl.testing import made_up
from prefrl.testing.made_up import LinearPredictor
from tests.odd import ODD, Valid, fault_of, faults_of, odd_ones


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def episode() -> dict[str, Any]:
    return {
        "observations": np.zeros((9, 4), np.float32),
        "actions": np.zeros((8, 2), np.float32),
        "true_rewards": np.zeros(8, np.float32),
        "sim_states": np.zeros((8, 0)),
        "objective_rewards": np.zeros((8, 0), np.float32),
        **dict.fromkeys(("is_complete", "terminated", "truncated"), True),
    }


class Prefers:
    def answer(self, left: Any, right: Any, *, rng: Any) -> Any:
        return np.ones(len(left))


def calls() -> dict[str, Valid]:
    pool = made_up.segments(6, rng=rng())
    predictor = LinearPredictor(num_asked=0)
    select = {"pool": pool, "num_queries": 2, "predictor": predictor, "rng": rng()}
    candidates = queries.Candidates(pool, predictor, rng())
    table = np.zeros((6, 6), np.float32)
    store = EpisodeStore()
    store.add(Episode(**episode()))
    settings = SessionSettings(segment_length=3)
    source = StoreSource(store, settings)
    chooser: dict[str, Any] = {
        "source": source,
        "strategy": queries.Uniform(),
        "predictor": predictor,
        "streams": Streams(0),
        "spread_factor": 1,
        "audit_share": 0.0,
        "num_objectives": 1,
    }
    asker = Asker(Chooser(**chooser), Prefers())
    questions, asked = MemoryQuestions(), MemoryQuestions()
    asked.put(pool[:1], pool[1:2], session=0, policy_step=0)
    asked.answer([Answer(0, 1.0, "a")])
    batch = {name: getattr(pool, name) for name in pool.__dataclass_fields__}
    return {
        "Candidates": (
            queries.Candidates,
            {"segments": pool, "predictor": predictor, "rng": rng()},
        ),
        "Combined": (
            queries.Combined,
            {
                "values_of": queries.ACQUISITIONS["entropy"],
                "choose": queries.SELECTORS["greedy"],
            },
        ),
        "Combined.select": (queries.make_strategy("entropy").select, select),
        "with_ease": (queries.with_ease, {"strategy": queries.Uniform()}),
        "Uniform.select": (queries.Uniform().select, select),
        "best_distinct_pairs": (
            queries.best_distinct_pairs,
            {"values": table, "num_queries": 2, "rng": rng()},
        ),
        "farthest_points": (
            queries.farthest_points,
            {"points": np.zeros((5, 2), np.float32), "num_chosen": 2, "rng": rng()},
        ),
        "pair_points": (
            queries.pair_points,
            {"candidates": candidates, "pairs": np.array([[0, 1]])},
        ),
        "preference_disagreement": (
            queries.preference_disagreement,
            {"scores": np.zeros((5, 2), np.float32)},
        ),
        "standardised": (queries.standardised, {"embeddings": np.zeros((5, 2), np.float32)}),
        "make_strategy": (queries.make_strategy, {"name": "entropy"}),
        "strategy_names": (queries.strategy_names, {}),
        "acquisition": (queries.acquisition, {"name": "of mine"}),
        "selector": (queries.selector, {"name": "of mine"}),
        "register": (queries.register, {"name": "of mine"}),
        "Episode": (Episode, episode()),
        "EpisodeStore": (EpisodeStore, {"max_transitions": 5}),
        "EpisodeStore.add": (store.add, {"episode": Episode(**episode())}),
        "EpisodeStore.sample": (
            store.sample,
            {"num_segments": 2, "segment_length": 3, "rng": rng(), "max_newest": 5},
        ),
        "EpisodeStore.num_windows": (
            store.num_windows,
            {"segment_length": 3, "max_newest": 5},
        ),
        "EpisodeStore.newest": (store.newest, {"max_steps": 3}),
        "EpisodeStore.restore": (EpisodeStore().restore, {"state": store.state()}),
        "SegmentBatch": (SegmentBatch, batch),
        "SegmentBatch.shortened": (pool.shortened, {"length": np.full(6, 2)}),
        "SegmentBatch.concatenate": (SegmentBatch.concatenate, {"batches": [pool, pool]}),
        "equally_long": (equally_long, {"left": pool, "right": pool}),
        "observation_embeddings": (
            observation_embeddings,
            {"observations": pool.observations, "length": None},
        ),
        "StoreSource": (StoreSource, {"store": store, "settings": settings}),
        "StoreSource.draw": (source.draw, {"num_segments": 3, "rng": rng()}),
        "FixedSource": (FixedSource, {"segments": pool, "size": 3}),
        "FixedSource.draw": (FixedSource(pool, 3).draw, {"num_segments": 3, "rng": rng()}),
        "Chooser": (Chooser, chooser),
        "Asker": (
            Asker,
            {
                "chooser": Chooser(**chooser),
                "teacher": Prefers(),
                "dataset": made_up.comparisons(4, rng=rng()),
                "path": None,
                "num_observed": None,
                "answer_timeout_s": None,
            },
        ),
        "Asker.ask": (asker.ask, {"total": 2, "session": 0, "step": 0, "is_fitted": None}),
        "MemoryQuestions": (MemoryQuestions, {"first_id": 0}),
        "MemoryQuestions.put": (
            questions.put,
            {"left": pool, "right": pool, "session": 0, "policy_step": 0, "objective": None},
        ),
        "MemoryQuestions.lease": (questions.lease, {"holder": "a", "count": 1, "duration_s": 1.0}),
        "MemoryQuestions.answer": (questions.answer, {"answers": []}),
        "MemoryQuestions.withdraw": (questions.withdraw, {"ids": []}),
        "MemoryQuestions.question": (asked.question, {"question": 0}),
        "MemoryQuestions.put_repeat": (
            asked.put_repeat,
            {"question": 0, "session": 0, "policy_step": 0},
        ),
        "MemoryQuestions.undo": (asked.undo, {"annotator": "a", "question": 0}),
        "PoolSettings": (PoolSettings, {"env": "a", "steps": 5, "segment_length": 3, "seed": 0}),
        "Schedule": (Schedule, {"budgets": (1, 2), "first": 1, "growth": 0.5}),
        "check_strategy": (
            testing.check_strategy,
            {"strategy": Prefers(), "seed": 0, "draws_sides": True, "repeats_segments": True},
        ),
        "check_teacher": (
            testing.check_teacher,
            {"make_teacher": Prefers, "seed": 0, "is_mirrored": False, "num_objectives": 1},
        ),
        "check_reward_function": (
            testing.check_reward_function,
            {"reward_function": len, "observation_dim": 2, "action_dim": 1, "seed": 0},
        ),
        "check_agent": (testing.check_agent, {"make_agent": dict, "stride": 1}),
        "check_learner": (
            testing.check_learner,
            {"make_learner": dict, "observation_dim": 2, "action_dim": 1}
            | {"segment_length": 3, "seed": 0},
        ),
    }


NAMES = sorted(calls())


def test_every_public_part_is_tried():
    public = {*queries.__all__, *testing.__all__}
    tables = {"ACQUISITIONS", "ALIASES", "SELECTORS", "STRATEGIES"}
    assert public - tables - {"ContractError"} - {"Uniform"} <= set(NAMES)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nothing be written here."""
    monkeypatch.chdir(tmp_path_factory.mktemp("parts"))


@pytest.mark.parametrize("name", NAMES)
def test_odd_arguments_work_or_end_in_an_error_of_one_line(name: str) -> None:
    faults = faults_of(lambda: calls()[name])
    assert not faults, faults


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_two_odd_arguments_at_once_end_in_one_line_too(name: str, data: st.DataObject) -> None:
    call, valid = calls()[name]
    names = st.lists(st.sampled_from(sorted(valid) or [""]), max_size=2)
    wrong = data.draw(names) if valid else []
    odd = {argument: ODD[data.draw(odd_ones)] for argument in wrong}
    fault = fault_of(call, {**valid, **odd})
    assert not fault, fault
