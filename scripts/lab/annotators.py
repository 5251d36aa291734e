"""Annotators that are threads: each asks the labelling service what a page in a browser asks."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

API = "/api/v1"
# As often a page asks how far it all is, and says that somebody still looks at it; seconds.
PROGRESS_S, PRESENCE_S, RUN_S = 5.0, 20.0, 15.0
# So long a page waits for a service that is not there, and for one that has nothing to ask.
AWAY_S, NOTHING_S = 0.1, 0.2
TIMEOUT_S = 60.0


@dataclass
class Work:
    """The work that all annotators of a measurement share.

    Args:
        host: of the service.
        port: likewise.
        num_answers: after so many they stop.
        think_s: mean time from when a question is seen to its answer; drawn evenly from half of it
            to one and a half.
    """

    host: str
    port: int
    num_answers: int
    think_s: float
    begun: int = 0
    acknowledged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def takes_one(self) -> bool:
        """Tells whether one more answer is wanted, which is then begun."""
        with self.lock:
            if self.begun == self.num_answers:
                return False
            self.begun += 1
            return True

    def heard(self) -> None:
        """Counts an answer that the service has acknowledged."""
        with self.lock:
            self.acknowledged += 1


class Annotator(threading.Thread):
    """Answers question after question: the next pair is loaded while one is looked at.

    A request whose connection is cut is sent again until it is answered, as a page does.

    Args:
        name: the annotator's.
        token: theirs.
        work: what is to be done.
        seed: of thinking times and answers.
    """

    def __init__(self, name: str, token: str, work: Work, *, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self._work, self._rng = work, np.random.default_rng(seed)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = self._connected()
        self._due: dict[str, float] = {}
        self.took_s: dict[str, list[float]] = {}
        self.acknowledged: dict[int, str] = {}
        self.errors: list[str] = []
        self.num_cut = 0

    def run(self) -> None:
        """Labels until enough is answered; an unforeseen error is kept as a line."""
        try:
            self._label()
        except Exception as error:  # noqa: BLE001 - a thread must tell whoever waits for it
            self.errors.append(f"{self.name}: {error!r}")
        finally:
            self._connection.close()

    def _label(self) -> None:
        # Nobody comes at the same moment as everybody else.
        time.sleep(self._rng.random() * self._work.think_s)
        self._ask("me", "GET", "/annotators/me")
        current = None
        while self._work.takes_one():
            while current is None:
                current = self._next("/questions/next")
                if current is None:
                    time.sleep(NOTHING_S)
            following = self._next(f"/questions/next?after={current}")
            self._look_around()
            time.sleep(self._rng.uniform(0.5, 1.5) * self._work.think_s)
            said = ("left", "right")[self._rng.integers(2)]
            answer = {"answer": said, "response_time_s": self._work.think_s}
            status, _ = self._ask("answer", "PUT", f"/questions/{current}/answer", answer)
            if status == 204:
                self.acknowledged[current] = said
                self._work.heard()
            current = following

    def _next(self, path: str) -> int | None:
        """Returns a question's id, once both of its clips are loaded."""
        status, said = self._ask("next", "GET", path, expected=(200, 204))
        if status != 200:
            return None
        question: dict[str, Any] = json.loads(said)
        for side in ("left", "right"):
            if address := question[side]:
                self._ask("clip", "GET", address.removeprefix(API), expected=(200,))
        return int(question["id"])

    def _look_around(self) -> None:
        for name, method, path, every_s in (
            ("progress", "GET", "/progress", PROGRESS_S),
            ("run", "GET", "/run", RUN_S),
            ("presence", "PUT", "/annotators/me/presence", PRESENCE_S),
        ):
            if time.monotonic() >= self._due.get(name, 0.0):
                self._due[name] = time.monotonic() + every_s
                self._ask(name, method, path)

    def _ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        expected: tuple[int, ...] = (200, 204),
    ) -> tuple[int, bytes]:
        """Sends a request until it is answered; returns the status and the body."""
        sent = None if body is None else json.dumps(body)
        while True:
            began = time.perf_counter()
            try:
                self._connection.request(method, API + path, sent, self._headers)
                response = self._connection.getresponse()
                said = response.read()
            except (OSError, http.client.HTTPException):
                self.num_cut += 1
                self._connection.close()
                self._connection = self._connected()
                time.sleep(AWAY_S)
                continue
            self.took_s.setdefault(name, []).append(time.perf_counter() - began)
            if response.status not in expected:
                self.errors.append(f"{method} {path}: {response.status} {said[:200]!r}")
            return response.status, said

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._work.host, self._work.port, timeout=TIMEOUT_S)


def label(
    work: Work, tokens: dict[str, str], meanwhile: Callable[[], None] = lambda: None
) -> list[Annotator]:
    """Lets annotators label, and returns them when all have stopped.

    Args:
        work: what is to be done.
        tokens: by the names of the annotators.
        meanwhile: called once, when all have begun.
    """
    annotators = [
        Annotator(name, token, work, seed=seed) for seed, (name, token) in enumerate(tokens.items())
    ]
    for annotator in annotators:
        annotator.start()
    meanwhile()
    for annotator in annotators:
        annotator.join()
    return annotators
