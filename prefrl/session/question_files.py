"""Questions in a folder: segments in a file a batch, and one file that says how each stands."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, StorageError, text_of
from prefrl.feedback.protocols import Answer, Question
from prefrl.records.archive import read_arrays, write_arrays
from prefrl.records.files import reason, write_atomically, write_text_atomically
from prefrl.records.json_file import entry, read_json_object
from prefrl.segments import SegmentBatch
from prefrl.segments.stored import check_arrays, segments_of
from prefrl.session.question_store import PENDING, STATES
from prefrl.session.questions import MemoryQuestions
from prefrl.session.told_standing import ToldStanding

# 1 had one answer a question, whose entries stood beside the state.
FORMAT_VERSION = 2
STANDINGS = "standings.json"

_SIDES = ("left", "right")
_COLUMNS = ("id", "session", "policy_step", "objective", "is_audit")
# Those of version 1 have not got these.
_LATER_COLUMNS = {"repeat_of": -1}
_COLUMN_KINDS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    name: ("b" if name == "is_audit" else "iu", (None,)) for name in (*_COLUMNS, *_LATER_COLUMNS)
}


@dataclass
class FileQuestions(MemoryQuestions):
    """Keeps questions in a folder, for one process at a time; a kill at any moment loses nothing.

    `standings.json` makes a change real: it is rewritten atomically at each one. A batch of new
    questions has its segments on disk before that, in a file named by its first id and never
    written again; one that `standings.json` does not know of was never put.

    Args:
        folder: made when the first question is put.

    Raises:
        StorageError: a file in it is damaged, missing or of another version; it is named.
    """

    folder: Path = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        standings = self._read_standings()
        for path in self._batch_files():
            if int(path.stem) in standings:
                for question in _read_batch(path):
                    self._known[question.id] = question
        if missing := sorted(standings.keys() - self._known.keys()):
            raise StorageError(
                f"{self.folder} is damaged: the segments of question {missing[0]} are missing"
            )
        self._known = {number: self._known[number] for number in standings}
        self._standing = standings

    def _batch_files(self) -> list[Path]:
        return sorted(
            path for path in self.folder.glob("*.npz") if re.fullmatch(r"[0-9]+", path.stem)
        )

    def _read_standings(self) -> dict[int, ToldStanding]:
        path = self.folder / STANDINGS
        if not path.exists():
            # A kill may have come between the first batch's segments and the file itself.
            if len(self._batch_files()) > 1:
                raise StorageError(f"{self.folder} is damaged: {STANDINGS} is missing")
            return {}
        tree = read_json_object(path)
        _check_version(path, tree.get("version"))
        try:
            found: dict[int, ToldStanding] = {}
            for row in entry(tree, "questions", list):
                if not isinstance(row, dict):
                    raise ValueError("one of its questions is no mapping")
                number = entry(row, "id", int)
                if number in found or not 0 <= number < 2**63:
                    raise ValueError(f"question {number} is in it twice, or is no such number")
                found[number] = _standing(number, row)
            return dict(sorted(found.items()))
        except (ValueError, DataError) as error:
            raise StorageError(f"{path} is damaged: {text_of(error)}") from None

    def _commit(self, changed: dict[int, ToldStanding], added: Sequence[Question] = ()) -> None:
        if not changed:
            return
        rows = [_row(number, one) for number, one in {**self._standing, **changed}.items()]
        text = json.dumps({"version": FORMAT_VERSION, "questions": rows}, allow_nan=False)
        if added:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"could not make {self.folder}: {reason(error)}") from None
            arrays = _arrays(added)
            path = self.folder / f"{added[0].id:08d}.npz"
            write_atomically(path, lambda file: write_arrays(file, arrays))
        write_text_atomically(self.folder / STANDINGS, text + "\n")
        super()._commit(changed, added)


def _check_version(path: Path, version: Any) -> None:
    if version not in range(1, FORMAT_VERSION + 1):
        raise StorageError(
            f"{path} has format version {version}; this prefrl reads up to {FORMAT_VERSION}"
        )


def _row(number: int, standing: ToldStanding) -> dict[str, Any]:
    """Returns what `standings.json` says of a question; a skip has no `p_left`."""
    row: dict[str, Any] = {"id": number, "state": standing.state}
    if standing.leases:
        row["leases"] = dict(standing.leases)
    if standing.wanted != 1:
        row["wanted"] = standing.wanted
    if standing.answers:
        row["answers"] = [
            {
                "p_left": None if answer.is_skip else answer.p_left,
                "annotator": answer.annotator,
                "answered_s": answer.answered_s,
                **({"source": answer.source} if answer.source else {}),
            }
            for answer in standing.answers
        ]
    return row


def _standing(number: int, row: dict[str, Any]) -> ToldStanding:
    """Returns the standing that a row tells of.

    Raises:
        ValueError: a part of it is missing, or of another kind or range; it is named.
        DataError: an answer is none.
    """
    state = entry(row, "state", str)
    if state not in STATES:
        raise ValueError(f"{state!r} is no state of a question")
    given = {"answers": [row] if "p_left" in row else [], **row}
    answers = tuple(_answer(number, one) for one in entry(given, "answers", list))
    if len({answer.annotator for answer in answers}) < len(answers):
        raise ValueError(f"somebody has answered question {number} twice")
    standing = ToldStanding(
        answers=answers, wanted=entry({"wanted": 1, **row}, "wanted", int), leases=_leases(row)
    )
    has_told, has_answers = standing.num_told > 0, bool(answers)
    expected = {"answered": has_told, "skipped": has_answers and not has_told}
    if state not in PENDING and not expected.get(state, not has_told):
        said = ", ".join(str(answer.p_left) for answer in answers) or "not there"
        raise ValueError(f"question {number} is {state}, but its p_left is {said}")
    return standing.in_state("open" if state == "leased" else state)


def _leases(row: dict[str, Any]) -> dict[str, float]:
    if "holder" in row:  # There was one at most, and a question that had it was "leased".
        until_s = entry(row, "leased_until_s", (int, float))
        return {entry(row, "holder", str): float(until_s)}
    leases = entry({"leases": {}, **row}, "leases", dict)
    return {name: float(entry(leases, name, (int, float))) for name in leases}


def _answer(number: int, row: Any) -> Answer:
    if not isinstance(row, dict):
        raise ValueError(f"an answer to question {number} is no mapping")
    said = entry(row, "p_left", (int, float, type(None)))
    when = entry(row, "answered_s", (int, float, type(None)))
    return Answer(
        number,
        math.nan if said is None else float(said),
        entry(row, "annotator", str),
        None if when is None else float(when),
        entry({"source": "", **row}, "source", str),
    )


def _arrays(questions: Sequence[Question]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"format_version": np.array(FORMAT_VERSION)}
    for name in _COLUMNS:
        arrays[name] = np.array([getattr(question, name) for question in questions])
    first_ones = [question.repeat_of for question in questions]
    arrays["repeat_of"] = np.array([-1 if number is None else number for number in first_ones])
    for side in _SIDES:
        batch = SegmentBatch.concatenate([getattr(question, side) for question in questions])
        arrays |= {f"{side}_{f.name}": getattr(batch, f.name) for f in fields(SegmentBatch)}
    return arrays


def _read_batch(path: Path) -> list[Question]:
    arrays = read_arrays(path, "questions")
    names = ["format_version", *_COLUMNS]
    names += [f"{side}_{f.name}" for side in _SIDES for f in fields(SegmentBatch)]
    if missing := [name for name in names if name not in arrays]:
        raise StorageError(f"{path} holds no questions: it lacks {missing[0]}")
    try:
        num = len(arrays["id"]) if arrays["id"].ndim else 0
        later = {name: np.full(num, usual) for name, usual in _LATER_COLUMNS.items()}
        arrays = {**later, **arrays}
        check_arrays(arrays, {"format_version": ("iu", ()), **_COLUMN_KINDS})
        _check_version(path, int(arrays["format_version"]))
        if any(len(arrays[name]) != num for name in _COLUMN_KINDS):
            raise DataError("its columns are not equally long")
        left, right = (_segments(arrays, side, num) for side in _SIDES)
        columns = zip(*(arrays[name].tolist() for name in _COLUMN_KINDS), strict=True)
        rows = [(*row, None if first < 0 else first) for *row, first in columns]
        return [
            Question(number, left[row], right[row], *rest)
            for row, (number, *rest) in enumerate(rows)
        ]
    except DataError as error:
        raise StorageError(f"{path} is damaged: {text_of(error)}") from None


def _segments(arrays: Mapping[str, NDArray[Any]], side: str, num: int) -> SegmentBatch:
    own = {f.name: arrays[f"{side}_{f.name}"] for f in fields(SegmentBatch)}
    batch = segments_of(own, is_reward_known=False)
    if len(batch) != num:
        raise DataError(f"it has {len(batch)} {side} segments, but {num} questions")
    return batch
