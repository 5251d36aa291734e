"""Answers and counts, read from the store no more often than it has time for.

Everybody who labels asks for the progress every few seconds. Of a store with many answers that
takes time, which answers would wait for.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from prefrl.labelling.rows import Counts, GivenAnswer, Pending
from prefrl.labelling.store import LabelStore

_Value = TypeVar("_Value")
# What takes no longer is made each time; else it takes at most a tenth of the time.
_SHORT_S = 0.02
_REST = 10.0


class Remembered(Generic[_Value]):
    """Makes a value when it is asked for, in one thread at a time; remembers one that took long.

    Args:
        make: returns it.
        clock: seconds, never running back.
        cpu: seconds that the calling thread has computed; waiting is nobody's load.
    """

    def __init__(
        self,
        make: Callable[[], _Value],
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._make, self._clock, self._cpu = make, clock, cpu
        self._lock = threading.Lock()
        # When it was begun, until when it is good enough, and the value itself.
        self._known: tuple[float, float, _Value] | None = None

    def get(self) -> _Value:
        """Returns the value; whatever makes it may raise."""
        asked_s = self._clock()
        with self._lock:
            now_s = self._clock()
            # Those who waited for the same share what was begun after they had asked.
            if self._known is None or (now_s >= self._known[1] and self._known[0] <= asked_s):
                begun_cpu_s = self._cpu()
                value = self._make()
                took_s = self._cpu() - begun_cpu_s
                rest_s = _REST * took_s if took_s > _SHORT_S else 0.0
                self._known = (now_s, self._clock() + rest_s, value)
            return self._known[2]


class Digest:
    """Sums a store up for many who ask."""

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._revision = -1
        self._by_annotator: Mapping[str, Sequence[GivenAnswer]] = {}
        self._counts = Remembered(store.counts)
        self._pending = Remembered(store.pending)
        self._answers = Remembered(self._read_answers)
        self._num_unrendered = Remembered(store.num_unrendered)
        self._clip_failures = Remembered(store.clip_failures)

    def counts(self) -> Counts:
        """Returns how many questions and answers there are."""
        return self._counts.get()

    def pending(self) -> Pending:
        """Returns how many questions wait for an answer, and how many the budget has paid for."""
        return self._pending.get()

    def answers(self) -> Mapping[str, Sequence[GivenAnswer]]:
        """Returns the answers by annotator."""
        return self._answers.get()

    def num_unrendered(self) -> int:
        """Returns how many pending questions cannot be shown yet."""
        return self._num_unrendered.get()

    def clip_failures(self) -> Mapping[int, str]:
        """Returns the pending questions that cannot be shown at all, and why."""
        return self._clip_failures.get()

    def _read_answers(self) -> Mapping[str, Sequence[GivenAnswer]]:
        # Asked for first: what changes meanwhile is read once more next time.
        revision = self._store.revision()
        if revision != self._revision:
            found: dict[str, list[GivenAnswer]] = {}
            for answer in self._store.answers():
                found.setdefault(answer.annotator, []).append(answer)
            self._by_annotator, self._revision = found, revision
        return self._by_annotator
