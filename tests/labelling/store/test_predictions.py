"""Predictions of a question are those of the newest model that was asked."""

import pytest

from prefrl.errors import ArgumentError, DataError
from prefrl.labelling.errors import UnknownQuestion
from prefrl.labelling.rows import Prediction
from tests.session.stores import put


def test_questions_are_those_of_the_first_model_that_was_asked(store):
    put(store, 3)
    for version in (2, 5):
        store.set_predictions([2, 0], [[0.5, 0.25], [0.75, 1.0]], model_version=version)
    store.give("ann", 2, "left")
    store.give("ann", 1, "left")
    versions = {one.question: one.model_version for one in store.answers()}
    assert versions == {1: None, 2: 2}
    assert store.predictions() == {
        0: Prediction(0, (0.75, 1.0), 5),
        2: Prediction(2, (0.5, 0.25), 5),
    }


def test_the_newest_prediction_counts(store):
    put(store, 2)
    store.set_predictions([0], [[0.25, 0.75]], model_version=1)
    store.set_predictions([0], [[0.5, 0.5]], model_version=3)
    store.set_predictions([0], [[1.0, 0.5]], model_version=3)
    store.set_predictions([0], [[0.0, 0.0]], model_version=2)
    assert store.predictions() == {0: Prediction(0, (1.0, 0.5), 3)}
    with pytest.raises(UnknownQuestion, match="there is no question 5"):
        store.set_predictions([1, 5], [[0.5], [0.5]], model_version=3)
    assert set(store.predictions()) == {0}
    with pytest.raises(ArgumentError, match="2 rows for 1 questions; expected one for each"):
        store.set_predictions([1], [[0.5], [0.5]], model_version=3)
    with pytest.raises(DataError, match="a number that is no chance; expected 0 to 1"):
        store.set_predictions([1], [[float("nan")]], model_version=3)
