"""Connections to PostgreSQL on which nobody waits for a server that says nothing.

A server that is stopped, or behind a network that loses what is sent, refuses nothing: its kernel,
or nobody, answers for it, so that neither its own time limits nor TCP's come into play.
"""

import contextlib
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, create_engine, event, exc
from sqlalchemy.engine import URL

from prefrl.labelling.store.pool import pool_of

_CONNECT_TIMEOUT_S = 5
_PING_S = 5.0  # for what the server need not wait for itself
_SILENCE_S = 20.0  # more than it waits for a lock
# Whoever has begun to change something and vanished holds the lock for no longer.
_IDLE_TIMEOUT_S = 60

_Result = TypeVar("_Result")


class Silent(psycopg.OperationalError):
    """The server has not answered for too long."""


class TimedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has been silent for too long."""

    silence_s = _SILENCE_S

    def wait(self, gen: PQGen[_Result], *args: Any, **options: Any) -> _Result:
        """Waits for the server, as each statement does.

        Raises:
            Silent: it says nothing.
        """
        return super().wait(self._until_silent(gen), *args, **options)

    def _until_silent(self, gen: PQGen[_Result]) -> Generator[Any, Any, _Result]:
        heard_s = time.monotonic()
        try:
            waits_for = next(gen)
            while True:
                # Every tenth of a second it is told that there is nothing.
                ready = yield waits_for
                if ready:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self.silence_s:
                    self.close()  # What becomes of the statement nobody knows.
                    raise Silent(f"the server has said nothing for {self.silence_s:g} s")
                waits_for = gen.send(ready)
        except StopIteration as end:
            result: _Result = end.value
            return result

    def ping(self) -> None:
        """Makes sure that the server answers.

        Raises:
            psycopg.Error: it does not.
        """
        self.silence_s = _PING_S
        self.autocommit = True
        try:
            self.execute("SELECT 1")
        finally:
            self.silence_s = _SILENCE_S
            with contextlib.suppress(psycopg.Error):  # of one that is closed by now
                self.autocommit = False


def postgresql_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """Returns what makes connections to a PostgreSQL server, and keeps them.

    Args:
        url: of the database; its own options come first.
        lock_timeout_s: for so long a statement waits for what others are changing.
    """
    engine = create_engine(url, **pool_of(20))

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, args: Any, options: Any) -> TimedConnection:
        return TimedConnection.connect(*args, **{"connect_timeout": _CONNECT_TIMEOUT_S, **options})

    @event.listens_for(engine, "connect")
    def _set_up(connection: TimedConnection, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET lock_timeout = '{lock_timeout_s}s'; "
                f"SET idle_in_transaction_session_timeout = '{_IDLE_TIMEOUT_S}s'"
            )
        connection.commit()

    @event.listens_for(engine, "checkout")
    def _check(connection: TimedConnection, _record: object, _proxy: object) -> None:
        try:
            connection.ping()
        except Silent:  # Another connection would be no better.
            raise
        except psycopg.Error as error:
            raise exc.InvalidatePoolError() from error

    return engine
