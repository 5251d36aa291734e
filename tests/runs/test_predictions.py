"""Predictions of the heads are noted when questions are put, of all of them at once."""

import numpy as np
import pytest

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Question
from prefrl.rewards import EnhancedRewardModel, RewardTrainer
from prefrl.seeding import Streams
from tests.session.made_up import segments

pytest.importorskip("sqlalchemy", reason="the extra human is missing")

from prefrl.labelling.store import LabelStore
from prefrl.runs.predictions import NotedPredictions


class Counted(RewardTrainer):
    """Counts how often it is asked for scores."""

    num_calls = 0

    def score_segments(self, segments):
        self.num_calls += 1
        return super().score_segments(segments)


@pytest.fixture
def store(tmp_path):
    store = LabelStore(tmp_path / "labels.sqlite")
    yield store
    store.close()


@pytest.fixture
def trainer():
    dims = segments(1).inputs().shape[2]
    settings = RewardConfig(max_updates=3, hidden_dim=8)
    return Counted(EnhancedRewardModel(dims, hidden_dim=8), settings, streams=Streams(0))


def fit(trainer):
    said = PreferenceDataset(0.0)
    rng = np.random.default_rng(0)
    said.add(segments(8), segments(8, seed=1), np.arange(8) % 2, session=0, rng=rng)
    trainer.fit(said, session=0)


def put(store, num=6) -> list[Question]:
    return store.put(segments(num, seed=2), segments(num, seed=3), session=1, policy_step=5)


def test_nothing_is_predicted_before_the_first_fit(store, trainer):
    NotedPredictions(store, trainer, 0).note(put(store))
    assert store.predictions() == {}


def test_all_questions_are_predicted_with_one_look_at_their_segments(store, trainer):
    fit(trainer)
    questions = put(store)
    num_before = trainer.num_calls
    NotedPredictions(store, trainer, 3).note(questions)
    assert trainer.num_calls == num_before + 1
    found = store.predictions()
    assert list(found) == [question.id for question in questions]
    assert {one.model_version for one in found.values()} == {3}
    expected = trainer.preference_by_head(segments(6, seed=2), segments(6, seed=3))
    np.testing.assert_allclose([one.p_left_by_head for one in found.values()], expected, rtol=1e-6)


def test_repeats_are_not_predicted_anew(store, trainer):
    fit(trainer)
    predictions = NotedPredictions(store, trainer, 1)
    first, *_ = put(store)
    store.add_annotator("ann")
    store.give("ann", first.id, "left")
    predictions.note([store.put_repeat(first.id, session=2, policy_step=9)])
    assert store.predictions() == {}
