"""Gives questions their clips, as far as they can be shown."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prefrl.errors import DataError
from prefrl.feedback.protocols import Question
from prefrl.labelling.clips.spec import ClipSpec
from prefrl.segments import SegmentBatch

if TYPE_CHECKING:
    from prefrl.labelling.store import LabelStore


def give_clips(
    store: "LabelStore", questions: Sequence[Question], spec: Callable[[SegmentBatch], ClipSpec]
) -> None:
    """Describes the clips of questions to whoever renders them.

    A question that cannot be shown any more is withdrawn: pictures are kept within a bound, and
    may be lost.

    Args:
        store: has the questions.
        questions: those that are about to be shown.
        spec: describes the clip of one segment.
    """
    for question in questions:
        try:
            left, right = (spec(side).to_bytes() for side in (question.left, question.right))
        except DataError:
            store.withdraw([question.id])
            continue
        store.add_clips(question.id, left, right)
