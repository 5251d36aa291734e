"""Answers of people in a run's store of labels: summed up, and taken out with who gave them."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prefrl.errors import DataError, StorageError, choices, option, shown
from prefrl.feedback.interchange import load_comparisons
from prefrl.records import run_folder
from prefrl.records.files import claimed, is_there, write_text_atomically
from prefrl.records.json_file import read_json_object
from prefrl.runs.serving import check_installed, open_store, read_serving
from prefrl.session.reconciling import Changes, apply, changes_of

if TYPE_CHECKING:
    from prefrl.labelling.statistics import LabellingStatistics
    from prefrl.labelling.store import LabelStore


@contextlib.contextmanager
def store_of(folder: Path, database: str | None = None) -> Iterator["LabelStore"]:
    """Opens the store of a run whose questions people answer.

    Args:
        folder: of the run.
        database: its URL, where the folder does not say it, password and all.

    Raises:
        PrefrlError: the folder has none, or it cannot be reached; the line says which.
    """
    check_installed()
    kept = read_serving(folder)
    if not is_there(folder):
        raise StorageError(f"there is no folder {folder}")
    if kept is None:
        answers = folder / run_folder.COMPARISONS
        where = f"; its answers are in {answers}" if is_there(answers) else ""
        raise StorageError(f"{folder} is no run whose questions people answer{where}")
    with contextlib.closing(open_store(folder, database, kept=kept)) as store:
        yield store


def statistics_of(store: "LabelStore") -> "LabellingStatistics":
    """Returns who answered, how fast, and how much they agree, with the reward model as well."""
    from prefrl.labelling.statistics import labelling_statistics

    p_left = {number: one.p_left for number, one in store.predictions().items()}
    return labelling_statistics(store.answers(), p_left=p_left)


def check_annotator(store: "LabelStore", name: str, *, with_answers: bool) -> int:
    """Returns how many answers an annotator has given, skips as well.

    Args:
        store: of a run.
        name: of the annotator, or the one under which answers of somebody stayed.
        with_answers: the answers are to be removed, which can be done later, too.

    Raises:
        DataError: there is no such annotator; it says which there are.
    """
    names = [one.name for one in store.annotators()]
    said = [one.annotator for one in store.answers()]
    removed = [one for one in dict.fromkeys(said) if one not in names]
    if name in removed and not with_answers:
        raise DataError(
            f"{shown(name)} is nobody's name any more; {option('with_answers')} removes the "
            "answers, too"
        )
    if name not in [*names, *removed]:
        valid = [*names, *removed] if with_answers else names
        there = choices(name, valid) if valid else "there is none"
        raise DataError(f"there is no annotator {shown(name)}; {there}")
    return said.count(name)


def delete_annotator(folder: Path, store: "LabelStore", name: str, *, with_answers: bool) -> bool:
    """Removes an annotator's name and token, and their answers where that is wanted.

    The run's file of answers and its summary follow. Of a run that is at work they do so by
    themselves: it looks at the store before it learns anything more.

    Args:
        folder: of the run.
        store: its store.
        name: of the annotator.
        with_answers: their answers are removed as well; else they stay, under a name that says
            nothing.

    Returns:
        whether the files have followed.

    Raises:
        DataError: there is no such annotator.
        StorageError: a file could not be read or written.
    """
    check_annotator(store, name, with_answers=with_answers)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claimed(folder))
        except StorageError:
            store.revoke(name, with_answers=with_answers)
            return False
        store.revoke(name, with_answers=with_answers)
        _follow(folder / run_folder.COMPARISONS, store)
        _sum_up(folder / run_folder.SUMMARY, store)
    return True


def _follow(path: Path, store: "LabelStore") -> None:
    """Takes what is no longer in the store out of a file of answers, names too."""
    if not is_there(path):
        return
    dataset = load_comparisons(path)
    first_ones = store.standings()
    answers = [one for one in store.answers() if one.question in first_ones]
    changes = changes_of(dataset, answers, put=first_ones.keys())
    changes = Changes(changes.replaced, changes.gone, [])
    if changes:
        rng = np.random.default_rng(0)  # Nothing is drawn, as nothing is new.
        apply(dataset, changes, session=0, question=store.question, rng=rng)
        dataset.save(path)


def _sum_up(path: Path, store: "LabelStore") -> None:
    """Sums up anew who has answered, where a run's summary says so."""
    if not is_there(path):
        return
    summary: Mapping[str, Any] = read_json_object(path)
    if "labelling" in summary:
        told = {**summary, "labelling": dataclasses.asdict(statistics_of(store))}
        write_text_atomically(path, json.dumps(told, indent=2) + "\n")
