"""Measures what asking costs beside thousands of questions that were answered.

    python scripts/lab/store_speed.py [questions]

Prints milliseconds of `collect` where nothing has changed, of `collect` after one answer, and of
putting 20 more; the best of several times, with segments of 50 steps and uniform choice.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefrl.feedback.protocols import Answer
from prefrl.queries import Uniform
from prefrl.seeding import Streams
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource
from prefrl.session.questions import MemoryQuestions
from prefrl.testing.made_up import Dims, LinearPredictor, segments

NUM_MORE = 20
TIMES = 5


class Silent:
    """Leaves everything to whoever answers in the store."""

    def ask(self, questions: Sequence[Any]) -> None:
        """Does nothing: the questions are in the store."""

    def collect(self) -> list[Answer]:
        """Brings nothing: so are the answers."""
        return []


def best_ms(call: Callable[[], object]) -> float:
    """Returns the milliseconds that a call takes at best."""
    taken = []
    for _ in range(TIMES):
        began_s = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began_s)
    return 1_000 * min(taken)


def measured(num: int) -> dict[str, float]:
    """Returns milliseconds by what was done, with so many answered questions."""
    store = MemoryQuestions()
    pool = segments(4_000, rng=np.random.default_rng(0), dims=Dims(segment_length=50))
    chooser = Chooser(FixedSource(pool, 200), Uniform(), LinearPredictor(), Streams(0))
    asker = Asker(chooser, Silent(), questions=store)
    asker.ask(num, session=0)
    store.answer([Answer(number, float(number % 2), "ann") for number in range(num)])
    asker.collect(0)
    total, undone = num, 0

    def collect_one() -> None:
        nonlocal undone
        store.undo("ann", undone)
        store.answer([Answer(undone, 0.5, "ann")])
        undone += 1
        asker.collect(0)

    def put_more() -> None:
        nonlocal total
        total += NUM_MORE
        asker.ask_missing(total, session=1, is_fitted=True)

    return {
        "collect, nothing changed": best_ms(lambda: asker.collect(1)),
        "collect, an answer replaced": best_ms(collect_one),
        f"put {NUM_MORE} more": best_ms(put_more),
    }


def main() -> None:
    """Prints what was measured."""
    num = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for name, ms in measured(num).items():
        print(f"{num:,} questions, {name}: {ms:.2f} ms")


if __name__ == "__main__":
    main()
