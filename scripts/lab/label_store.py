"""Measures how fast a store of labels hands out questions and takes answers in.

    cd scripts && python -m lab.label_store                  SQLite in the temporary folder
    cd scripts && python -m lab.label_store --processes      8 processes instead of 8 threads
    cd scripts && python -m lab.label_store --database postgresql://USER@HOST/NAME

Each annotator takes a question and answers it at once, over and over.
"""

import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from lab.command_line import OneLineParser, number_above_0
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.testing.made_up import segments

NUM_QUESTIONS = 200


def put(store: LabelStore, num: int) -> None:
    """Puts questions of HalfCheetah's size."""
    rng = np.random.default_rng(0)
    left, right = (segments(NUM_QUESTIONS, rng=rng) for _ in range(2))
    for _ in range(0, num, NUM_QUESTIONS):
        store.put(left, right, session=0, policy_step=0)


def label(store: LabelStore, name: str, until_s: float) -> dict[str, list[float]]:
    """Answers until the time is over, and returns how long each call took, in seconds."""
    took: dict[str, list[float]] = {"next_question": [], "give": []}
    while time.time() < until_s:
        began = time.perf_counter()
        leased = store.next_question(name)
        took["next_question"].append(time.perf_counter() - began)
        if leased is None:
            raise SystemExit("there are no questions left; ask for more with --questions")
        began = time.perf_counter()
        store.give(name, leased.question, "left", response_time_s=1.0)
        took["give"].append(time.perf_counter() - began)
    return took


def in_process(database: str, name: str, begins_s: float, ends_s: float, results: Any) -> None:
    """Labels in a process of its own, from a moment on that all of them wait for."""
    store = LabelStore(database)
    store.annotators()
    time.sleep(max(begins_s - time.time(), 0))
    results.put(label(store, name, ends_s))


def main() -> None:
    """Measures, and prints calls a second and milliseconds a call."""
    parser = OneLineParser(
        prog="python -m lab.label_store", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--database", help="URL of an empty one; SQLite in a temporary folder")
    parser.add_argument("--annotators", type=number_above_0, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--questions", type=number_above_0, default=10_000)
    parser.add_argument("--processes", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = LabelStore(args.database or Path(folder) / "labels.sqlite")
        store.set_settings(StoreSettings(needs_clips=False, budget=args.questions))
        names = [f"annotator {number}" for number in range(args.annotators)]
        for name in names:
            store.add_annotator(name)
        put(store, args.questions)
        took: list[dict[str, list[float]]] = []
        if args.processes:
            context = multiprocessing.get_context("spawn")
            results = context.Queue()
            begins_s = time.time() + 5 + 2 * args.annotators
            ends_s = begins_s + args.seconds
            processes = [
                context.Process(
                    target=in_process, args=(store.url, name, begins_s, ends_s, results)
                )
                for name in names
            ]
            for process in processes:
                process.start()
            took = [results.get() for _ in processes]
            for process in processes:
                process.join()
        else:
            ends_s = time.time() + args.seconds
            threads = [
                threading.Thread(target=lambda name=name: took.append(label(store, name, ends_s)))
                for name in names
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        counts = store.counts()
        store.close()
    num_given = sum(len(one["give"]) for one in took)
    if counts.answers != num_given:
        raise SystemExit(f"{num_given} answers were given, but {counts.answers} are there")
    for call in ("next_question", "give"):
        milliseconds = 1e3 * np.array([ms for one in took for ms in one[call]])
        p50, p99 = np.percentile(milliseconds, [50, 99])
        rate = len(milliseconds) / args.seconds
        print(f"{call:14} {rate:7.1f}/s  p50 {p50:7.1f} ms  p99 {p99:7.1f} ms")


if __name__ == "__main__":
    main()
