"""The store in which trainer, service and renderer meet."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from prefrl.arguments import flag, instance, listed, numbers, whole_number
from prefrl.errors import ArgumentError, DataError, StorageError, not_a, shown
from prefrl.feedback.protocols import Answer, Question
from prefrl.labelling.rows import (
    P_LEFT,
    Annotator,
    ClipJob,
    Counts,
    GivenAnswer,
    Leased,
    Prediction,
    Said,
    StoredClip,
    StoreSettings,
)
from prefrl.labelling.store import answering, asking, clips, listing, notes, people, schema
from prefrl.labelling.store.database import Database
from prefrl.labelling.store.migration import bring_up_to_date
from prefrl.labelling.store.standing import LARGEST_ID, question_row, standings
from prefrl.segments import SegmentBatch
from prefrl.session.questions import Entry, QuestionState, Standing, check_states, made_questions


class LabelStore:
    """Keeps questions, answers, leases, annotators and clips in SQLite or PostgreSQL.

    It is a `QuestionStore`. One object a process; several threads may use it, and any number of
    processes the same database. What a call has done stays done when it returns, through a kill of
    any process and through a power failure; a call that raised has changed nothing.

    Args:
        database: `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or the path of an SQLite file.
        first_id: of the first question, in a database that has none.
        is_upgraded: tables are made where there are none, and brought from an older version to this
            one; else both are refused.
        clock: seconds since 1970.

    Raises:
        ArgumentError: `database` is no text and no path.
        ConfigError: it is the URL of something else.
        Unavailable: it cannot be reached.
        StorageError: it is damaged, of a newer version, or holds something else.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        first_id: int = 0,
        is_upgraded: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.first_id = whole_number("first_id", first_id)
        self.clock = clock
        self._database = Database(database)
        self._known: dict[int, Question] = {}
        bring_up_to_date(self._database, is_upgraded=is_upgraded)

    @property
    def url(self) -> str:
        """Returns the database's URL, password included, for another process of this run."""
        return self._database.url.render_as_string(hide_password=False)

    @property
    def name(self) -> str:
        """Names the database for people: the file, or the URL without the password."""
        return self._database.name

    def close(self) -> None:
        """Lets go of the database's connections; the next call makes new ones."""
        self._database.close()

    def revision(self) -> int:
        """Returns a number that grows with every change of an answer or a question's state.

        Leases are no such change, nor is their end.
        """
        with self._database.reading() as connection:
            return int(connection.execute(select(schema.revision.c.number)).scalar_one())

    # ---- questions, for whoever asks --------------------------------------------------------

    def put(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        session: int,
        policy_step: int,
        objective: NDArray[np.int64] | None = None,
        is_audit: NDArray[np.bool_] | None = None,
        model_version: int | None = None,
    ) -> list[Question]:
        """Opens questions; see `QuestionStore`.

        Args:
            left: B left segments.
            right: B right segments.
            session: the round of queries they are put in.
            policy_step: environment steps that the policy had taken by then.
            objective: (B,) what each is about.
            is_audit: (B,) drawn at random, not chosen.
            model_version: of the reward model that chose them.
        """
        made = made_questions(
            left,
            right,
            first_id=0,
            session=whole_number("session", session),
            policy_step=whole_number("policy_step", policy_step),
            objective=objective,
            is_audit=is_audit,
        )
        if not made:
            return []
        with self._database.writing() as connection:
            first = asking.next_id(connection, self.first_id)
            made = [replace(question, id=first + question.id) for question in made]
            overlap = notes.rules_of(connection).overlap
            wanted = asking.num_wanted(connection, len(made), overlap)
            asking.put(connection, made, wanted, model_version=model_version, now_s=self.clock())
        self._known.update((question.id, question) for question in made)
        return made

    def put_repeat(self, question: int, *, session: int, policy_step: int) -> Question:
        """Opens an answered question once more, sides swapped, for those who have answered it.

        A repeat costs no budget and is no part of `entries`, `standings` and the training data.

        Raises:
            UnknownQuestion: there is no such question.
            DataError: it was not answered, or is a repeat itself.
        """
        first = self.question(question)
        with self._database.writing() as connection:
            repeat = Question(
                asking.next_id(connection, self.first_id),
                first.right,
                first.left,
                whole_number("session", session),
                whole_number("policy_step", policy_step),
                first.objective,
                first.is_audit,
                first.id,
            )
            asking.put_repeat(connection, repeat, first.id, now_s=self.clock())
        self._known[repeat.id] = repeat
        return repeat

    def lease(self, holder: str, count: int, *, duration_s: float) -> list[Question]:
        """Reserves open questions; see `QuestionStore`. Repeats are left out."""
        instance("holder", holder, str)
        count = min(max(whole_number("count", count, least=-1), 0), LARGEST_ID)
        if not isinstance(duration_s, (int, float)) or not abs(duration_s) < 2**53:
            raise ArgumentError(not_a("duration_s", duration_s, "a number of seconds"))
        with self._database.writing() as connection:
            now_s = self.clock()
            until_s = now_s + duration_s
            rows = asking.lease(connection, holder, count, until_s=until_s, now_s=now_s)
            return self._questions(connection, rows)

    def answer(self, answers: Sequence[Answer]) -> list[Answer]:
        """Records answers; see `QuestionStore`. One of them closes its question, overlap or not."""
        answers = listed("answers", answers, Answer)
        if not answers:
            return []
        with self._database.writing() as connection:
            return asking.record(connection, answers, self.clock())

    def withdraw(self, ids: Iterable[int], *, also_leased: bool = True) -> list[int]:
        """Ends pending questions without an answer; see `QuestionStore`."""
        ids = listed("ids", ids, int, np.integer)
        if not ids:
            return []
        with self._database.writing() as connection:
            return asking.withdraw(connection, ids, self.clock(), also_leased=also_leased)

    def entries(self, *states: QuestionState) -> list[Entry]:
        """Returns the questions in these states; see `QuestionStore`. Repeats are left out."""
        check_states(states)
        with self._database.reading() as connection:
            rows = asking.rows_in(connection, states, with_repeats=False)
            stand = standings(connection, rows, self.clock())
            rows = [row for row in rows if not states or stand[row.id].state in states]
            known = self._questions(connection, rows)
        return [Entry(question, stand[question.id]) for question in known]

    def standings(
        self, *states: QuestionState, with_repeats: bool = False
    ) -> Mapping[int, Standing]:
        """Returns how questions stand, by id, oldest first, without their segments.

        Args:
            *states: those wanted; all of them where none is named.
            with_repeats: repeats are among them.
        """
        check_states(states)
        with self._database.reading() as connection:
            rows = asking.rows_in(connection, states, with_repeats=with_repeats)
            stand = standings(connection, rows, self.clock())
        return {number: one for number, one in stand.items() if not states or one.state in states}

    def question(self, question: int) -> Question:
        """Returns a question, segments and all.

        Raises:
            UnknownQuestion: there is none.
        """
        if question in self._known:
            return self._known[question]
        with self._database.reading() as connection:
            return self._questions(connection, [question_row(connection, question)])[0]

    def answers(self) -> list[GivenAnswer]:
        """Returns every answer as it stands now, skips and repeats too, by question and time."""
        with self._database.reading() as connection:
            return listing.given(connection)

    def counts(self) -> Counts:
        """Returns how many questions and answers there are."""
        with self._database.reading() as connection:
            return listing.counts(connection, self.clock())

    # ---- questions, for whoever answers -----------------------------------------------------

    def next_question(self, annotator: str, *, after: int | None = None) -> Leased | None:
        """Returns what an annotator is to answer: their oldest lease, else a new one.

        Args:
            annotator: their name.
            after: a question that they have already; another one is leased beside it, two at most.

        Returns:
            None where nothing waits for them, or the asking is paused.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("annotator", annotator, str)
        if after is not None and not 0 <= whole_number("after", after) <= LARGEST_ID:
            after = None
        with self._database.writing() as connection:
            return answering.next_question(
                connection,
                annotator,
                after=after,
                is_paused=notes.is_paused(connection),
                rules=notes.rules_of(connection),
                now_s=self.clock(),
            )

    def renew(self, annotator: str) -> int:
        """Prolongs the leases of an annotator, and returns how many they are.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("annotator", annotator, str)
        with self._database.writing() as connection:
            rules = notes.rules_of(connection)
            return answering.renew(connection, annotator, rules, self.clock())

    def give(
        self, annotator: str, question: int, said: Said, *, response_time_s: float | None = None
    ) -> None:
        """Records an annotator's answer, in the place of an earlier one of theirs.

        It is safe to repeat: the same answer, given again, changes nothing.

        Args:
            annotator: their name.
            question: its id.
            said: left, right, tie or skip.
            response_time_s: from when it was shown to when it was answered.

        Raises:
            UnknownAnnotator: there is none of that name.
            UnknownQuestion: there is no such question.
            LeasedByOther: somebody else looks at it.
            Closed: it was withdrawn, others have answered it, or the budget is spent.
        """
        instance("annotator", annotator, str)
        if said not in P_LEFT:
            raise DataError(f"an answer is {shown(said)}; expected {', '.join(P_LEFT)}")
        response_time_s = _seconds("response_time_s", response_time_s)
        with self._database.writing() as connection:
            answering.give(
                connection,
                annotator,
                question,
                said,
                response_time_s=response_time_s,
                rules=notes.rules_of(connection),
                now_s=self.clock(),
            )

    def undo(self, annotator: str, question: int) -> None:
        """Takes an annotator's answer back; the question is open again, and leased to them.

        It is safe to repeat: where there is no answer of theirs, nothing changes.

        Raises:
            UnknownAnnotator: there is none of that name.
            UnknownQuestion: there is no such question.
            LeasedByOther: somebody else looks at it by now, as it had been skipped.
            Closed: it was withdrawn, or had been skipped and was answered by others.
        """
        instance("annotator", annotator, str)
        with self._database.writing() as connection:
            rules = notes.rules_of(connection)
            answering.undo(connection, annotator, question, rules, self.clock())

    # ---- annotators -------------------------------------------------------------------------

    def add_annotator(self, name: str) -> str:
        """Adds somebody who answers, and returns their token, which is not stored.

        Raises:
            DataError: there is one of that name, or it is no name.
        """
        name, token = people.checked_name(name), people.new_token()
        with self._database.writing() as connection:
            people.add(connection, name, token, self.clock())
        return token

    def renew_token(self, name: str) -> str:
        """Returns another token for an annotator, whose old one is worth nothing from now on.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        token = people.new_token()
        with self._database.writing() as connection:
            people.renew_token(connection, instance("name", name, str), token)
        return token

    def annotator_of(self, token: str) -> Annotator | None:
        """Returns whose token it is; None: nobody's."""
        instance("token", token, str)
        with self._database.reading() as connection:
            return people.of_token(connection, token)

    def annotators(self) -> list[Annotator]:
        """Returns all annotators, in the order in which they were added."""
        with self._database.reading() as connection:
            return people.everybody(connection)

    def revoke(self, name: str, *, with_answers: bool) -> None:
        """Removes an annotator: their name, their token, and their leases.

        Args:
            name: theirs.
            with_answers: their answers are removed as well, and what these had closed is open
                again; else the answers stay, under a name that says nothing.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("name", name, str)
        flag("with_answers", with_answers)
        with self._database.writing() as connection:
            rules = notes.rules_of(connection)
            people.revoke(
                connection, name, with_answers=with_answers, rules=rules, now_s=self.clock()
            )

    def set_owner_token(self) -> str:
        """Returns a token for the owner; an earlier one is worth nothing from now on."""
        token = people.new_token()
        with self._database.writing() as connection:
            people.set_owner_token(connection, token)
        return token

    def is_owner(self, token: str) -> bool:
        """Tells whether a token is the owner's."""
        instance("token", token, str)
        with self._database.reading() as connection:
            return people.is_owner(connection, token)

    # ---- clips ------------------------------------------------------------------------------

    def add_clips(self, question: int, left: bytes, right: bytes) -> None:
        """Says which clips a question shows, by their specs; they are rendered ahead of time.

        Raises:
            UnknownQuestion: there is no such question.
        """
        for name, spec in (("left", left), ("right", right)):
            instance(name, spec, bytes)
        with self._database.writing() as connection:
            clips.add_to_question(connection, question, left, right)

    def add_clip(self, spec: bytes) -> str:
        """Has a clip rendered that is no question's, and returns its key."""
        instance("spec", spec, bytes)
        with self._database.writing() as connection:
            return clips.add(connection, spec, wanted_s=self.clock())

    def next_clip_job(self, worker: str) -> ClipJob | None:
        """Returns a clip to render, leased for a minute; None where there is nothing to do.

        One that failed, or whose renderer was killed, three times is not tried again.
        """
        instance("worker", worker, str)
        with self._database.reading() as connection:
            # Most of the time there is nothing to do, and nobody need wait for that.
            if not clips.has_job(connection, notes.rules_of(connection), self.clock()):
                return None
        with self._database.writing() as connection:
            rules = notes.rules_of(connection)
            return clips.next_job(connection, worker, rules, self.clock())

    def put_clip(self, key: str, mp4: bytes, meta: Mapping[str, Any]) -> None:
        """Keeps a rendered clip. The least recently used ones go where there is no room for all.

        Args:
            key: of its job.
            mp4: the film.
            meta: what is known of it, as JSON has it: fps, num_frames, which of them count.

        Raises:
            DataError: there is no such job.
        """
        instance("key", key, str)
        instance("mp4", mp4, bytes)
        with self._database.writing() as connection:
            rules = notes.rules_of(connection)
            clips.put(connection, key, mp4, meta, rules=rules, now_s=self.clock())

    def fail_clip(self, key: str, why: str) -> None:
        """Notes that a clip could not be rendered.

        Raises:
            DataError: there is no such job.
        """
        instance("why", why, str)
        with self._database.writing() as connection:
            clips.fail(connection, instance("key", key, str), why)

    def clip(self, key: str) -> StoredClip | None:
        """Returns a clip; None: it is not there, and rendered soon if it is known at all."""
        instance("key", key, str)
        now_s = self.clock()
        with self._database.reading() as connection:
            found, used_s = clips.get(connection, key)
        if found is None:
            with self._database.writing() as connection:
                clips.want(connection, key, now_s)
        elif clips.is_use_stale(used_s, now_s):
            with self._database.writing() as connection:
                clips.use(connection, key, now_s)
        return found

    def clip_failures(self) -> dict[int, str]:
        """Returns the pending questions whose clips are not tried again, and why."""
        with self._database.reading() as connection:
            return clips.failures(connection)

    def clip_bytes(self) -> int:
        """Returns how many bytes the clips take."""
        with self._database.reading() as connection:
            return clips.total_bytes(connection)

    # ---- settings and status ----------------------------------------------------------------

    def settings(self) -> StoreSettings:
        """Returns the rules by which questions are handed out."""
        with self._database.reading() as connection:
            return notes.rules_of(connection)

    def set_settings(self, settings: StoreSettings) -> None:
        """Sets the rules by which questions are handed out."""
        instance("settings", settings, StoreSettings)
        with self._database.writing() as connection:
            notes.set_rules(connection, settings)

    def pause(self, is_paused: bool) -> None:
        """Stops handing out questions, or goes on; what is leased may be answered meanwhile."""
        flag("is_paused", is_paused)
        with self._database.writing() as connection:
            notes.pause(connection, is_paused)

    def is_paused(self) -> bool:
        """Tells whether no more questions are handed out."""
        with self._database.reading() as connection:
            return notes.is_paused(connection)

    def set_status(self, name: str, value: Any) -> None:
        """Puts a value under a name, for the other processes to read; it is kept as JSON."""
        instance("name", name, str)
        with self._database.writing() as connection:
            notes.write_note(connection, schema.status, name, value)

    def status(self, name: str, default: Any = None) -> Any:
        """Returns the value under a name."""
        instance("name", name, str)
        with self._database.reading() as connection:
            return notes.read_note(connection, schema.status, name, default)

    def set_prediction(
        self, question: int, p_left_by_head: Sequence[float], model_version: int
    ) -> None:
        """Notes what the heads of a reward model say of a question.

        Args:
            question: its id.
            p_left_by_head: (K,) each head's chance that left is preferred.
            model_version: of the model.

        Raises:
            UnknownQuestion: there is no such question.
        """
        chances = numbers("p_left_by_head", p_left_by_head, ("heads",), dtype=np.float64)
        if not ((chances >= 0) & (chances <= 1)).all():
            raise DataError("p_left_by_head holds a number that is no chance; expected 0 to 1")
        with self._database.writing() as connection:
            notes.set_prediction(connection, question, chances.tolist(), model_version)

    def predictions(self) -> dict[int, Prediction]:
        """Returns, by question, what the newest model that was asked says of it."""
        with self._database.reading() as connection:
            return notes.newest_predictions(connection)

    def claim(self, run: str) -> None:
        """Makes the database that of a run.

        Raises:
            StorageError: it is another run's.
        """
        instance("run", run, str)
        with self._database.writing() as connection:
            known = notes.run_of(connection)
            if known is None:
                notes.set_run(connection, run)
            elif known != run:
                raise StorageError(
                    f"{self.name} holds the questions of another run, {known}; choose another "
                    "database"
                )

    def _questions(self, connection: Any, rows: Sequence[Any]) -> list[Question]:
        """Returns questions with their segments, which are read from the database once."""
        missing = [row for row in rows if row.id not in self._known]
        self._known.update((one.id, one) for one in asking.load(connection, missing))
        return [self._known[row.id] for row in rows]


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise ArgumentError(not_a(name, value, "a number of seconds or None"))
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(f"{name} is {shown(value)}; expected 0 or more seconds")
    return seconds
