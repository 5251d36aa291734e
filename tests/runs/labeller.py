"""A labeller that is a script: it answers over HTTP, as a page does."""

import threading
import time
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.label_client import AwayError, LabelClient

Judge = Callable[[Mapping[str, Any]], str]
"""Both sides of a question -> left, right, tie or skip."""


class Labeller(threading.Thread):
    """Answers a run's questions until its service is gone for good.

    Args:
        folder: of the run; its `labelling.json` may not be there yet.
        judge: says what is better.
        sees_clips: it is handed questions when their clips are there, as a page is; else it takes
            them from the owner's list, and waits for no renderer.

    What it has sent stands in `said`; once it was told that it is kept, in `given` as well.
    """

    def __init__(self, folder: Path, judge: Judge, *, sees_clips: bool = True) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self._client = LabelClient(folder)
        self.judge = judge
        self.said: dict[int, str] = {}
        self.sees_clips = sees_clips
        self.given: dict[int, str] = {}
        self.seen: dict[str, Any] = {}
        self.fault = ""
        self.is_over = threading.Event()

    def run(self) -> None:
        """Answers question after question."""
        while not self.is_over.is_set():
            try:
                if not self._answer_one():
                    time.sleep(0.05)
            except AwayError:
                time.sleep(0.05)
            except urllib.error.HTTPError as error:
                self.fault = f"{error.url}: {error.code} {error.read().decode()}"
                return

    def _answer_one(self) -> bool:
        links = self.folder / "labelling.json"
        if not links.exists():
            return False
        self.seen["mode"] = links.stat().st_mode & 0o777
        number = self._handed() if self.sees_clips else self._listed()
        if number is None:
            return False
        ask = self._client.ask
        self.seen["overview"] = ask("GET", "overview", as_owner=True)
        self.seen["rows"] = ask("GET", "questions", as_owner=True)["questions"]
        said = self.judge(ask("GET", f"questions/{number}/segments", as_owner=True))
        self.said[number] = said
        ask("PUT", f"questions/{number}/answer", {"answer": said, "response_time_s": 0.1})
        self.given[number] = said
        return True

    def _handed(self) -> int | None:
        question = self._client.ask("GET", "questions/next")
        self.seen["progress"] = self._client.ask("GET", "progress")
        if question is None:
            return None
        self.seen["clip"] = question["left"]
        return int(question["id"])

    def _listed(self) -> int | None:
        listed = self._client.ask("GET", "questions?state=open", as_owner=True)["questions"]
        return min((int(one["id"]) for one in listed), default=None)
