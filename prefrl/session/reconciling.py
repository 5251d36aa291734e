"""A dataset is brought to what a store of questions says.

Axes: B new answers.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Question
from prefrl.segments import SegmentBatch
from prefrl.session.question_store import GivenAnswer

Key = tuple[int, str]
"""A question's id, and who has answered it: there is one row for each."""


@dataclass(frozen=True)
class Changes:
    """The differences of a store from a dataset.

    Args:
        replaced: row -> the answer that it has now.
        gone: rows whose answers were taken back.
        new: answers that have no row.
    """

    replaced: dict[int, GivenAnswer]
    gone: list[int]
    new: list[GivenAnswer]

    def __len__(self) -> int:
        return len(self.replaced) + len(self.gone) + len(self.new)


def changes_of(
    dataset: PreferenceDataset,
    answers: Sequence[GivenAnswer],
    *,
    put: Collection[int],
    first: Sequence[GivenAnswer] = (),
) -> Changes:
    """Compares a dataset with a store.

    Args:
        dataset: of rows that may be about other questions, too; those stay as they are.
        answers: all that the store has, repeats left out.
        put: ids of the questions in the store.
        first: those of the new ones that come first, in that order.
    """
    keys = zip(dataset.question.tolist(), dataset.annotator.tolist(), strict=True)
    rows: dict[Key, int] = {key: row for row, key in enumerate(keys) if key[0] in put}
    said = dataset.p_left.tolist()
    given = {_key(answer): answer for answer in answers}
    new = {key: answer for key, answer in given.items() if key not in rows}
    replaced = {
        row: given[key]
        for key, row in rows.items()
        if key in given and not _is_same(said[row], given[key].p_left)
    }
    gone = {key: row for key, row in rows.items() if key not in given}
    for key, row in list(gone.items()):
        # Who has another name by now, or none, has said what they said.
        same = [k for k in new if k[0] == key[0] and _is_same(said[row], new[k].p_left)]
        if same:
            replaced[row] = new.pop(same[0])
            del gone[key]
    come_first = [_key(answer) for answer in first if _key(answer) in new]
    in_order = dict.fromkeys([*come_first, *new])
    return Changes(replaced, sorted(gone.values()), [new[key] for key in in_order])


def apply(
    dataset: PreferenceDataset,
    changes: Changes,
    *,
    session: int,
    question: Callable[[int], Question],
    rng: np.random.Generator,
) -> None:
    """Makes a dataset say what its store says; rows that stay keep their order and their split.

    Args:
        dataset: changed in place.
        changes: of this dataset.
        session: the round of queries that new answers count for.
        question: returns a question by its id.
        rng: draws which of the new answers are held out.
    """
    for row, answer in changes.replaced.items():
        if math.isnan(dataset.p_left[row]):
            # A skip was drawn for neither side; all answers to a question are on the same one.
            others = (dataset.question == answer.question) & ~np.isnan(dataset.p_left)
            dataset.is_validation[row] = bool((dataset.is_validation & others).any())
        dataset.p_left[row] = answer.p_left
        dataset.annotator[row] = answer.annotator
        dataset.source[row] = answer.source
    dataset.remove(changes.gone)
    if not changes.new:
        return
    asked = [question(answer.question) for answer in changes.new]
    dataset.add(
        SegmentBatch.concatenate([one.left for one in asked]),
        SegmentBatch.concatenate([one.right for one in asked]),
        [answer.p_left for answer in changes.new],
        session=session,
        rng=rng,
        is_audit=[one.is_audit for one in asked],
        objective=[one.objective for one in asked],
        question=[one.id for one in asked],
        annotator=[answer.annotator for answer in changes.new],
        source=[answer.source for answer in changes.new],
    )


def _key(answer: GivenAnswer) -> Key:
    return answer.question, answer.annotator


def _is_same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
