"""Connections to a database that are kept from call to call."""

from typing import Any


def pool_of(num: int) -> dict[str, Any]:
    """Returns settings by which up to `num` connections are made as needed, and then kept.

    To make one takes longer than what is done with it: those beyond the usual number are not closed
    after each call, and what was used last is used next, as its pages are in memory.
    """
    return {"pool_size": num, "max_overflow": 0, "pool_use_lifo": True}
