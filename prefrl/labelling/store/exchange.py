"""Answers in the interchange layout, and copies of a whole database."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from prefrl import arguments
from prefrl.arguments import instance, optional
from prefrl.errors import DataError, StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.protocols import Question
from prefrl.labelling.store.annotators import add_without_token
from prefrl.labelling.store.asking import insert_questions, next_id
from prefrl.labelling.store.database import Database
from prefrl.labelling.store.listing import GIVEN, Listing
from prefrl.labelling.store.migration import bring_up_to_date
from prefrl.labelling.store.schema import answers, metadata, questions
from prefrl.labelling.store.standing import bump, end_lease, num_votes
from prefrl.records.files import beside, reason
from prefrl.segments import SegmentBatch

_ROWS_AT_ONCE = 100
_SAME = ("observations", "actions", "episode", "start", "length")


class Exchange(Listing):
    """Exports and imports answers, and copies the database."""

    def dataset(self, *, env_id: str | None = None) -> PreferenceDataset:
        """Returns every answer as it stands now, skips too: a row an answer.

        A repeat has the sides that were shown, the number of the question that it repeats, and
        `is_repeat`.

        Args:
            env_id: of the environment that the segments are from.
        """
        optional("env_id", env_id, str)
        with self._database.reading() as connection:
            rows = list(connection.execute(GIVEN))
            known = self._questions(connection, rows)
        if not rows:
            return PreferenceDataset(env_id=env_id)
        return PreferenceDataset(
            left=[question.left for question in known],
            right=[question.right for question in known],
            env_id=env_id,
            p_left=[np.nan if row.p_left is None else row.p_left for row in rows],
            session=[row.session for row in rows],
            objective=[row.objective for row in rows],
            question=[row.id if row.repeat_of is None else row.repeat_of for row in rows],
            annotator=[row.annotator for row in rows],
            is_audit=[row.is_audit for row in rows],
            is_repeat=[row.repeat_of is not None for row in rows],
            source=[row.source for row in rows],
        )

    def export(
        self, path: Path | str, *, env_id: str | None = None, is_compact: bool = False
    ) -> None:
        """Writes every answer into a file in the interchange layout, atomically; see `dataset`.

        Raises:
            StorageError: the file could not be written; what was there before is untouched.
            DataError: there are no answers.
        """
        self.dataset(env_id=env_id).save(path, is_compact=is_compact)

    def import_answers(self, dataset: PreferenceDataset) -> int:
        """Takes in answers, their questions, and who gave them; it is safe to repeat.

        Questions keep their numbers. An answer that is there already stands. Annotators that are
        new have no token until `renew_token` gives them one.

        Args:
            dataset: answers, as `prefrl.load_comparisons` reads them.

        Returns:
            how many answers are new.

        Raises:
            DataError: a question of that number is here already, and is another one; or the
                segments are of other dims. Nothing is taken in.
        """
        if not len(instance("dataset", dataset, PreferenceDataset)):
            return 0
        left = SegmentBatch.concatenate(dataset.left)
        right = SegmentBatch.concatenate(dataset.right)
        with self._database.writing() as connection:
            number_of = self._import_questions(connection, dataset, left, right)
            now_s = self.clock()
            for name in dict.fromkeys(dataset.annotator.tolist()):
                if name:
                    add_without_token(connection, name, now_s)
            _check_each_answers_once(dataset, number_of)
            num_new = 0
            for row in range(len(dataset)):
                num_new += _import_answer(connection, dataset, row, number_of[row])
            for number in dict.fromkeys(number_of.values()):
                _close(connection, number, now_s)
            if num_new:
                bump(connection)
        return num_new

    def copy_to(self, database: str | os.PathLike[str]) -> None:
        """Copies everything into another database that has no questions, from one kind to another.

        Args:
            database: as `LabelStore` takes it; tables are made where there are none.

        Raises:
            StorageError: there are questions in it; nothing is copied.
            Unavailable: one of the databases cannot be reached.
        """
        other = Database(database)
        try:
            bring_up_to_date(other)
            with self._database.reading() as source, other.writing() as target:
                if target.execute(select(func.count()).select_from(questions)).scalar_one():
                    raise StorageError(f"{other.name} holds questions already; choose another")
                copy_tables(source, target)
        finally:
            other.close()

    def backup(self, path: Path | str) -> None:
        """Writes everything into a new SQLite file, as it is at this moment.

        The file is a store of its own: it is opened as one, and `copy_to` brings it back to any
        database.

        Raises:
            StorageError: there is a file of that name, or it could not be written.
        """
        path = arguments.path("path", path).absolute()
        for there in _files_of(path):
            if os.path.lexists(there):
                raise StorageError(f"{there} is there already; choose another name for the backup")
        temporary = beside(path)
        try:
            self.copy_to(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise StorageError(f"could not write {path}: {reason(error)}") from error
        finally:
            for leftover in _files_of(temporary):
                with contextlib.suppress(OSError):
                    leftover.unlink()

    def _import_questions(
        self,
        connection: Connection,
        dataset: PreferenceDataset,
        left: SegmentBatch,
        right: SegmentBatch,
    ) -> dict[int, int]:
        """Opens the questions that are not here, and returns the number of each row's question."""
        one = connection.execute(select(questions).limit(1)).first()
        if one is not None:
            _check_dims(left, self._questions(connection, [one])[0].left, self.name)
        number_of: dict[int, int] = {}
        # Repeats come last: what they repeat is there by then, and so are the file's own numbers.
        for row in np.argsort(dataset.is_repeat, kind="stable").tolist():
            number, is_repeat = int(dataset.question[row]), bool(dataset.is_repeat[row])
            if number < 0:
                raise DataError(f"question holds {number}; expected 0 or more")
            if is_repeat:
                who = str(dataset.annotator[row])
                known = _repeat_of(connection, number, who)
                number = next_id(connection, self.first_id) if known is None else known
            question = Question(
                number,
                left[row],
                right[row],
                session=int(dataset.session[row]),
                objective=int(dataset.objective[row]),
                is_audit=bool(dataset.is_audit[row]),
            )
            found = connection.execute(select(questions).where(questions.c.id == number)).first()
            if found is None:
                first = int(dataset.question[row]) if is_repeat else None
                self._insert(connection, question, first)
            elif not _are_same(self._questions(connection, [found])[0], question):
                raise DataError(
                    f"question {number} of the file is another one than question {number} in "
                    f"{self.name}; import into a database that has no questions"
                )
            number_of[row] = number
        return number_of

    def _insert(self, connection: Connection, question: Question, repeat_of: int | None) -> None:
        is_there = select(questions.c.id).where(questions.c.id == repeat_of)
        if repeat_of is not None and connection.execute(is_there).first() is None:
            # What it repeats is in no row: it is known as a repeat by repeating itself.
            repeat_of = question.id
        row: dict[str, Any] = {
            "id": question.id,
            "session": question.session,
            "policy_step": question.policy_step,
            "objective": question.objective,
            "is_audit": question.is_audit,
            "repeat_of": repeat_of,
            "wanted": 1,
            "state": "open",
            "put_s": self.clock(),
        }
        insert_questions(connection, [row], [question])


