"""The errors of the labelling store; the service has a status code for each."""

from prefrl.errors import DataError, StorageError
from prefrl.session.question_store import Closed, LeasedByOther

__all__ = [
    "Closed",
    "LeasedByOther",
    "NoStore",
    "Unavailable",
    "UnknownAnnotator",
    "UnknownQuestion",
]


class UnknownQuestion(DataError):
    """There is no such question."""


class UnknownAnnotator(DataError):
    """There is no such annotator, or there is none any more."""


class NoStore(StorageError):
    """There is no store of labels, nor anything else: no file, or a database without tables."""


class Unavailable(StorageError):
    """The database cannot be reached, is busy, or its disk is full; later it may work again."""
