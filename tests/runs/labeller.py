"""A labeller that is a script: it answers over HTTP, as a page does."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_S

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
            except urllib.error.HTTPError as error:
                # Withdrawn or leased anew meanwhile, or the database is busy: all else is a fault.
                if error.code not in (409, 410, 503):
                    self.fault = f"{error.url}: {error.code} {error.read().decode()}"
                    return
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                time.sleep(0.05)  # It is not there yet, is being started anew, or has ended.

    def _answer_one(self) -> bool:
        links = self.folder / "labelling.json"
        if not links.exists():
            return False
        self.seen["mode"] = links.stat().st_mode & 0o777
        where = json.loads(links.read_text())
        as_owner = {**where, "token": where["owner_token"]}
        number = self._handed(where) if self.sees_clips else self._listed(as_owner)
        if number is None:
            return False
        self.seen["overview"] = self._call(as_owner, "GET", "overview")
        self.seen["rows"] = self._call(as_owner, "GET", "questions")["questions"]
        said = self.judge(self._call(as_owner, "GET", f"questions/{number}/segments"))
        self.said[number] = said
        answer = {"answer": said, "response_time_s": 0.1}
        self._call(where, "PUT", f"questions/{number}/answer", answer)
        self.given[number] = said
        return True

    def _handed(self, where: Mapping[str, str]) -> int | None:
        question = self._call(where, "GET", "questions/next")
        self.seen["progress"] = self._call(where, "GET", "progress")
        if question is None:
            return None
        self.seen["clip"] = question["left"]
        return int(question["id"])

    def _listed(self, as_owner: Mapping[str, str]) -> int | None:
        listed = self._call(as_owner, "GET", "questions?state=open")["questions"]
        return min((int(one["id"]) for one in listed), default=None)

    def _call(self, where: Mapping[str, str], method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{where['url']}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {where['token']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            said = response.read()
        return json.loads(said) if said else None
