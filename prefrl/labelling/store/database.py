"""The database behind the labelling store: connections, transactions, and its errors in a line.

Whoever changes something does so alone: on SQLite under its one lock for writing, on PostgreSQL
under a lock on the one row of `revision`. What is read within such a transaction therefore stays
true until its end, on both.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc, func, select
from sqlalchemy.engine import URL, make_url

from prefrl.errors import (
    ArgumentError,
    ConfigError,
    DataError,
    PrefrlError,
    StorageError,
    not_a,
    one_line,
)
from prefrl.labelling.errors import NoStore, Unavailable
from prefrl.labelling.store import schema
from prefrl.labelling.store.pool import pool_of
from prefrl.labelling.store.postgresql import postgresql_engine

# For so long a process waits for the others to finish their changes.
_BUSY_TIMEOUT_S = 15
_LOOK_S = 0.01  # between two tries of what SQLite itself does not wait for
_EXPECTED = "sqlite:///FILE or postgresql://USER@HOST/NAME"
# What PostgreSQL's library takes as a password where it stands behind a ? in the URL.
_SECRET = ("password", "sslpassword")
_LOCK = select(schema.revision.c.number).with_for_update()
# The same, and what is changed need not be on disk when the transaction ends.
_LOCK_AND_HURRY = select(
    schema.revision.c.number, func.set_config("synchronous_commit", "off", True)
).with_for_update()
# What SQLite says of a file that is not, or no longer, a database of its own.
_AWAY = (
    sqlite3.OperationalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
_DAMAGE = (
    *("malformed", "not a database", "corrupt"),
    *("no such table", "no such column", "already exists"),
)


def url_of(database: str | os.PathLike[str]) -> URL:
    """Returns a database's URL, in which nothing is left to SQLAlchemy's defaults.

    Args:
        database: a URL, or the path of an SQLite file.

    Raises:
        ArgumentError: it is neither.
        ConfigError: it is the URL of another kind of database.
    """
    if isinstance(database, os.PathLike):
        return URL.create("sqlite", database=str(Path(database).absolute()))
    if not isinstance(database, str):
        raise ArgumentError(not_a("database", database, _EXPECTED))
    try:
        url = make_url(database)
    except (exc.ArgumentError, ValueError):
        # The text itself may hold a password.
        raise ConfigError(f"the database's URL cannot be read; expected {_EXPECTED}") from None
    texts = (url.username, url.password, url.host, url.database, *url.query.values())
    if any("\0" in text for text in texts if text):
        raise ConfigError(f"the database's URL holds the character NUL; expected {_EXPECTED}")
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        if database.count("@") > 1:
            # The rest of a password must not come to be shown as a host's name.
            raise ConfigError(
                "the database's URL has more than one @; a password writes it as %40, / as %2F"
            )
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"the database is of kind {url.drivername}; expected {_EXPECTED}")
    if url.query:
        raise ConfigError(
            f"the SQLite database's URL has options ({', '.join(sorted(url.query))}); expected "
            "sqlite:///FILE alone"
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigError(
            "the SQLite database has no file, and other processes could not see it; expected "
            "sqlite:///FILE"
        )
    return url.set(drivername="sqlite", database=str(Path(url.database).absolute()))


def address_of(url: URL) -> str:
    """Returns a database's URL without any password: it may be written down and shown."""
    if url.get_backend_name() == "sqlite":
        return url.render_as_string()
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    query = {name: value for name, value in url.query.items() if name not in _SECRET}
    return plain.update_query_dict(query).render_as_string()


