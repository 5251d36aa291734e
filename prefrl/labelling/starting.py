"""Starts what labelling consists of as processes of their own, and ends them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefrl.errors import ConfigError, one_line

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


class StartedService:
    """A labelling service that was started by this process; it may outlive it.

    A trainer that was killed leaves its service, which goes on taking answers; the next one takes
    over from it, under the same links.

    Args:
        url: of the store, a password included.
        folder: that of `labelling.json`.
        options: further ones of `prefrl.labelling.serve`.

    Attributes:
        links: the links under which people label, and under which the owner looks on.

    Raises:
        ConfigError: it ended before it could be reached; it says why.
    """

    def __init__(self, url: str, folder: Path, options: Sequence[str] = ()) -> None:
        from prefrl.labelling.service.link_file import Links, read_links

        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        options = ["--folder", str(folder), "--takes-over", *options]
        self._process = start_process(
            "prefrl.labelling.serve",
            options,
            url,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout is not None
        # It prints the links when it is reachable, and has written them into the file by then.
        links = read_links(folder) if self._process.stdout.readline() else None
        if links is None:
            end_process(self._process, patience_s=10.0)
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            why = one_line(said[-1]).removeprefix("prefrl: ") if said else "it said nothing"
            raise ConfigError(f"the labelling service could not be started: {why}")
        self.links: Links = links

    @property
    def is_alive(self) -> bool:
        """Tells whether it still serves."""
        return self._process.poll() is None

    @property
    def has_ended_in_order(self) -> bool:
        """Tells whether it has ended as it was told to, and nothing has killed it."""
        return self._process.poll() == 0

    def close(self, patience_s: float = 0.0) -> None:
        """Ends it, if it has not ended with its run within so many seconds."""
        try:
            self._process.wait(max(patience_s, 0.01))
        except subprocess.TimeoutExpired:
            end_process(self._process, patience_s=10.0)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
