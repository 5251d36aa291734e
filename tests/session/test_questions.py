"""Questions on disk, killed and opened again at will; what every store does is in contracts."""

import json
import math
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.errors import DataError, StorageError
from prefrl.feedback.protocols import Answer, Question
from prefrl.segments import SegmentBatch
from prefrl.session.question_files import FileQuestions
from tests.session.made_up import segments
from tests.session.stores import Clock, put, states


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.inf])
def test_an_answer_out_of_range_is_refused(wrong):
    with pytest.raises(DataError, match=r"answer to question 3 is .*; expected 1 \(left\)"):
        Answer(3, wrong)


def test_a_question_has_one_segment_a_side():
    with pytest.raises(DataError, match="left of question 4 has 2 segments; expected 1"):
        Question(4, segments(2), segments(1))


# ---- on disk --------------------------------------------------------------------------------


def reopened(questions):
    return FileQuestions(clock=questions.clock, folder=questions.folder)


@pytest.fixture
def kept(tmp_path, clock):
    return FileQuestions(clock=clock, folder=tmp_path / "questions")


def test_nothing_is_written_before_the_first_question(kept):
    assert kept.entries() == []
    assert not kept.folder.exists()


def test_all_of_it_is_there_again_after_a_restart(kept, clock):
    put(kept, 4, is_audit=np.array([True, False, False, False]), objective=np.full(4, 1))
    put(kept, 1, seed=7)
    kept.lease("ann", 1, duration_s=60)
    kept.answer([Answer(1, 0.5, "bob", 12.5), Answer(2, math.nan)])
    kept.withdraw([4])
    again = reopened(kept)
    assert states(again) == ["leased", "answered", "skipped", "open", "withdrawn"]
    for one, other in zip(kept.entries(), again.entries(), strict=True):
        assert one.standing.state == other.standing.state
        assert one.standing.holder == other.standing.holder
        for name in ("id", "session", "policy_step", "objective", "is_audit"):
            assert getattr(one.question, name) == getattr(other.question, name)
        for side in ("left", "right"):
            for f in fields(SegmentBatch):
                mine, theirs = (getattr(getattr(e.question, side), f.name) for e in (one, other))
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)
    assert again.entries("answered")[0].standing.answer == Answer(1, 0.5, "bob", 12.5)
    assert [question.id for question in put(again, 1)] == [5]


def test_what_has_no_true_reward_comes_back_without_one(kept):
    unknown = np.full((2, 3), np.nan, np.float32)
    left, right = (replace(segments(2, seed=n), true_rewards=unknown) for n in (0, 1))
    kept.put(left, right, session=0, policy_step=0)
    assert np.isnan(reopened(kept).question(1).left.true_rewards).all()


@pytest.mark.parametrize("at_write", [0, 1])
def test_a_kill_while_questions_are_put_leaves_what_was_there(kept, monkeypatch, at_write):
    put(kept, 2)
    writes = []

    def replace(self, target):
        writes.append(target)
        if len(writes) > at_write:
            raise KeyboardInterrupt
        return real(self, target)

    real = Path.replace
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        put(kept, 3, seed=4)
    monkeypatch.undo()
    assert states(reopened(kept)) == ["open", "open"]
    again = reopened(kept)
    assert [question.id for question in put(again, 1, seed=9)] == [2]
    assert reopened(again).entries()[2].question.left.episode.tolist() == [9_000]


def test_a_disk_that_is_full_changes_nothing(kept, monkeypatch):
    put(kept, 2)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        kept.answer([Answer(0, 1.0)])
    with pytest.raises(StorageError, match="No space left on device"):
        put(kept, 1)
    monkeypatch.undo()
    assert states(kept) == states(reopened(kept)) == ["open", "open"]


def test_another_version_is_refused(kept):
    put(kept, 1)
    path = kept.folder / "standings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 3}))
    with pytest.raises(StorageError, match="has format version 3; this prefrl reads up to 2"):
        reopened(kept)


def test_a_folder_of_before_questions_had_several_answers_is_read(kept):
    put(kept, 3, is_audit=np.array([False, True, False]))
    kept.answer([Answer(0, 0.5, "ann", 12.5), Answer(1, math.nan)])
    path = kept.folder / "standings.json"
    tree = json.loads(path.read_text())
    for row in tree["questions"]:
        for answer in row.pop("answers", []):
            row |= answer
    path.write_text(json.dumps({**tree, "version": 1}))
    batch = kept.folder / "00000000.npz"
    with np.load(batch) as arrays:
        old = {name: arrays[name] for name in arrays if name != "repeat_of"}
    np.savez(batch, **{**old, "format_version": np.array(1)})
    again = reopened(kept)
    assert again.standings() == kept.standings()
    assert str(again.entries()) == str(kept.entries())


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("standings.json", lambda raw: raw[:40], "standings.json is damaged"),
        ("standings.json", lambda raw: b"[]", "standings.json is damaged"),
        ("standings.json", lambda raw: raw.replace(b"open", b"opaque"), "'opaque' is no state"),
        ("standings.json", lambda raw: raw.replace(b"open", b"answered"), "p_left is not there"),
        ("00000000.npz", lambda raw: raw[:-50], "00000000.npz"),
        ("00000000.npz", lambda raw: b"", "00000000.npz is damaged"),
    ],
)
def test_a_damaged_file_is_named(kept, name, damage, said):
    put(kept, 2)
    path = kept.folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=said):
        reopened(kept)


def test_missing_files_are_missed(kept):
    put(kept, 2)
    put(kept, 1)
    (kept.folder / "00000002.npz").rename(kept.folder / "elsewhere")
    with pytest.raises(StorageError, match="the segments of question 2 are missing"):
        reopened(kept)
    (kept.folder / "elsewhere").rename(kept.folder / "00000002.npz")
    (kept.folder / "standings.json").unlink()
    with pytest.raises(StorageError, match=r"standings.json is missing"):
        reopened(kept)


def test_answers_are_plain_numbers_whatever_they_were_made_of(tmp_path):
    questions = FileQuestions(folder=tmp_path)
    put(questions, 2)
    numbers: list[tuple[Any, Any]] = [
        (np.int64(0), np.float32(1.0)),
        (np.uint8(1), np.bool_(False)),
    ]
    given = [Answer(question, p_left) for question, p_left in numbers]
    assert len(questions.answer(given)) == 2
    said = [entry.standing.answer for entry in FileQuestions(folder=tmp_path).entries("answered")]
    assert said == [Answer(0, 1.0), Answer(1, 0.0)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"p_left": "left"}, "the answer to question 3 is 'left'; expected 1"),
        ({"p_left": None}, "the answer to question 3 is None; expected 1"),
        ({"annotator": None}, "annotator of the answer to question 3 is None; expected text"),
        ({"answered_s": math.nan}, "answered_s of the answer to question 3 is nan"),
        ({"answered_s": "noon"}, "answered_s of the answer to question 3 is 'noon'"),
    ],
)
def test_an_answer_that_no_file_could_hold_is_refused(settings, said):
    with pytest.raises(DataError, match=said):
        Answer(3, **{"p_left": 1.0, **settings})
