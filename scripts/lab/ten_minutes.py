"""Measures what ten minutes of a person are worth: a cheetah from a hundred answers at their pace.

    cd scripts && python -m lab.ten_minutes --seeds 1 2 3 4 5

Each run is `prefrl run --env HalfCheetah-v4 --agent crossq --teacher human`, from the command to
its end, all of it: loading, rendering, waiting. Its labeller is a script that talks to the service
over HTTP as a page does. It is given a question once both clips are rendered, takes as long as a
person (3.6 seconds an answer, Christiano et al. 2017), prefers the cheetah that runs faster for
less effort, as far as observations and actions show it, and is wrong one time in ten.

The result is a JSON with one row a seed; the true return is of the final policy, which nobody
showed to the labeller.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lab.command_line import OneLineParser, number_above_0
from lab.label_client import AwayError, LabelClient
from prefrl.records import run_folder
from prefrl.records.files import write_text_atomically

OUT = Path(__file__).parents[2] / "docs/benchmarks/labelling/ten_minutes.json"
SECONDS_AN_ANSWER = 3.6
WRONG_SHARE = 0.1
NOTHING_S = 0.1  # So long it waits where nothing is asked.
# Of HalfCheetah's observations and reward: the torso's velocity in m/s, and what effort costs.
FORWARD, EFFORT = 8, 0.1


def shown(side: Mapping[str, Any]) -> float:
    """Returns how much a side shows of what is wanted: speed, less effort, summed over its steps.

    Args:
        side: observations (T, O) and actions (T, A) of a segment of HalfCheetah-v4.
    """
    observations, actions = np.array(side["observations"]), np.array(side["actions"])
    return float(observations[:, FORWARD].sum() - EFFORT * np.square(actions).sum())


@dataclass(eq=False)  # A thread is known by what it is, not by what it has.
class Person(threading.Thread):
    """A labeller at a person's pace, until told that the run has ended.

    Args:
        folder: of the run.
        seed: of the answers that are wrong.
    """

    folder: Path
    seed: int
    num_answers: int = 0
    num_wrong: int = 0
    first_seen_s: float | None = None
    fault: Exception | None = None
    has_ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._client = LabelClient(self.folder)
        self._rng = np.random.default_rng(self.seed)

    def run(self) -> None:
        """Labels; an unforeseen error is kept for whoever waits."""
        try:
            while not self.has_ended.is_set():
                with contextlib.suppress(AwayError):
                    if self._answer_one():
                        continue
                time.sleep(NOTHING_S)
        except Exception as error:  # noqa: BLE001 - a thread must tell whoever waits for it
            self.fault = error

    def _answer_one(self) -> bool:
        question = self._client.ask("GET", "questions/next")
        if question is None:
            return False
        seen_s = time.monotonic()
        self.first_seen_s = self.first_seen_s or time.time()
        number = question["id"]
        sides = self._client.ask("GET", f"questions/{number}/segments", as_owner=True)
        is_left = shown(sides["left"]) > shown(sides["right"])
        is_wrong = self._rng.random() < WRONG_SHARE
        time.sleep(max(seen_s + SECONDS_AN_ANSWER - time.monotonic(), 0.0))
        said = "left" if is_left != is_wrong else "right"
        answer = {"answer": said, "response_time_s": SECONDS_AN_ANSWER}
        self._client.ask("PUT", f"questions/{number}/answer", answer)
        self.num_answers += 1
        self.num_wrong += is_wrong
        return True


def measure(folder: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs one seed, and returns its row."""
    words = ["--env", "HalfCheetah-v4", "--agent", "crossq", "--teacher", "human", "--no-open"]
    sizes = {"steps": arguments.steps, "budget": arguments.budget, "seed": seed}
    words += [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    person = Person(folder, seed)
    person.start()
    began_s = time.time()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".log").open("w") as log:
        status = subprocess.call(
            [sys.executable, "-m", "prefrl", "run", *words, "--out", str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    wall_s = time.time() - began_s
    person.has_ended.set()
    person.join()
    if person.fault is not None:
        raise person.fault
    if status:
        raise SystemExit(f"the run has failed; see {folder.with_suffix('.log')}")
    summary = json.loads((folder / run_folder.SUMMARY).read_text())
    assert person.first_seen_s is not None
    return {
        "seed": seed,
        "true_return": summary["final_true_return_mean"],
        "wall_s": wall_s,
        "first_question_s": person.first_seen_s - began_s,
        "cpu_s": summary["cpu_s"],
        "num_answers": person.num_answers,
        "num_wrong": person.num_wrong,
        "learned_from": summary["num_answers"],
    }


def main(words: Sequence[str] | None = None) -> int:
    """Measures all seeds, and writes the result."""
    parser = OneLineParser("ten_minutes", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--jobs", type=number_above_0, default=1, help="runs side by side")
    parser.add_argument("--steps", type=number_above_0, default=20_000)
    parser.add_argument("--budget", type=number_above_0, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs/ten_minutes"), help="run folders")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args(words)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(
            pool.map(
                lambda seed: measure(arguments.runs / f"seed{seed}", seed, arguments),
                arguments.seeds,
            )
        )
    result = {
        "steps": arguments.steps,
        "seconds_an_answer": SECONDS_AN_ANSWER,
        "wrong_share": WRONG_SHARE,
        "jobs": arguments.jobs,
        "mean_true_return": float(np.mean([row["true_return"] for row in rows])),
        "longest_wall_s": max(row["wall_s"] for row in rows),
        "rows": rows,
    }
    text = json.dumps(result, indent=1) + "\n"
    write_text_atomically(arguments.out, text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
