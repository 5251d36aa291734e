"""The snapshot of every command's error texts: `make snapshot` writes it anew.

One line for each case of `error_cases.py`, under its name and command. A change of it is read as
carefully as one of the code: these lines are what people see.
"""

import os
import re
import tempfile
from pathlib import Path

from tests.cli.error_cases import CASES, TINY, Case
from tests.command_line import ROOT, prefrl

SNAPSHOT = Path(__file__).with_name("errors.snapshot.txt")
_VERSION = re.compile(r"\b\d+\.\d+\.\d+[\w.+]*")


def refusal(folder: Path, case: Case) -> str:
    """Runs a case in an empty folder; returns the one line, without paths and versions.

    Raises:
        AssertionError: it was not refused by one line alone, or left something behind.
    """
    case.prepare(folder)
    before = contents(folder)
    outcome = prefrl(folder, *case.words)
    assert outcome.status == 2, outcome.err
    assert outcome.err == f"{outcome.complaint}\n", "one line"
    assert outcome.out == ""
    assert contents(folder) == before
    line = outcome.complaint.replace(str(folder), "FOLDER").replace(str(ROOT), "ROOT")
    return _VERSION.sub("VERSION", line)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def section(name: str, case: Case, line: str) -> str:
    """A case's part of the snapshot."""
    words = " ".join(f"'{word}'" if " " in word else word for word in case.words)
    return f"# {name}\n$ prefrl {words.replace(' '.join(TINY), '...')}\n{line}\n"


def sections() -> dict[str, str]:
    """The snapshot, by the names of cases."""
    parts = re.split(r"^(?=# )", SNAPSHOT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0][2:]: part.rstrip("\n") + "\n" for part in parts if part}


def main() -> None:
    """Writes the snapshot anew."""
    found = []
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(os.path.realpath(folder)) / "home"
            home.mkdir()
            found.append(section(name, case, refusal(home, case)))
    SNAPSHOT.write_text("\n".join(found), encoding="utf-8")


if __name__ == "__main__":
    main()
