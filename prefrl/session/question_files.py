"""Questions in a folder: segments in a file a batch, and one file that says how each stands."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError, StorageError, with_type
from prefrl.feedback.archive import read_arrays, write_arrays
from prefrl.feedback.protocols import Answer, Question
from prefrl.records.files import reason, write_atomically, write_text_atomically
from prefrl.segments import SegmentBatch
from prefrl.session.questions import STATES, MemoryQuestions, Standing

FORMAT_VERSION = 1
STANDINGS = "standings.json"

_SIDES = ("left", "right")
_COLUMNS = ("id", "session", "policy_step", "objective", "is_audit")


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
        return sorted(path for path in self.folder.glob("*.npz") if path.stem.isdigit())

    def _read_standings(self) -> dict[int, Standing]:
        path = self.folder / STANDINGS
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            if (version := tree["version"]) != FORMAT_VERSION:
                raise StorageError(
                    f"{path} has format version {version}; this prefrl reads {FORMAT_VERSION}"
                )
            rows = sorted(tree["questions"], key=lambda row: row["id"])
            return {int(row["id"]): _standing(row) for row in rows}
        except FileNotFoundError:
            # A kill may have come between the first batch's segments and the file itself.
            if len(self._batch_files()) > 1:
                raise StorageError(f"{self.folder} is damaged: {STANDINGS} is missing") from None
            return {}
        except OSError as error:
            raise StorageError(f"could not read {path}: {reason(error)}") from None
        except (ValueError, TypeError, LookupError, AttributeError, DataError) as error:
            raise StorageError(f"{path} is damaged: {with_type(error)}") from None

    def _commit(self, changed: dict[int, Standing], added: Sequence[Question] = ()) -> None:
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


def _row(number: int, standing: Standing) -> dict[str, Any]:
    """Returns what `standings.json` says of a question; a skip has no `p_left`."""
    row: dict[str, Any] = {"id": number, "state": standing.state}
    if standing.holder:
        row |= {"holder": standing.holder, "leased_until_s": standing.leased_until_s}
    if (answer := standing.answer) is not None:
        row |= {"p_left": None if answer.is_skip else answer.p_left}
        row |= {"annotator": answer.annotator, "answered_s": answer.answered_s}
    return row


def _standing(row: dict[str, Any]) -> Standing:
    state, answer = row["state"], None
    if state not in STATES:
        raise DataError(f"{state!r} is no state of a question")
    if state in ("answered", "skipped"):
        p_left = float("nan") if row["p_left"] is None else float(row["p_left"])
        answer = Answer(int(row["id"]), p_left, str(row["annotator"]), row["answered_s"])
        if answer.is_skip != (state == "skipped"):
            raise DataError(f"question {row['id']} is {state}, but its p_left is {p_left}")
    return Standing(state, str(row.get("holder", "")), row.get("leased_until_s", 0.0), answer)


def _arrays(questions: Sequence[Question]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"format_version": np.array(FORMAT_VERSION)}
    for name in _COLUMNS:
        arrays[name] = np.array([getattr(question, name) for question in questions])
    for side in _SIDES:
        batch = SegmentBatch.concatenate([getattr(question, side) for question in questions])
        arrays |= {f"{side}_{f.name}": getattr(batch, f.name) for f in fields(SegmentBatch)}
    return arrays


def _read_batch(path: Path) -> list[Question]:
    arrays = read_arrays(path)
    try:
        if (version := int(arrays["format_version"])) != FORMAT_VERSION:
            raise StorageError(
                f"{path} has format version {version}; this prefrl reads {FORMAT_VERSION}"
            )
        left, right = (
            SegmentBatch(**{f.name: arrays[f"{side}_{f.name}"] for f in fields(SegmentBatch)})
            for side in _SIDES
        )
        columns = zip(*(arrays[name].tolist() for name in _COLUMNS), strict=True)
        return [
            Question(number, left[row], right[row], *rest)
            for row, (number, *rest) in enumerate(columns)
        ]
    except (KeyError, ValueError, TypeError, IndexError, DataError) as error:
        raise StorageError(
            f"{path} holds no questions, or is damaged: {with_type(error)}"
        ) from None
