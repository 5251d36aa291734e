"""Stores that several annotators answer in, each kind of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.session.question_files import FileQuestions
from prefrl.session.questions import MemoryQuestions
from tests.session.stores import Clock

PEOPLE = ("ann", "bob", "cyd")


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Args:
        make: makes an empty one in a folder, by a clock, for so many of `PEOPLE`; half of its
            questions want two answers, the second one, the fourth, and so on.
        reopened: opens one again, as another process does after a kill.
    """

    make: Callable[[Path, Clock, int], Any]
    reopened: Callable[[Any], Any]


IN_PROCESS = {
    "memory": Kind(
        lambda folder, clock, num: MemoryQuestions(clock=clock, overlap=0.5, num_annotators=num),
        lambda store: store,
    ),
    "file": Kind(
        lambda folder, clock, num: FileQuestions(
            clock=clock, overlap=0.5, num_annotators=num, folder=folder / "questions"
        ),
        lambda store: FileQuestions(
            clock=store.clock,
            overlap=store.overlap,
            num_annotators=store.num_annotators,
            folder=store.folder,
        ),
    ),
}


def in_sql(new_database: Callable[[], Any], opened: list[LabelStore]) -> Kind:
    """Returns the kind that keeps questions in databases.

    Args:
        new_database: names a database that holds nothing.
        opened: every store that was opened is put into it, for whoever closes them.
    """

    def open_(database: Any, clock: Any) -> LabelStore:
        opened.append(LabelStore(database, clock=clock))
        return opened[-1]

    def make(folder: Path, clock: Clock, num: int) -> LabelStore:
        store = open_(new_database(), clock)
        store.set_settings(StoreSettings(overlap=0.5, needs_clips=False))
        for name in PEOPLE[:num]:
            store.add_annotator(name)
            store.renew(name)  # They are there, so what they skip is kept for the others.
        return store

    def reopened(store: LabelStore) -> LabelStore:
        store.close()
        return open_(store.url, store.clock)

    return Kind(make, reopened)


def repeat(questions: Any, number: int) -> int:
    """Puts a question again; returns the id that it has then."""
    again: int = questions.put_repeat(number, session=3, policy_step=600).id
    return again


def leased(questions: Any, holder: str, count: int = 9, duration_s: float = 60.0) -> list[int]:
    """Leases questions; returns their ids."""
    return [question.id for question in questions.lease(holder, count, duration_s=duration_s)]


def said(questions: Any, number: int) -> dict[str, float]:
    """Returns each annotator's answer to a question, by name."""
    return {one.annotator: one.p_left for one in questions.answers() if one.question == number}
