"""The errors of the labelling store; the service has a status code for each."""

from prefrl.errors import DataError, PrefrlError, StorageError


class UnknownQuestion(DataError):
    """There is no such question."""


class UnknownAnnotator(DataError):
    """There is no such annotator, or there is none any more."""


class LeasedByOther(PrefrlError):
    """Somebody else is looking at the question."""


class Closed(PrefrlError):
    """The question takes no answer: withdrawn, answered by others, or the budget is spent."""


class Unavailable(StorageError):
    """The database cannot be reached, is busy, or its disk is full; later it may work again."""
