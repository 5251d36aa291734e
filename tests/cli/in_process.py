"""Commands in the test's own process: for those that end before anything is trained."""

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from prefrl.cli.main import main


@dataclass(frozen=True)
class Ended:
    """The end of a command."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line it was refused by, beside warnings."""
        lines = [line for line in self.err.splitlines() if not line.startswith("warning: ")]
        assert self.status in (1, 2), self
        assert len(lines) == 1, self.err
        assert lines[0].startswith("prefrl: "), self.err
        assert "not foreseen" not in lines[0], self.err
        return lines[0]


def call(folder: Path, words: list[str]) -> Ended:
    """Runs `prefrl WORDS` in a folder."""
    here, out, err = Path.cwd(), io.StringIO(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    finally:
        os.chdir(here)
    return Ended(status, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[bytes, bytes]:
    """Every file and folder below one, with what is in it."""
    return {
        os.fsencode(path): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }
