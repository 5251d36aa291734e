"""Measures the labelling service with many annotators at once, and kills it in the middle.

    cd scripts && python -m lab.labelling --database sqlite postgresql
    cd scripts && python -m lab.labelling --database postgresql://USER@HOST/NAME

`sqlite` is a file in the temporary folder, `postgresql` a server of its own on this machine.

Annotators and service are two processes of one machine. Each annotator asks what a page asks: two
questions ahead, the clips of both sides, progress, that they are there. Three measurements:
answers without thinking time, answers with it, and answers while the service is killed (SIGKILL)
and started anew. Whatever was acknowledged must then be in the database once. One that fails, or a
single unexpected status, is told, and the exit status is 1.

What is measured takes the place of the entry of the same kind of database in the file --out; the
database must be empty. The table of all entries in the file is printed last, in Markdown.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from lab.annotators import Annotator, Work, label
from lab.command_line import OneLineParser, number_above_0
from lab.postgres import postgres
from prefrl.errors import PrefrlError
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.starting import end_process, start_process
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.clips import _add_to_question
from prefrl.records.files import write_text_atomically
from prefrl.testing.made_up import segments

NUM_AT_ONCE = 200  # questions in one call of the store
CLIP_BYTES = 20_000  # of a pair of seconds of a robot, 320 pixels wide
NUM_CLIPS = 200
META = {"fps": 30.0, "num_frames": 50, "counts": [10, 40]}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Service:
    """A labelling service that is a process, killed and started anew under the same address.

    Args:
        url: of the store.
        folder: that of `labelling.json`.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._past_cpu_s = 0.0
        self.start()

    def start(self) -> None:
        """Starts it, and returns when it is reachable."""
        self._process = start_process(
            "prefrl.labelling.serve",
            ["--folder", str(self._folder)],
            self._url,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit("the service could not be started")
        self._at_start_s = self._read_cpu_s()

    def kill(self) -> None:
        """Kills it."""
        self._past_cpu_s = self.cpu_s
        self._at_start_s = self._read_cpu_s()
        self._process.kill()
        self._process.wait()

    @property
    def cpu_s(self) -> float:
        """Returns how long it has computed since it was reachable."""
        return self._past_cpu_s + self._read_cpu_s() - self._at_start_s

    @property
    def address(self) -> tuple[str, int]:
        """Returns its host and its port."""
        url = urlsplit(json.loads((self._folder / "labelling.json").read_text())["url"])
        assert url.hostname is not None
        assert url.port is not None
        return url.hostname, url.port

    def close(self) -> None:
        """Ends it."""
        end_process(self._process, patience_s=10)

    def _read_cpu_s(self) -> float:
        # After the name, which may hold anything in brackets; proc(5): utime and stime.
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS_PER_S


def put(store: LabelStore, num: int) -> None:
    """Puts questions of HalfCheetah's size, each with two clips."""
    rng = np.random.default_rng(0)
    for first in range(0, num, NUM_AT_ONCE):
        left, right = (segments(min(NUM_AT_ONCE, num - first), rng=rng) for _ in range(2))
        made = store.put(left, right, session=0, policy_step=0)
        # At once: one by one they would take longer than what is measured.
        with store._database.writing() as connection:
            for question in made:
                number = question.id % (NUM_CLIPS // 2)
                sides = (f"{side} {number}".encode() for side in "lr")
                _add_to_question(connection, question.id, *sides)
    while (job := store.next_clip_job("lab")) is not None:
        store.put_clip(job.key, rng.bytes(CLIP_BYTES), META)


def measure(
    service: Service,
    store: LabelStore,
    tokens: dict[str, str],
    *,
    num_answers: int,
    think_s: float,
    num_kills: int = 0,
) -> dict[str, Any]:
    """Lets everybody label, and returns what that took and whether the store has all of it."""
    before = {(one.question, one.annotator) for one in store.answers()}
    work = Work(*service.address, num_answers, think_s)

    def kill() -> None:
        for number in range(num_kills):
            while work.acknowledged < num_answers * (number + 1) / (num_kills + 1):
                time.sleep(0.01)
            service.kill()
            service.start()

    service_s, client_s, began_s = service.cpu_s, time.process_time(), time.perf_counter()
    annotators = label(work, tokens, kill)
    seconds = time.perf_counter() - began_s
    client_s, service_s = time.process_time() - client_s, service.cpu_s - service_s
    took_s = _joined(annotators)
    num_requests = sum(len(each) for each in took_s.values())
    given = [one for one in store.answers() if (one.question, one.annotator) not in before]
    found = {(one.question, one.annotator): one.said for one in given}
    told = {
        (number, one.name): said for one in annotators for number, said in one.acknowledged.items()
    }
    return {
        "annotators": len(tokens),
        "think_s": think_s,
        "answers": len(told),
        "seconds": round(seconds, 1),
        "answers_per_s": round(len(told) / seconds, 1),
        "requests_per_s": round(num_requests / seconds, 1),
        "service_cpu_ms_per_request": round(1e3 * service_s / num_requests, 2),
        "service_cores": round(service_s / seconds, 2),
        "client_cores": round(client_s / seconds, 2),
        "load": round(os.getloadavg()[0], 1),
        "kills": num_kills,
        "cut_requests": sum(one.num_cut for one in annotators),
        "errors": [line for one in annotators for line in one.errors],
        "lost": sum(found.get(key) != said for key, said in told.items()),
        "doubled": len(given) - len(found),
        "not_acknowledged": len(found.keys() - told.keys()),
        "ms": {name: _milliseconds(each) for name, each in sorted(took_s.items())},
    }


def _joined(annotators: Sequence[Annotator]) -> dict[str, list[float]]:
    joined: dict[str, list[float]] = {}
    for annotator in annotators:
        for name, took_s in annotator.took_s.items():
            joined.setdefault(name, []).extend(took_s)
    return joined


def _milliseconds(took_s: Sequence[float]) -> dict[str, float]:
    p50, p99, most = np.percentile(1e3 * np.array(took_s), [50, 99, 100])
    return {"num": len(took_s), "p50": round(p50, 1), "p99": round(p99, 1), "max": round(most, 1)}


def table(results: dict[str, Any]) -> list[str]:
    """Writes measurements in Markdown, as docs/labelling.md has them."""
    shown = ("answer", "next", "clip", "progress")
    heads = ("answers", "answers/s", *(f"p50 and p99 of {name}, ms" for name in shown), "wrong")
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for kind, measured in results.items():
        lines.append(f"| {kind} |{' |' * len(heads)}")
        for name, one in measured.items():
            if not isinstance(one, dict):
                continue  # of the machine
            times = [f"{one['ms'][of]['p50']:,.0f}, {one['ms'][of]['p99']:,.0f}" for of in shown]
            num_wrong = sum(one[what] for what in ("lost", "doubled", "not_acknowledged"))
            wrong = f"{num_wrong + len(one['errors'])}"
            row = (f"{one['answers']:,}", f"{one['answers_per_s']}", *times, wrong)
            lines.append(f"| {name} | {' | '.join(row)} |")
    return lines


def is_good(result: dict[str, Any]) -> bool:
    """Tells whether nothing went wrong, and nothing is missing or there twice."""
    return not any(result[name] for name in ("errors", "lost", "doubled", "not_acknowledged"))


@contextmanager
def opened(database: str | None, folder: Path) -> Iterator[LabelStore]:
    """Opens an empty store.

    Raises:
        SystemExit: it cannot be used, or holds questions.
    """
    try:
        store = LabelStore(database or folder / "labels.sqlite")
        if any(vars(store.counts()).values()):
            raise SystemExit(f"{store.name} holds questions already; expected an empty database")
    except PrefrlError as error:
        raise SystemExit(str(error)) from None
    try:
        yield store
    finally:
        store.close()


def measure_all(database: str, options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Returns the kind of a database, and everything that is measured of it."""
    plan: dict[str, dict[str, Any]] = {
        "without thinking time": {"num_answers": options.answers, "think_s": 0.0},
        "with thinking time": {"num_answers": options.thinking_answers, "think_s": options.think_s},
        "killed": {
            "num_answers": options.killed_answers,
            "think_s": 0.0,
            "num_kills": options.kills,
        },
    }
    results: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    server = postgres() if database == "postgresql" else nullcontext(database)
    with (
        tempfile.TemporaryDirectory() as folder,
        server as url,
        opened(None if database == "sqlite" else url, Path(folder)) as store,
    ):
        began_s = time.monotonic()
        num_answers = sum(one["num_answers"] for one in plan.values())
        names = [f"annotator {number}" for number in range(2, options.annotators + 2)]
        tokens = {name: store.add_annotator(name) for name in names}
        # Everybody holds two that they do not come to any more, for which the budget keeps room.
        num_questions = num_answers + 2 * len(plan) * len(names)
        store.set_settings(StoreSettings(budget=num_questions))
        put(store, num_questions)
        kind = "SQLite" if store.url.startswith("sqlite") else "PostgreSQL"
        _say(f"{kind}: {num_questions:,} questions were put in {time.monotonic() - began_s:.0f} s")
        service = Service(store.url, Path(folder))
        try:
            for name, what in plan.items():
                results[name] = measure(service, store, tokens, **what)
                _say(f"{kind}, {name}: {json.dumps(results[name])}")
        finally:
            service.close()
    return kind, results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints Markdown, and writes the result; returns the exit status."""
    parser = OneLineParser(
        prog="python -m lab.labelling", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--database",
        nargs="+",
        default=["sqlite"],
        metavar="sqlite|postgresql|URL",
        help="one or several; the database of a URL must be empty",
    )
    parser.add_argument("--annotators", type=number_above_0, default=50)
    parser.add_argument("--answers", type=number_above_0, default=10_000)
    parser.add_argument("--thinking-answers", type=number_above_0, default=1_500)
    parser.add_argument("--killed-answers", type=number_above_0, default=1_000)
    parser.add_argument("--think-s", type=float, default=3.6)
    parser.add_argument("--kills", type=number_above_0, default=3)
    parser.add_argument("--out", type=Path, help="JSON that receives the result")
    options: argparse.Namespace = parser.parse_args(words)
    known: dict[str, Any] = {}
    if options.out is not None and options.out.exists():
        known = json.loads(options.out.read_text())
    is_all_good = True
    for database in options.database:
        kind, results = measure_all(database, options)
        known[kind] = results
        is_all_good &= all(is_good(one) for one in results.values() if isinstance(one, dict))
        if options.out is not None:
            write_text_atomically(options.out, json.dumps(known, indent=1) + "\n")
    print(*table(known), sep="\n")
    return 0 if is_all_good else 1


if __name__ == "__main__":
    sys.exit(main())
