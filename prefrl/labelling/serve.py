"""`python -m prefrl.labelling.serve`: the process that serves questions, answers and the page."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prefrl.errors import ConfigError, PrefrlError, StorageError, one_line, printable
from prefrl.labelling.starting import DATABASE_VARIABLE, end_process, start_process


class ServiceProcess:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until told to end, or until the run has ended; returns the process's exit status."""
    # Uvicorn ends in order by these signals and then sends them on.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    given = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="prefrl: %(message)s")
    try:
        _serve(given)
    except PrefrlError as error:
        print(f"prefrl: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


def _serve(given: argparse.Namespace) -> None:
    try:
        from prefrl.labelling.service.instructions import read_instructions
        from prefrl.labelling.service.server import ServerOptions, serve
        from prefrl.labelling.service.settings import INSTRUCTIONS, ServiceSettings
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed; pip install 'prefrl[human]'"
        raise ConfigError(missing) from error

    database = given.database or os.environ.get(DATABASE_VARIABLE, "")
    if not database:
        raise ConfigError(f"a database is missing; expected --database or ${DATABASE_VARIABLE}")
    if not given.folder.is_dir():
        raise StorageError(f"there is no folder {given.folder}")
    text = read_instructions(given.instructions) if given.instructions else INSTRUCTIONS
    settings = ServiceSettings(
        instructions=text,
        allowed_hosts=tuple(given.allowed_host),
        public_url=given.public_url,
    )
    serve(
        ServerOptions(
            database=database if "://" in database else Path(database),
            folder=given.folder,
            host=given.host,
            port=given.port,
            ends_with_run=given.ends_with_run,
            takes_over=given.takes_over,
            trusted_proxies=",".join(given.trusted_proxy),
            settings=settings,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m prefrl.labelling.serve", description=main.__doc__)
    parser.add_argument("--database", help=f"its URL, or an SQLite file; else ${DATABASE_VARIABLE}")
    parser.add_argument("--folder", type=Path, required=True, help="of labelling.json: the run's")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: the last one, or any free one")
    parser.add_argument("--public-url", default="", help="address under which others reach it")
    parser.add_argument(
        "--allowed-host", action="append", default=[], help="another name under which it is reached"
    )
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], help="address of a reverse proxy"
    )
    parser.add_argument("--instructions", type=Path, help="what to look for: a Markdown file")
    parser.add_argument("--ends-with-run", action="store_true", help="end when the run has ended")
    parser.add_argument(
        "--takes-over", action="store_true", help="end the service that the folder has already"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