class Database:
    """A database that several threads of this process use, and other processes as well.

    Args:
        database: a URL, or the path of an SQLite file.

    Attributes:
        makes_file: an SQLite file is made where there is none; else it is waited for, as one whose
            disk is away.

    Raises:
        ConfigError: as `url_of`.
    """

    def __init__(self, database: str | os.PathLike[str]) -> None:
        self.url = url_of(database)
        self.makes_file = True
        self.engine = (
            self._sqlite_engine()
            if self.is_sqlite
            else postgresql_engine(self.url, lock_timeout_s=_BUSY_TIMEOUT_S)
        )
        self._turn = threading.Lock()
        self._process = os.getpid()

    @property
    def is_sqlite(self) -> bool:
        """Tells SQLite from PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """Names the database for people: the file, or the URL without the password."""
        if self.is_sqlite:
            return str(self.url.database)
        return address_of(self.url)

    def check_file(self) -> None:
        """Makes sure that an SQLite database has a file with something in it.

        Raises:
            NoStore: it has none.
        """
        if not self.is_sqlite:
            return
        try:
            num_bytes = Path(self.name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise NoStore(f"there is no file {self.name}") from None
        except OSError:  # Whoever opens it is told why.
            return
        if not num_bytes:
            raise NoStore(f"{self.name} is empty")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Shows one state of the database, whatever others change meanwhile.

        Raises:
            Unavailable: the database is away or busy.
            StorageError: it is damaged.
        """
        with self._worded(), self._connected() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self, *, is_durable: bool = True) -> Iterator[Connection]:
        """Changes the database: the whole of it, or after an error or a kill nothing.

        Args:
            is_durable: when it returns, the change stays through a power failure; else it may be
                forgotten by one, but by no kill, and not unless all that follow are as well.

        Raises:
            Unavailable: the database is away, busy, or its disk is full; nothing was changed.
            StorageError: it is damaged.
        """
        with self._worded(), self._in_turn(), self._connected() as connection:
            connection = connection.execution_options(is_writing=True, is_durable=is_durable)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(_LOCK if is_durable else _LOCK_AND_HURRY)
                yield connection

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Changes the tables themselves, one process after the other."""
        with self._worded(), self._in_turn(), self._connected() as connection:
            connection = connection.execution_options(is_writing=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7264731105)")
                yield connection

    def close(self) -> None:
        """Lets go of all connections; the next call makes new ones."""
        self.engine.dispose()

    def _sqlite_engine(self) -> Engine:
        uri = Path(str(self.url.database)).as_uri()

        def connect() -> sqlite3.Connection:
            mode = "rwc" if self.makes_file else "rw"
            if self.makes_file:
                # It has names in it, and hashes of tokens. What SQLite puts beside it has its mode.
                with contextlib.suppress(OSError):  # SQLite says why it cannot be made.
                    os.close(os.open(self.name, os.O_RDWR | os.O_CREAT, 0o600))
            # The pool hands a connection from thread to thread, to one at a time.
            return sqlite3.connect(
                f"{uri}?mode={mode}", uri=True, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
            )

        return _sqlite_engine(self.url, connect)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._process != os.getpid():
            if self.is_sqlite:
                # SQLite keeps its locks in memory that was copied, and would wait for itself.
                raise StorageError(
                    f"{self.name} is in use by the process that this one was forked from; start a "
                    "process anew (spawn) to use it there"
                )
            # Connections are not shared between a process and those that it forks.
            self.engine.dispose(close=False)
            self._process = os.getpid()
        with self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        # SQLite lets those who wait for its lock sleep; threads of one process need not.
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=_BUSY_TIMEOUT_S):
            raise Unavailable(f"{self.name} is busy: other changes take too long")
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except exc.TimeoutError:
            raise Unavailable(f"{self.name} is busy: all connections are in use") from None
        except exc.DBAPIError as error:
            if (ours := self._error_of(error.orig)) is None:
                raise
            raise ours from error
        # Of what is done when a connection is made, SQLAlchemy passes the driver's errors on.
        except (sqlite3.Error, psycopg.Error) as error:
            if (ours := self._error_of(error)) is None:
                raise
            raise ours from error

    def _error_of(self, error: BaseException | None) -> PrefrlError | None:
        """Returns the error in prefrl's words; None: it is a mistake of prefrl's own."""
        # psycopg lists every address that it tried, and what to do there.
        said = one_line(str(error))[:300]
        if any(word in said for word in _DAMAGE):
            return StorageError(f"{self.name} is damaged: {said}")
        if isinstance(error, _AWAY):
            return Unavailable(f"the database {self.name} is not available: {said}")
        if isinstance(error, psycopg.DataError):
            return DataError(f"{self.name} cannot keep that: {said}")
        if isinstance(error, psycopg.ProgrammingError):
            return StorageError(f"{self.name} is no store of labels: {said}")
        return None


def _sqlite_engine(url: URL, connect: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine(url, creator=connect, **pool_of(40))

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        # The driver begins no transactions of its own; `_begin` does.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("is_writing", False):
            connection.exec_driver_sql("BEGIN")
            return
        synchronous = "FULL" if options.get("is_durable", True) else "NORMAL"
        if connection.info.get("synchronous") != synchronous:
            connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
            connection.info["synchronous"] = synchronous
        # One that began by reading could not wait for others who write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Makes sure that the file is one with a log that is written ahead (WAL).

    A new file becomes one by a change of its header. SQLite reads it first, and whoever goes from
    reading to writing is refused at once where somebody else is at the file, however long the
    connection would wait elsewhere: two who both waited for that would wait for each other.
    """
    until_s = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "database is locked" not in str(error) or time.monotonic() >= until_s:
                raise
            time.sleep(_LOOK_S)
        else:
            return
