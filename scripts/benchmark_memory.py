"""Measures how much memory a session of queries takes at its peak, for a robot of many dims.

    python scripts/benchmark_memory.py
    python scripts/benchmark_memory.py --steps 50 200 --out memory.json

A humanoid's dims (376 observations, 17 actions, 47 numbers of simulator state), 140 queries, and
segments of 50, 200 and 1,000 steps. Each row is measured in a process of its own: the most memory
that it held while the task ran (Linux's VmHWM), less what it held before. The table goes to
standard output as Markdown, to --out as JSON.

The pool is what the queries are chosen from: as many segments as a session of 140 queries takes for
candidates. Stored is what the answers keep of the segments chosen.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.command_line import OneLineParser, number_above_0

NUM_QUERIES = 140
DEFAULT_STEPS = (50, 200, 1_000)


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the options; exits with 2 and one line where they make no sense."""
    from lab.memory import TASKS

    parser = OneLineParser("benchmark_memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--steps", type=number_above_0, nargs="+", default=DEFAULT_STEPS, help="of a segment"
    )
    parser.add_argument(
        "--queries", type=number_above_0, default=NUM_QUERIES, help="put in the session"
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="what is measured")
    parser.add_argument("--out", type=Path, help="JSON file of all results")
    arguments = parser.parse_args(words)
    if not Path("/proc/self/clear_refs").exists():
        parser.error("the peak of a process's memory is read from /proc, which only Linux has")
    return arguments


def measured(arguments: argparse.Namespace, *, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measures every task with every segment length, each in a process of its own."""
    rows = []
    for steps in arguments.steps:
        for task in arguments.tasks:
            words = [sys.executable, "-m", "lab.memory", task, str(steps), str(arguments.queries)]
            ended = subprocess.run(
                words, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                raise SystemExit(f"benchmark_memory: {task}: {ended.stderr.strip()[-300:]}")
            rows.append(json.loads(ended.stdout))
            say(row_of(rows[-1]))
    return rows


def row_of(row: dict[str, Any]) -> str:
    """Returns a result as a row of the table."""
    sizes = " | ".join(f"{row[name] / 1e6:,.0f}" for name in ("stored", "pool", "peak"))
    return f"| {row['task']} | {row['steps']:,} | {sizes} | {row['peak'] / row['pool']:.2f} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints the table, and writes the file."""
    arguments = arguments_of(words)
    print("| task | steps | stored, MB | pool, MB | peak, MB | peak / pool |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    rows = measured(arguments, say=lambda line: print(line, flush=True))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
