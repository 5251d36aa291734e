"""Real processes are killed at any moment: no acknowledged answer is lost, and none doubled."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from tests.waiting import is_alive, wait_until

ROOT = Path(__file__).parents[3]
PEOPLE = ("ann", "bob", "cyd")
NUM_KILLS = 15


class Nursery:
    """Processes by name, killed and started again."""

    def __init__(self, database, folder):
        self.folder = folder
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "tests.labelling.store.nursery", str(database), str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running: dict[str, int] = {}

    def start(self, name):
        print(name, file=self.process.stdin, flush=True)
        self.running[name] = int(self.process.stdout.readline())

    def kill(self, name):
        pid = self.running.pop(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))  # What it was at in the kernel comes to its end.

    def lines(self, name):
        with contextlib.suppress(FileNotFoundError):
            return [line.split() for line in (self.folder / name).read_text().splitlines()]
        return []

    def end(self):
        for name in list(self.running):
            self.kill(name)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def wait_for_more(nursery, name, num):
    """Waits until a process has done something more, so that each kill is one at work."""
    before = len(nursery.lines(name))
    wait_until(lambda: len(nursery.lines(name)) >= before + num)


def kill_and_check(database, folder, in_the_middle=lambda: None):
    store = LabelStore(database)
    store.set_settings(StoreSettings(needs_clips=False, overlap=0.3, lease_s=0.3))
    for name in PEOPLE:
        store.add_annotator(name)
    store.close()
    rng = random.Random(0)
    nursery = Nursery(database, folder)
    try:
        for name in ("run", *PEOPLE):
            nursery.start(name)
        for number in range(NUM_KILLS):
            name = PEOPLE[number % 3]
            wait_for_more(nursery, name, rng.randint(1, 4))
            time.sleep(rng.random() * 0.02)
            nursery.kill(name)
            nursery.start(name)
            if number % 8 == 7:
                nursery.kill("run")
                nursery.start("run")
            if number == NUM_KILLS // 2:
                in_the_middle()
    finally:
        nursery.end()
    check(database, nursery)


def wait_for_the_dead(store):
    """Waits until PostgreSQL has ended what the killed had asked it to do: it goes on with that."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )

    def are_gone():
        with store._database.reading() as connection:
            return connection.execute(others).scalar_one() == 0

    if not store._database.is_sqlite:
        wait_until(are_gone)


def check(database, nursery):
    store = LabelStore(database)
    wait_for_the_dead(store)
    found = {(one.question, one.annotator): one.said for one in store.answers()}
    assert len(found) == len(store.answers())
    num_done = 0
    for name in PEOPLE:
        said: dict[int, set[str]] = {}
        for word, number, what in nursery.lines(name):
            known = said.setdefault(int(number), {"undone"})
            if word == "done":
                said[int(number)] = {what}
                num_done += 1
            elif word == "try":
                known.add(what)  # It may have been done, if the kill came before it was told.
            else:
                known.discard(what)
        for number, allowed in said.items():
            assert found.pop((number, name), "undone") in allowed
    assert found == {}
    assert num_done > NUM_KILLS
    put = [int(number) for _, _, *made in nursery.lines("run") for number in made]
    standings = store.standings()
    assert set(put) <= set(standings) == set(range(len(standings)))
    for number, one in standings.items():
        votes = [o for o in store.answers() if o.question == number and o.said != "skip"]
        assert len(votes) <= 2
        assert (one.state == "answered") <= bool(votes)
    store.close()


def test_sqlite_loses_and_doubles_nothing(tmp_path):
    kill_and_check(tmp_path / "labels.sqlite", tmp_path)


def test_postgresql_loses_and_doubles_nothing_though_it_is_killed_itself(
    durable_postgres, tmp_path
):
    def has_begun_again():
        with contextlib.suppress(subprocess.CalledProcessError):
            durable_postgres.start()
            return True
        return False  # What it had started has yet to see that it is gone.

    def kill_the_server():
        os.kill(durable_postgres.main_process, signal.SIGKILL)
        wait_until(has_begun_again)

    kill_and_check(durable_postgres.new_database(), tmp_path, kill_the_server)
