"""Starts what labelling consists of as processes of their own, and ends them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

DATABASE_VARIABLE = "PREFRL_DATABASE"
"""The environment variable for a URL that may have a password in it: command lines are public."""

# It finds modules where the process that starts it does, one's own environments among them.
_START = "import sys; sys.path[:] = {path}; from {module} import main; sys.exit(main())"


def start_process(
    module: str, options: Sequence[str], url: str, **streams: Any
) -> "subprocess.Popen[str]":
    """Starts a module's `main` in a process of its own.

    Args:
        module: its name.
        options: of its command line.
        url: of the store, a password included.
        streams: as `subprocess.Popen` takes them.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _START.format(path=sys.path, module=module), *options],
        env={**os.environ, DATABASE_VARIABLE: url},
        text=True,
        # Ctrl-C is for whoever started it, and who stops it then.
        start_new_session=True,
        **streams,
    )


def end_process(process: "subprocess.Popen[str]", patience_s: float) -> None:
    """Tells a process to end, and kills it where that takes longer than so long."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
