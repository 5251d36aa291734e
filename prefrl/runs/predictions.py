"""Predictions of the questions that are put, head by head, for whoever owns the run.

Axes: B questions, K heads.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefrl.feedback.protocols import Question
from prefrl.rewards import RewardTrainer
from prefrl.segments import SegmentBatch

if TYPE_CHECKING:
    from prefrl.labelling.store import LabelStore


class NotedPredictions:
    """Notes in a store what a reward model's heads predict of questions, before they are answered.

    Args:
        store: of the questions.
        trainer: of the reward model.
        num_fits: how often it was fitted so far: the number is its version.
    """

    def __init__(self, store: "LabelStore", trainer: RewardTrainer, num_fits: int) -> None:
        self._store = store
        self._trainer = trainer
        self.num_fits = num_fits

    def note(self, questions: Sequence[Question]) -> None:
        """Notes each head's chance of "left"; nothing, before the first fit and of repeats."""
        new = [question for question in questions if question.repeat_of is None]
        if not new or not self._trainer.is_fitted:
            return
        left, right = (
            SegmentBatch.concatenate([getattr(question, side) for question in new])
            for side in ("left", "right")
        )
        self._store.set_predictions(
            [question.id for question in new],
            self._trainer.preference_by_head(left, right),
            model_version=self.num_fits,
        )
