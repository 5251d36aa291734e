"""A teacher in a process of its own, that answers late, out of order, and some questions never.

The process reads questions from `asked.jsonl`, a line each, and writes answers to `said.jsonl`.
`LateTeacher` is what the run sees of it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.feedback.protocols import Answer

NEVER_EVERY = 7
SKIP_EVERY = 5


def is_never_answered(number):
    return number % NEVER_EVERY == 3


def is_skipped(number):
    return number % SKIP_EVERY == 4


class LateTeacher:
    """Hands questions to the process, and brings back what it has said."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.position = 0

    def ask(self, questions):
        with (self.folder / "asked.jsonl").open("a") as file:
            for question in questions:
                returns = [float(s.true_returns[0]) for s in (question.left, question.right)]
                windows = [
                    [int(s.episode[0]), int(s.start[0])] for s in (question.left, question.right)
                ]
                row = {"id": question.id, "returns": returns, "windows": windows}
                file.write(json.dumps(row) + "\n")

    def collect(self):
        rows = whole_rows(self.folder / "said.jsonl")
        new, self.position = rows[self.position :], len(rows)
        return [
            Answer(row["id"], np.nan if row["p_left"] is None else row["p_left"], "late")
            for row in new
        ]

    def said(self):
        """Returns the questions that the process has answered so far."""
        return {row["id"] for row in whole_rows(self.folder / "said.jsonl")}

    def collected(self):
        """Returns those whose answers were brought back."""
        return {row["id"] for row in whole_rows(self.folder / "said.jsonl")[: self.position]}

    def answerable(self):
        """Returns the questions asked so far that are answered sooner or later."""
        asked = {row["id"] for row in whole_rows(self.folder / "asked.jsonl")}
        return {number for number in asked if not is_never_answered(number)}


def whole_rows(path):
    """Returns the whole lines of a file that is being written."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def answer_questions(folder):
    """Works until it is killed: reads what is asked, and answers the newest questions first."""
    asked, said = folder / "asked.jsonl", folder / "said.jsonl"
    known: dict[int, Any] = {}
    answered: set[int] = set()
    (folder / "ready").touch()
    while True:
        for row in whole_rows(asked):
            known.setdefault(row["id"], row)  # a question that is asked again is known
        open_ones = sorted(set(known) - answered, reverse=True)
        for number in open_ones[:3]:
            answered.add(number)
            if is_never_answered(number):
                continue
            left, right = known[number]["returns"]
            p_left = None if is_skipped(number) else float(left > right)
            with said.open("a") as file:
                file.write(json.dumps({"id": number, "p_left": p_left}) + "\n")
        time.sleep(0.02)


if __name__ == "__main__":
    answer_questions(Path(sys.argv[1]))
