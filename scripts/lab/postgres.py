"""A PostgreSQL server of a measurement's own, from the binaries that Debian installs."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_USER = "prefrl"
_ACCOUNT = "postgres"  # The server refuses to run as root.


@contextmanager
def postgres() -> Iterator[str]:
    """Starts a server in a temporary folder, as it is set up by default, and yields its URL.

    Raises:
        SystemExit: PostgreSQL is not installed.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parts[-2]))
    if not folders:
        raise SystemExit("PostgreSQL is not installed; apt-get install postgresql")
    account: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        if os.geteuid() == 0:
            shutil.chown(home, _ACCOUNT, _ACCOUNT)
            account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}

        def call(program: str, *words: str) -> None:
            with (home / "out").open("ab") as out:
                subprocess.run(
                    [folders[-1] / program, "-D", str(home / "data"), *words],
                    cwd=home,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    **account,
                )

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        call("initdb", "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {home}"
        call("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://{_USER}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-w", "-m", "fast", "stop")
