"""Annotators and their tokens, which are never stored themselves."""

import hashlib
import hmac
import secrets
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from prefrl.arguments import flag, instance
from prefrl.errors import ArgumentError, DataError, not_a, shown
from prefrl.labelling.errors import UnknownAnnotator
from prefrl.labelling.rows import Annotator, StoreSettings
from prefrl.labelling.store.notes import read_note, rules_of, write_note
from prefrl.labelling.store.opened import Opened
from prefrl.labelling.store.schema import annotators, answers, leases, settings
from prefrl.labelling.store.standing import bump, settle

_LONGEST_NAME = 80
_OWNER = "owner_token"
_REMOVED = "removed"


def _new_token() -> str:
    """Returns a token that nobody guesses; it may stand in an address."""
    return secrets.token_urlsafe(32)


def _checked_name(name: object) -> str:
    """Returns the name of an annotator, without blanks around it.

    Raises:
        ArgumentError: it is no text.
        DataError: it is empty, too long, or cannot be shown.
    """
    if not isinstance(name, str):
        raise ArgumentError(not_a("name", name, "the name of an annotator"))
    name = name.strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise DataError(
            f"the annotator's name is {shown(name)}; expected 1 to {_LONGEST_NAME} letters, "
            "digits, blanks and signs"
        )
    return name


def _hash_of(token: str) -> str:
    """Returns the SHA-256 of a token: tokens are random, so nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _add(connection: Connection, name: str, token: str, now_s: float) -> None:
    """Adds an annotator.

    Raises:
        DataError: there is one of that name, or there are answers under it.
    """
    is_it = annotators.c.name == name
    if connection.execute(select(annotators.c.name).where(is_it)).one_or_none() is not None:
        raise DataError(f"there is an annotator {name!r} already; choose another name")
    # They would be taken for whoever gave them, and could change them.
    if _has_answers(connection, name):
        raise DataError(f"there are answers of {name!r} already; choose another name")
    row = {"name": name, "token_hash": _hash_of(token), "added_s": now_s}
    connection.execute(insert(annotators).values(row))


def add_without_token(connection: Connection, name: str, now_s: float) -> None:
    """Adds an annotator known by name alone, unless there is one, or an answer, of that name.

    Raises:
        DataError: it is no name.
    """
    name = _checked_name(name)
    is_known = connection.execute(select(annotators).where(annotators.c.name == name)).first()
    if is_known is None and not _has_answers(connection, name):
        _add(connection, name, _new_token(), now_s)


def _has_answers(connection: Connection, name: str) -> bool:
    """Tells whether there are answers under a name; of some, nobody has that name any more."""
    own = select(answers.c.question).where(answers.c.annotator == name).limit(1)
    return connection.execute(own).first() is not None


def _renew_token(connection: Connection, name: str, token: str) -> None:
    """Gives an annotator another token; the old one is worth nothing from now on.

    Raises:
        UnknownAnnotator: there is none of that name.
    """
    who = update(annotators).where(annotators.c.name == name)
    if not connection.execute(who.values(token_hash=_hash_of(token))).rowcount:
        raise UnknownAnnotator(f"there is no annotator {name!r}")


def _of_token(connection: Connection, token: str) -> Annotator | None:
    """Returns whose token it is; None: nobody's."""
    hashed = _hash_of(token)
    statement = select(annotators).where(annotators.c.token_hash == hashed)
    row = connection.execute(statement).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, hashed):
        return None
    return _annotator(row)


def _everybody(connection: Connection) -> list[Annotator]:
    """Returns all annotators, in the order in which they were added."""
    statement = select(annotators).order_by(annotators.c.added_s, annotators.c.name)
    return [_annotator(row) for row in connection.execute(statement)]


def _annotator(row: Any) -> Annotator:
    return Annotator(row.name, row.added_s, row.seen_s)


def _revoke(
    connection: Connection, name: str, *, with_answers: bool, rules: StoreSettings, now_s: float
) -> None:
    """Removes an annotator's name and token, and their answers or the name on these.

    Raises:
        UnknownAnnotator: there is none of that name.
    """
    is_known = connection.execute(delete(annotators).where(annotators.c.name == name)).rowcount
    connection.execute(delete(leases).where(leases.c.annotator == name))
    own = answers.c.annotator == name
    touched = list(connection.execute(select(answers.c.question).where(own)).scalars())
    # Under a name that says nothing there are answers, and nobody: they can go later, too.
    if not is_known and not (with_answers and touched):
        raise UnknownAnnotator(f"there is no annotator {name!r}")
    if with_answers:
        connection.execute(delete(answers).where(own))
        settle(connection, touched, rules, now_s)
    elif touched:
        alias = _alias(connection)
        connection.execute(update(answers).where(own).values(annotator=alias))
    bump(connection)


def _alias(connection: Connection) -> str:
    """Returns a name for the answers of somebody whose name is removed."""
    given = set(connection.execute(select(answers.c.annotator).distinct()).scalars())
    given |= set(connection.execute(select(annotators.c.name)).scalars())
    number = 1
    while f"{_REMOVED} {number}" in given:
        number += 1
    return f"{_REMOVED} {number}"


def _set_owner_token(connection: Connection, token: str) -> None:
    """Sets the owner's token; an earlier one is worth nothing from now on."""
    write_note(connection, settings, _OWNER, _hash_of(token))


def _is_owner(connection: Connection, token: str) -> bool:
    """Tells whether a token is the owner's."""
    known = read_note(connection, settings, _OWNER, "")
    return hmac.compare_digest(str(known), _hash_of(token))


class Annotators(Opened):
    """Knows annotators, and the owner, by their tokens."""

    def add_annotator(self, name: str) -> str:
        """Adds somebody who answers, and returns their token, which is not stored.

        Raises:
            DataError: there is one of that name, or it is no name.
        """
        name, token = _checked_name(name), _new_token()
        with self._database.writing() as connection:
            _add(connection, name, token, self.clock())
        return token

    def renew_token(self, name: str) -> str:
        """Returns another token for an annotator, whose old one is worth nothing from now on.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        token = _new_token()
        with self._database.writing() as connection:
            _renew_token(connection, instance("name", name, str), token)
        return token

    def annotator_of(self, token: str) -> Annotator | None:
        """Returns whose token it is; None: nobody's."""
        instance("token", token, str)
        with self._database.reading() as connection:
            return _of_token(connection, token)

    def annotators(self) -> list[Annotator]:
        """Returns all annotators, in the order in which they were added."""
        with self._database.reading() as connection:
            return _everybody(connection)

    def revoke(self, name: str, *, with_answers: bool) -> None:
        """Removes an annotator: their name, their token, and their leases.

        Args:
            name: theirs; with `with_answers` also the one under which answers of somebody stayed.
            with_answers: their answers are removed as well, and what these had closed is open
                again; else the answers stay, under a name that says nothing.

        Raises:
            UnknownAnnotator: there is none of that name.
        """
        instance("name", name, str)
        flag("with_answers", with_answers)
        with self._database.writing() as connection:
            rules = rules_of(connection)
            _revoke(connection, name, with_answers=with_answers, rules=rules, now_s=self.clock())

    def set_owner_token(self) -> str:
        """Returns a token for the owner; an earlier one is worth nothing from now on."""
        token = _new_token()
        with self._database.writing() as connection:
            _set_owner_token(connection, token)
        return token

    def is_owner(self, token: str) -> bool:
        """Tells whether a token is the owner's."""
        instance("token", token, str)
        with self._database.reading() as connection:
            return _is_owner(connection, token)
