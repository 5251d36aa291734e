"""`python -m prefrl.labelling.serve`: the process that serves questions, answers and the page."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from prefrl.errors import ConfigError, PrefrlError, StorageError, printable
from prefrl.labelling.starting import DATABASE_VARIABLE


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
        from prefrl.labelling.service.process import ServiceProcess, serve
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
        ServiceProcess(
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
