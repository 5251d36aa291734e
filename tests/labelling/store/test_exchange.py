"""Answers go into files and come back, and whole databases are copied."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

import prefrl
from prefrl.errors import DataError, StorageError
from prefrl.feedback.protocols import Answer
from tests.session.made_up import segments
from tests.session.stores import put


def answered(store):
    """Puts six questions, of which four are answered, one twice, and one is repeated."""
    store.set_settings(replace(store.settings(), overlap=1 / 3))
    put(store, 6, is_audit=np.arange(6) == 1, objective=np.array([0, 1, 0, 0, 0, 0]))
    store.give("ann", 0, "left", response_time_s=1.5)
    store.give("bob", 1, "tie")
    store.give("ann", 2, "left")
    store.give("bob", 2, "right")
    store.give("ann", 3, "skip")
    store.give("bob", 3, "skip")
    store.put_repeat(0, session=4, policy_step=0)
    store.give("ann", 6, "right")
    return store


COLUMNS = ("question", "annotator", "p_left", "session", "objective", "is_audit", "is_repeat")


def rows(dataset):
    columns = [getattr(dataset, name).tolist() for name in (*COLUMNS, "source")]
    return sorted(map(str, zip(*columns, strict=True)))


def test_a_row_is_an_answer_and_a_repeat_says_of_which(store, tmp_path):
    answered(store).export(tmp_path / "answers.npz", env_id="Hopper-v4")
    read = prefrl.load_comparisons(tmp_path / "answers.npz")
    assert read.env_id == "Hopper-v4"
    assert read.question.tolist() == [0, 1, 2, 2, 3, 3, 0]
    assert read.annotator.tolist() == ["ann", "bob", "ann", "bob", "ann", "bob", "ann"]
    np.testing.assert_array_equal(read.p_left, [1, 0.5, 1, 0, np.nan, np.nan, 0])
    assert read.is_repeat.tolist() == [False] * 6 + [True]
    assert read.is_audit.tolist() == [False, True] + [False] * 5
    assert read.session.tolist() == [2] * 6 + [4]
    assert read.objective.tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert set(read.source.tolist()) == {"human"}
    left, right = (
        np.concatenate([b.observations for b in side]) for side in (read.left, read.right)
    )
    np.testing.assert_array_equal(left[0], store.question(0).left.observations[0])
    np.testing.assert_array_equal(left[6], right[0])


def test_an_export_of_no_answer_is_refused(store, tmp_path):
    assert len(store.dataset()) == 0
    with pytest.raises(DataError, match="there are no comparisons to save"):
        store.export(tmp_path / "answers.npz")


def test_what_was_exported_is_imported_once_however_often(store, tmp_path, opened):
    answered(store).export(tmp_path / "answers.npz")
    read = prefrl.load_comparisons(tmp_path / "answers.npz")
    other = opened(tmp_path / "other.sqlite")
    assert other.import_answers(read) == 7
    assert rows(other.dataset()) == rows(store.dataset())
    before, revision = other.answers(), other.revision()
    assert other.import_answers(read) == 0
    assert (other.answers(), other.revision()) == (before, revision)
    # Into the one that it comes from, too.
    assert store.import_answers(read) == 0
    states = [one.state for one in other.standings(with_repeats=True).values()]
    assert states == ["answered"] * 3 + ["skipped", "answered"]
    assert [one.name for one in other.annotators()] == ["ann", "bob"]
    assert other.annotator_of(other.renew_token("ann")).name == "ann"
    assert other.counts().spent == store.counts().spent == 3
    assert [q.id for q in put(other, 1, seed=7)] == [5]


def test_what_has_no_true_reward_comes_back_without_one(store, tmp_path, opened):
    unknown = np.full((2, 3), np.nan, np.float32)
    left, right = (replace(segments(2, seed=n), true_rewards=unknown) for n in (0, 1))
    store.put(left, right, session=0, policy_step=0)
    store.copy_to(tmp_path / "copy.sqlite")
    question = opened(tmp_path / "copy.sqlite").question(1)
    np.testing.assert_array_equal(question.left.observations, left[1].observations)
    assert np.isnan(question.left.true_rewards).all()


def test_answers_of_nobody_in_particular_and_shares_of_votes_are_taken_in(store):
    given = prefrl.PreferenceDataset(
        left=[segments(3)], right=[segments(3, seed=1)], p_left=[0.25, 1.0, np.nan]
    )
    assert store.import_answers(given) == 3
    assert [one.said for one in store.answers()] == ["", "left", "skip"]
    assert store.standings()[0].answer == Answer(0, 0.25)
    assert math.isnan(store.standings()[2].answer.p_left)
    assert store.dataset().source.tolist() == ["", "", ""]


def test_a_repeat_without_what_it_repeats_stays_a_repeat(store):
    given = prefrl.PreferenceDataset(
        left=[segments(1)], right=[segments(1, seed=1)], p_left=[1.0], is_repeat=[True],
        question=[40],
    )  # fmt: skip
    assert store.import_answers(given) == 1
    assert store.standings() == {}
    assert store.counts().spent == 0
    assert store.dataset().is_repeat.tolist() == [True]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "question 0 of the file is another one than question 0 in"),
        (
            {"left": [segments(2, length=5)], "right": [segments(2, length=5)]},
            r"\(5, 2, 1\), those",
        ),
        ({"question": [9, 9]}, "question 9 of the file"),
        ({"question": [-4, 9]}, "question holds -4; expected 0 or more"),
        ({"question": [8, 9], "annotator": ["a" * 99, ""]}, "the annotator's name is"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_taken_in(store, changed, said):
    answered(store)
    before, revision = store.answers(), store.revision()
    parts = {"left": [segments(2, seed=8)], "right": [segments(2, seed=9)], "p_left": [1.0, 0.0]}
    with pytest.raises(DataError, match=said):
        store.import_answers(prefrl.PreferenceDataset(**{**parts, **changed}))
    assert (store.answers(), store.revision()) == (before, revision)


def test_two_answers_of_one_person_to_one_question_are_refused(store):
    same = segments(1)[[0, 0]]
    given = prefrl.PreferenceDataset(
        left=[same], right=[same], p_left=[1.0, 0.0], question=[3, 3], annotator=["cid", "cid"]
    )
    with pytest.raises(
        DataError, match="question 3 of the file has two answers of annotator 'cid'"
    ):
        store.import_answers(given)


# ---- copies ---------------------------------------------------------------------------------


def everything(store):
    return (
        store.answers(),
        store.standings(with_repeats=True),
        store.annotators(),
        store.settings(),
        store.predictions(),
        store.status("curve"),
        store.revision(),
    )


def test_a_backup_is_a_store_with_everything_in_it(store, tmp_path, opened):
    token = answered(store).add_annotator("cid")
    key = store.add_clip(b"spec")
    store.put_clip(key, b"film", {"fps": 30})
    store.set_status("curve", [1, 2.5, None])
    store.set_predictions([1], [[0.5, 0.25]], model_version=3)
    store.lease("ann", 1, duration_s=60)
    store.backup(tmp_path / "backup.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["backup.sqlite"]
    copy = opened(tmp_path / "backup.sqlite")
    assert everything(copy) == everything(store)
    assert copy.annotator_of(token).name == "cid"
    assert copy.clip(key) == store.clip(key)
    for one, other in zip(copy.entries(), store.entries(), strict=True):
        np.testing.assert_array_equal(
            one.question.right.observations, other.question.right.observations
        )


def test_a_backup_replaces_nothing(store, tmp_path):
    for name in ("backup.sqlite", "backup.sqlite-wal"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(StorageError, match=f"{name} is there already; choose another name"):
            store.backup(tmp_path / "backup.sqlite")
        assert (tmp_path / name).read_text() == "precious"
        (tmp_path / name).unlink()
    with pytest.raises(StorageError, match="nowhere"):
        store.backup(tmp_path / "nowhere" / "backup.sqlite")


def test_a_backup_comes_back_to_a_database_of_either_kind(store, tmp_path, database, opened):
    answered(store).backup(tmp_path / "backup.sqlite")
    copy = opened(tmp_path / "backup.sqlite")
    copy.copy_to(database)
    restored = opened(database)
    assert everything(restored) == everything(store)
    assert [question.id for question in put(restored, 1, seed=5)] == [7]
    with pytest.raises(StorageError, match="holds questions already; choose another"):
        copy.copy_to(database)


def test_a_backup_is_of_one_moment_while_others_write(tmp_path, opened):
    store, other = (opened(tmp_path / "labels.sqlite") for _ in range(2))
    put(store, 20)
    is_over = threading.Event()

    def write():
        while not is_over.is_set():
            put(other, 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            store.backup(tmp_path / f"{number}.sqlite")
    finally:
        is_over.set()
        writer.join()
    for number in range(3):
        copy = opened(tmp_path / f"{number}.sqlite")
        # Each question that was put counted as one change; the first twenty as one together.
        assert len(copy.entries()) == copy.revision() + 19
