"""People who answer in a store of their own accord, and whoever asks them."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Answer
from prefrl.queries import Uniform
from prefrl.seeding import Streams
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource
from prefrl.testing import made_up
from prefrl.testing.made_up import LinearPredictor

SKIP = math.nan
PEOPLE = ("ann", "bob", "cyd")


class InTheStore:
    """Hands nothing on, and brings nothing back, but what is put into `arrived`."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.arrived: list[Answer] = []

    def ask(self, questions: Any) -> None:
        self.asked += [question.id for question in questions]

    def collect(self) -> list[Answer]:
        arrived, self.arrived = self.arrived, []
        return arrived


def asker_of(
    questions: Any,
    *,
    path: Path | None = None,
    num_segments: int = 60,
    audit_share: float = 0.0,
    **options: Any,
) -> Asker:
    """Asks about made-up segments, and goes on with what is in the file, where there is one."""
    chooser = Chooser(
        source=FixedSource(made_up.segments(num_segments, rng=np.random.default_rng(0)), size=60),
        strategy=Uniform(),
        predictor=LinearPredictor(),
        streams=Streams(0),
        audit_share=audit_share,
    )
    dataset = PreferenceDataset(0.3)
    if path is not None and path.exists():
        dataset = PreferenceDataset.load(path, validation_fraction=0.3)
    return Asker(
        chooser, InTheStore(), dataset, path=path, questions=questions, num_observed=10, **options
    )


def rows_of(dataset: PreferenceDataset) -> dict[tuple[int, str], str]:
    """Returns the answer of each row by its question and annotator; there is one row for each."""
    keys = list(zip(dataset.question.tolist(), dataset.annotator.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, map(str, dataset.p_left.tolist()), strict=True))
