"""Starts the labelling service as a process of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from prefrl.errors import ConfigError, one_line

_START = (
    "import sys; sys.path[:] = {path}; from prefrl.labelling.serve import main; sys.exit(main())"
)
_DATABASE = "PREFRL_DATABASE"
_NUM_LINKS = 2


class StartedService:
    """A labelling service that was started by this process; it may outlive it.

    A trainer that was killed leaves its service, which goes on taking answers; the next one takes
    over from it, under the same links.

    Args:
        url: of the store, a password included.
        folder: that of `labelling.json`.

    Raises:
        ConfigError: it ended before it could be reached; it says why.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        options = ["--folder", str(folder), "--ends-with-run", "--takes-over"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path), *options],
            env={**os.environ, _DATABASE: url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # Ctrl-C is for whoever started it, and who stops it then.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(_NUM_LINKS)]
        self.links = "".join(lines).rstrip()
        if not lines[-1]:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            why = one_line(said[-1]).removeprefix("prefrl: ") if said else "it said nothing"
            raise ConfigError(f"the labelling service could not be started: {why}")

    @property
    def is_alive(self) -> bool:
        """Tells whether it still serves."""
        return self._process.poll() is None

    def close(self, patience_s: float = 0.0) -> None:
        """Ends it, if it has not ended with its run within so many seconds."""
        try:
            self._process.wait(max(patience_s, 0.01))
        except subprocess.TimeoutExpired:
            self._process.terminate()
            try:
                self._process.wait(10.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
