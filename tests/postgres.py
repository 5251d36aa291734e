"""A PostgreSQL cluster of a test's own, from the binaries that Debian installs."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.schema import metadata, revision
from tests.ports import free_port
from tests.waiting import PATIENCE_S

# Debian keeps them off the path, by version.
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_ACCOUNT = "postgres"  # The server refuses to run as root.


def skip_without_postgres():
    if not (_FOLDERS or shutil.which("initdb")):
        pytest.skip("PostgreSQL is not installed")


class Cluster:
    """A server in a folder of its own; `is_durable` leaves its syncing of files on."""

    def __init__(self, *, is_durable=False):
        self.root = Path(tempfile.mkdtemp(prefix="prefrl-postgres-"))
        self.is_durable = is_durable
        self.account: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self.root, _ACCOUNT, _ACCOUNT)
            self.account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
        self._call(
            *("initdb", "-D", self.root / "data", "-U", "prefrl", "-A", "trust", "--no-sync"),
            *("-E", "UTF8", "--locale=C.UTF-8"),
        )
        self.port = free_port()
        self.start()

    def start(self):
        fast = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.root} -c shared_buffers=16MB"
        )
        options = options if self.is_durable else f"{options} {fast}"
        self._control("-l", self.root / "log", "-o", options, "start")

    def stop(self, mode="immediate"):
        self._control("-m", mode, "stop")

    def freeze(self):
        """Stops the server where it is: it refuses nothing, and answers nothing, until `thaw`."""
        for number in self._processes():
            os.kill(number, signal.SIGSTOP)

    def thaw(self):
        for number in self._processes():
            os.kill(number, signal.SIGCONT)

    def _processes(self):
        """Returns the server's main process, and those that it has made for its connections."""
        main = self.main_process
        children = Path(f"/proc/{main}/task/{main}/children").read_text()
        return [main, *map(int, children.split())]

    @property
    def main_process(self):
        return int((self.root / "data/postmaster.pid").read_text().splitlines()[0])

    def new_database(self, template=None):
        """Makes an empty database, or a copy of another one, and returns its URL."""
        name = f"t{uuid.uuid4().hex[:12]}"
        like = f" TEMPLATE {template.rsplit('/', 1)[-1]}" if template else ""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}{like}")
        return f"postgresql://prefrl@127.0.0.1:{self.port}/{name}"

    def remove(self):
        with contextlib.suppress(OSError):  # of one that is stopped
            self.thaw()
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def _address(self, database):
        return f"host=127.0.0.1 port={self.port} user=prefrl dbname={database}"

    def _control(self, *arguments):
        patience = ("-w", "-t", int(PATIENCE_S))
        self._call("pg_ctl", "-D", self.root / "data", *patience, *arguments)

    def _call(self, program, *arguments):
        path = _FOLDERS[-1] / program if _FOLDERS else shutil.which(program)
        # Into a file: what the server inherits would be waited for.
        with (self.root / f"{program}.out").open("wb") as out:
            subprocess.run(
                [path, *map(str, arguments)],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=True,
                **self.account,
            )


def emptied(url):
    """Makes a database a store of labels with nothing in it, and returns its URL."""
    store = LabelStore(url)
    with store._database.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(revision.insert().values(id=1, number=0))
    store.close()
    return url