def _repeat_of(connection: Connection, number: int, annotator: str) -> int | None:
    """Returns the repeat of a question that somebody has answered; None: there is none."""
    statement = (
        select(questions.c.id)
        .join(answers, answers.c.question == questions.c.id)
        .where(questions.c.repeat_of == number, answers.c.annotator == annotator)
    )
    return connection.execute(statement).scalars().first()


def _check_dims(new: SegmentBatch, known: SegmentBatch, name: str) -> None:
    def dims(batch: SegmentBatch) -> tuple[int, ...]:
        return (*batch.observations.shape[1:], batch.actions.shape[2])

    if dims(new) != dims(known):
        raise DataError(
            f"the file's segments have (steps, observation and action dims) {dims(new)}, those in "
            f"{name} {dims(known)}"
        )


def _are_same(one: Question, other: Question) -> bool:
    return all(
        np.array_equal(getattr(getattr(one, side), name), getattr(getattr(other, side), name))
        for side in ("left", "right")
        for name in _SAME
    )


def _check_each_answers_once(dataset: PreferenceDataset, number_of: dict[int, int]) -> None:
    """Refuses a file in which somebody answers a question twice, as a store keeps one of them."""
    seen = set()
    for row, number in number_of.items():
        own = (number, str(dataset.annotator[row]))
        if own in seen:
            raise DataError(
                f"question {int(dataset.question[row])} of the file has two answers of annotator "
                f"{own[1]!r}; expected one of each annotator"
            )
        seen.add(own)


def _import_answer(
    connection: Connection, dataset: PreferenceDataset, row: int, number: int
) -> bool:
    annotator = str(dataset.annotator[row])
    own = (answers.c.question == number) & (answers.c.annotator == annotator)
    if connection.execute(select(answers.c.question).where(own)).first() is not None:
        return False
    p_left = float(dataset.p_left[row])
    new = {
        "question": number,
        "annotator": annotator,
        "p_left": None if np.isnan(p_left) else p_left,
        "source": str(dataset.source[row]),
    }
    connection.execute(insert(answers).values(new))
    return True


def _close(connection: Connection, number: int, now_s: float) -> None:
    """Closes a question with the answers that it has."""
    num = num_votes(connection, number)
    of_it = update(questions).where(questions.c.id == number)
    connection.execute(of_it.values(state="answered" if num else "skipped", wanted=max(num, 1)))
    end_lease(connection, number, now_s)


def copy_tables(source: Connection, target: Connection) -> None:
    """Copies every row of every table; what is in the target goes."""
    for table in reversed(metadata.sorted_tables):
        target.execute(delete(table))
    for table in metadata.sorted_tables:
        # In the order of their numbers: a repeat comes after what it repeats.
        statement = select(table).order_by(*table.primary_key)
        rows = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(statement)
        for some in rows.mappings().partitions(_ROWS_AT_ONCE):
            target.execute(insert(table), [dict(row) for row in some])


def _files_of(path: Path) -> list[Path]:
    """Returns the files that an SQLite database may consist of."""
    return [path, *(path.with_name(path.name + more) for more in ("-wal", "-shm", "-journal"))]
