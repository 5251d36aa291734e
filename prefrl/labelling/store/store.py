"""The store in which trainer, service and renderer meet."""

from prefrl.labelling.store.annotators import Annotators
from prefrl.labelling.store.answering import Answering
from prefrl.labelling.store.asking import Asking
from prefrl.labelling.store.clips import Clips
from prefrl.labelling.store.exchange import Exchange
from prefrl.labelling.store.notes import Notes
from prefrl.labelling.store.predictions import Predictions


class LabelStore(Asking, Answering, Annotators, Clips, Notes, Predictions, Exchange):
    """Keeps questions, answers, leases, annotators and clips in SQLite or PostgreSQL.

    It is a `QuestionStore`. One object a process; several threads may use it, and any number of
    processes the same database. What a call has done stays done when it returns, through a kill of
    any process and through a power failure; a call that raised has changed nothing.

    Its methods stand in a class a side: `Asking` and `Listing` for whoever asks, `Answering` and
    `Annotators` for the service, `Clips` for the renderer, `Notes` for settings and status,
    `Predictions` for those of the reward model, `Exchange` for files and copies.

    Args:
        database: `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or the path of an SQLite file.
        first_id: questions that are put have this number or a higher one.
        is_made: tables are made where there are none; else that is refused.
        is_upgraded: they are brought from an older version to this one; else it is refused.
        clock: seconds since 1970.

    Raises:
        ArgumentError: `database` is no text and no path.
        ConfigError: it is the URL of something else.
        NoStore: there is nothing, and it is not to be made.
        Unavailable: it cannot be reached.
        StorageError: it is damaged, of a newer version, or holds something else.
    """
