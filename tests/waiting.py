"""Waits for what other processes and threads do, however busy the machine is."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 300.0
"""The limit of every wait; it ends as soon as what it is for has come, so a long one is free."""


def wait_until(
    holds: Callable[..., Any],
    *,
    of: "subprocess.Popen[Any] | None" = None,
    timeout_s: float = PATIENCE_S,
) -> Any:
    """Returns what `holds` returns, once that is true.

    Args:
        holds: asked again and again.
        of: the process that makes it true; where that ends before, there is nothing to wait for.
        timeout_s: the wait fails after so long.
    """
    end_s = time.monotonic() + timeout_s
    while True:
        # Looked at first: what a process did, it had done when it ended.
        has_ended = of is not None and of.poll() is not None
        if found := holds():
            return found
        assert not has_ended, "the process ended before"
        assert time.monotonic() < end_s, f"waited {timeout_s:g} s in vain"
        time.sleep(0.01)


def state_of(pid: int) -> str:
    """Returns Linux's letter for the state of a process, such as T: it is stopped; "": gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    # The second where it ends between the opening of the file and the reading.
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(pid: int) -> bool:
    """Tells whether a process runs, and is more than an entry that its parent has yet to read."""
    return state_of(pid) not in ("", "Z", "X")
