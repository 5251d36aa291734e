"""Clips of segments, rendered once, by whichever worker comes first; bounded in size.

A clip's spec stays for good, so that one that had to go can be rendered again.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Row, case, delete, exists, func, insert, or_, select, update

from prefrl.arguments import flag, instance
from prefrl.errors import DataError
from prefrl.labelling.rows import ClipJob, StoredClip, StoreSettings
from prefrl.labelling.store.asking import withdraw_pending
from prefrl.labelling.store.handing_out import HAS_CLIPS, num_ready
from prefrl.labelling.store.notes import rules_of
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import clip_specs, clips, questions
from prefrl.labelling.store.standing import question_row

# For so long a worker is given to render a clip.
_JOB_S = 60.0
# A clip is given up that cannot be rendered; and one that its workers do not survive, though that
# may be the doing of whoever stops them.
_MOST_FAILED = 3
_MOST_BEGUN = 10
_FRESH = {
    "worker": None,
    "leased_until_s": 0.0,
    "num_begun": 0,
    "num_failed": 0,
    "failed_why": None,
}
# When a clip was used last is not written down at every look.
_USE_S = 60.0


def _key_of(spec: bytes) -> str:
    """Returns the key of a clip: the SHA-256 of its spec, in hexadecimal digits."""
    return hashlib.sha256(spec).hexdigest()


def _add(connection: Connection, spec: bytes, *, wanted_s: float | None) -> str:
    """Notes a clip that can be rendered, and returns its key.

    Args:
        connection: in a transaction.
        spec: what to render.
        wanted_s: since when somebody wants to see it; None: when a question shows it.
    """
    key = _key_of(spec)
    found = connection.execute(select(clip_specs.c.key).where(clip_specs.c.key == key)).first()
    if found is None:
        new = {"key": key, "spec": spec, "wanted_s": wanted_s, **_FRESH}
        connection.execute(insert(clip_specs).values(new))
    elif wanted_s is not None:
        _want(connection, key, wanted_s)
    return key


def _add_to_question(connection: Connection, number: int, left: bytes, right: bytes) -> None:
    """Says which clips a question shows.

    Raises:
        UnknownQuestion: there is none.
    """
    question_row(connection, number)
    keys = {
        "left_clip": _add(connection, left, wanted_s=None),
        "right_clip": _add(connection, right, wanted_s=None),
    }
    connection.execute(update(questions).where(questions.c.id == number).values(keys))


def _want(connection: Connection, key: str, now_s: float) -> None:
    """Has a clip rendered that is not there, though no pending question shows it."""
    gone = ~exists().where(clips.c.key == clip_specs.c.key)
    it = update(clip_specs).where(clip_specs.c.key == key, clip_specs.c.wanted_s.is_(None), gone)
    connection.execute(it.values(**{**_FRESH, "wanted_s": now_s}))


def _next_job(
    connection: Connection, worker: str, but: Collection[str], rules: StoreSettings, now_s: float
) -> ClipJob | None:
    """Returns a clip to render, leased for a minute: those of the oldest pending question first.

    Nothing is rendered ahead that there is no room for.
    """
    row = _next_spec(connection, but, rules, now_s)
    if row is None:
        return None
    until_s, num_begun = now_s + _JOB_S, row.num_begun + 1
    it = update(clip_specs).where(clip_specs.c.key == row.key)
    connection.execute(it.values(worker=worker, leased_until_s=until_s, num_begun=num_begun))
    return ClipJob(row.key, bytes(row.spec), until_s, num_begun)


def _next_spec(
    connection: Connection, but: Collection[str], rules: StoreSettings, now_s: float
) -> Row[Any] | None:
    if _bytes_of_pending(connection) >= rules.max_clip_bytes:
        return None
    first_question = (
        select(func.min(questions.c.id))
        .where(questions.c.state == "open")
        .where(_shows(clip_specs.c.key))
        .correlate(clip_specs)
        .scalar_subquery()
    )
    statement = (
        select(clip_specs)
        .where(~exists().where(clips.c.key == clip_specs.c.key))
        .where(clip_specs.c.leased_until_s <= now_s, ~_is_given_up())
        .where(or_(clip_specs.c.wanted_s.is_not(None), first_question.is_not(None)))
        # What somebody waits for comes before what is made ahead.
        .order_by(
            case((clip_specs.c.wanted_s.is_not(None), 0), else_=1),
            first_question.nulls_last(),
            clip_specs.c.key,
        )
        .limit(1)
    )
    if but:
        statement = statement.where(clip_specs.c.key.not_in(but))
    return connection.execute(statement).one_or_none()


def _put(
    connection: Connection,
    key: str,
    mp4: bytes,
    meta: Mapping[str, Any],
    *,
    rules: StoreSettings,
    now_s: float,
) -> None:
    """Keeps a rendered clip; the least recently used others go, but for those of pending questions.

    Raises:
        DataError: its spec is not known.
    """
    _check_known(connection, key)
    connection.execute(delete(clips).where(clips.c.key == key))
    row = {"key": key, "num_bytes": len(mp4), "used_s": now_s, "meta": dict(meta), "mp4": mp4}
    connection.execute(insert(clips).values(row))
    it = update(clip_specs).where(clip_specs.c.key == key)
    connection.execute(it.values(wanted_s=None, **_FRESH))
    _make_room(connection, rules.max_clip_bytes, but=key)


def _fail(connection: Connection, key: str, why: str, *, now_s: float) -> None:
    """Notes that a clip could not be rendered; the third time it is given up.

    Questions that wait for it are withdrawn then: nobody could be shown what they are about.

    Raises:
        DataError: its spec is not known.
    """
    _check_known(connection, key)
    it = update(clip_specs).where(clip_specs.c.key == key)
    num_failed = clip_specs.c.num_failed + 1
    changed = {"worker": None, "leased_until_s": 0.0, "failed_why": why[:1000]}
    connection.execute(it.values(num_failed=num_failed, **changed))
    if rules_of(connection).needs_clips:
        waiting = (
            select(questions.c.id)
            .join(clip_specs, _shows(clip_specs.c.key))
            .where(clip_specs.c.key == key, questions.c.state == "open", _is_given_up())
        )
        ids = list(connection.execute(waiting).scalars())
        withdraw_pending(connection, ids, now_s, also_leased=True)


def _give_back(connection: Connection, key: str, why: str) -> None:
    """Notes why a worker could not render a clip, which is as if it had not begun.

    Raises:
        DataError: its spec is not known.
    """
    _check_known(connection, key)
    it = update(clip_specs).where(clip_specs.c.key == key, clip_specs.c.num_begun > 0)
    changed = {"worker": None, "leased_until_s": 0.0, "failed_why": why[:1000]}
    connection.execute(it.values(num_begun=clip_specs.c.num_begun - 1, **changed))


def _failures(connection: Connection, states: Collection[str]) -> dict[int, str]:
    """Returns the questions that cannot be shown, or not where it was tried, and why."""
    was_given_back = clip_specs.c.failed_why.is_not(None) & (clip_specs.c.num_failed == 0)
    statement = (
        select(questions.c.id, clip_specs.c.failed_why)
        .join(clip_specs, _shows(clip_specs.c.key))
        .where(questions.c.state.in_(states))
        .where(or_(_is_given_up(), was_given_back & (questions.c.state == "open")))
        .where(~exists().where(clips.c.key == clip_specs.c.key))
        .order_by(questions.c.id)
    )
    why = "the renderer ended in the middle of it each time"
    return {row.id: row.failed_why or why for row in connection.execute(statement)}


def _num_unrendered(connection: Connection) -> int:
    """Returns how many open questions lack a clip, repeats apart."""
    statement = (
        select(func.count())
        .select_from(questions)
        .where(questions.c.state == "open", questions.c.repeat_of.is_(None), ~HAS_CLIPS)
    )
    return int(connection.execute(statement).scalar_one())


def _get(connection: Connection, key: str) -> tuple[StoredClip | None, float]:
    """Returns a clip, and when it was last noted as used; (None, 0) where it is not there."""
    row = connection.execute(select(clips).where(clips.c.key == key)).one_or_none()
    if row is None:
        return None, 0.0
    return StoredClip(row.key, bytes(row.mp4), row.meta), row.used_s


def _use(connection: Connection, key: str, now_s: float) -> None:
    """Notes that a clip was looked at."""
    connection.execute(update(clips).where(clips.c.key == key).values(used_s=now_s))


def _total_bytes(connection: Connection) -> int:
    """Returns how many bytes all clips take."""
    return int(
        connection.execute(select(func.coalesce(func.sum(clips.c.num_bytes), 0))).scalar_one()
    )


def _check_known(connection: Connection, key: str) -> None:
    is_it = clip_specs.c.key == key
    if connection.execute(select(clip_specs.c.key).where(is_it)).first() is None:
        raise DataError(f"there is no clip {key[:64]!r} to be rendered")


def _is_given_up() -> Any:
    return or_(clip_specs.c.num_failed >= _MOST_FAILED, clip_specs.c.num_begun >= _MOST_BEGUN)


def _shows(key: Any) -> Any:
    return or_(questions.c.left_clip == key, questions.c.right_clip == key)


def _of_pending() -> Any:
    return exists().where(questions.c.state == "open", _shows(clips.c.key))


def _bytes_of_pending(connection: Connection) -> int:
    statement = select(func.coalesce(func.sum(clips.c.num_bytes), 0)).where(_of_pending())
    return int(connection.execute(statement).scalar_one())


def _make_room(connection: Connection, most: int, *, but: str) -> None:
    excess = _total_bytes(connection) - most
    if excess <= 0:
        return
    statement = (
        select(clips.c.key, clips.c.num_bytes)
        .where(clips.c.key != but, ~_of_pending())
        .order_by(clips.c.used_s, clips.c.key)
    )
    rows: list[Row[Any]] = list(connection.execute(statement))
    gone = []
    for row in rows:
        if excess <= 0:
            break
        gone.append(row.key)
        excess -= row.num_bytes
    for key in gone:
        connection.execute(delete(clips).where(clips.c.key == key))


class Clips(Opened):
    """Keeps clips, and has them rendered."""

    def add_clips(self, question: int, left: bytes, right: bytes) -> None:
        """Says which clips a question shows, by their specs; they are rendered ahead of time.

        Raises:
            UnknownQuestion: there is no such question.
        """
        for name, spec in (("left", left), ("right", right)):
            instance(name, spec, bytes)
        with self._database.writing() as connection:
            _add_to_question(connection, question, left, right)

    def add_clip(self, spec: bytes) -> str:
        """Has a clip rendered that is no question's, and returns its key."""
        instance("spec", spec, bytes)
        with self._database.writing() as connection:
            return _add(connection, spec, wanted_s=self.clock())

    def next_clip_job(self, worker: str, *, but: Collection[str] = ()) -> ClipJob | None:
        """Returns a clip to render, leased for a minute; None where there is nothing to do.

        One that failed three times is not tried again, nor one whose renderer ended ten times in
        the middle of it.

        Args:
            worker: who renders it.
            but: keys of clips that this worker cannot render.
        """
        instance("worker", worker, str)
        with self._database.reading() as connection:
            # Most of the time there is nothing to do, and nobody need wait for that.
            if _next_spec(connection, but, rules_of(connection), self.clock()) is None:
                return None
        with self._database.writing(is_durable=False) as connection:
            rules = rules_of(connection)
            return _next_job(connection, worker, but, rules, self.clock())

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
        with self._database.writing(is_durable=False) as connection:
            rules = rules_of(connection)
            _put(connection, key, mp4, meta, rules=rules, now_s=self.clock())

    def fail_clip(self, key: str, why: str) -> None:
        """Notes that a clip could not be rendered; the third time its questions are withdrawn.

        Raises:
            DataError: there is no such job.
        """
        instance("why", why, str)
        with self._database.writing() as connection:
            _fail(connection, instance("key", key, str), why, now_s=self.clock())

    def give_clip_back(self, key: str, why: str) -> None:
        """Notes that a clip cannot be rendered where it was tried; the clip is not to blame.

        It counts as no try, and others may take it at once.

        Raises:
            DataError: there is no such job.
        """
        instance("why", why, str)
        with self._database.writing(is_durable=False) as connection:
            _give_back(connection, instance("key", key, str), why)

    def clip(self, key: str) -> StoredClip | None:
        """Returns a clip; None: it is not there, and rendered soon if it is known at all."""
        instance("key", key, str)
        now_s = self.clock()
        with self._database.reading() as connection:
            found, used_s = _get(connection, key)
        if found is None:
            with self._database.writing(is_durable=False) as connection:
                _want(connection, key, now_s)
        elif now_s - used_s > _USE_S:
            with self._database.writing(is_durable=False) as connection:
                _use(connection, key, now_s)
        return found

    def clip_failures(self, *, also_withdrawn: bool = False) -> dict[int, str]:
        """Returns the questions whose clips are given up or were given back, and why.

        Pending ones; `also_withdrawn`: those that were withdrawn because of that as well.
        """
        states = ("open", "withdrawn") if flag("also_withdrawn", also_withdrawn) else ("open",)
        with self._database.reading() as connection:
            return _failures(connection, states)

    def num_unrendered(self) -> int:
        """Returns how many pending questions cannot be handed out, as a clip of theirs is missing.

        Without clips, where none are needed, none are missing.
        """
        with self._database.reading() as connection:
            return _num_unrendered(connection) if rules_of(connection).needs_clips else 0

    def wants_clips(self, ahead: int) -> bool:
        """Tells whether somebody waits for clips, or soon might.

        Args:
            ahead: fewer questions than so many that can be handed out, and nobody has, are too few.
        """
        instance("ahead", ahead, int)
        with self._database.reading() as connection:
            is_wanted = clip_specs.c.wanted_s.is_not(None) & ~_is_given_up()
            if connection.execute(select(clip_specs.c.key).where(is_wanted)).first() is not None:
                return True
            return num_ready(connection, self.clock()) < ahead

    def clip_bytes(self) -> int:
        """Returns how many bytes the clips take."""
        with self._database.reading() as connection:
            return _total_bytes(connection)
