"""A database that was opened as a store of labels."""

import os
import time
from collections.abc import Callable

from sqlalchemy import select

from prefrl.arguments import whole_number
from prefrl.feedback.protocols import Question
from prefrl.labelling.store import schema
from prefrl.labelling.store.database import Database, address_of
from prefrl.labelling.store.migration import bring_up_to_date


class Opened:
    """Reaches the database; `LabelStore` describes the arguments, and what is raised."""

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        first_id: int = 0,
        is_made: bool = True,
        is_upgraded: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.first_id = whole_number("first_id", first_id)
        self.clock = clock
        self._database = Database(database)
        # Questions never change, so those that were read once are not read again.
        self._known: dict[int, Question] = {}
        self._turn = ""
        try:
            bring_up_to_date(self._database, is_made=is_made, is_upgraded=is_upgraded)
        except BaseException:
            self._database.close()
            raise
        # Should it be removed while it is in use, no other one is made in its place.
        self._database.makes_file = False

    @property
    def url(self) -> str:
        """Returns the database's URL, password included, for another process of this run."""
        return self._database.url.render_as_string(hide_password=False)

    @property
    def address(self) -> str:
        """Returns the database's URL without any password, by which it may be noted down."""
        return address_of(self._database.url)

    @property
    def name(self) -> str:
        """Names the database for people: the file, or the URL without any password."""
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
