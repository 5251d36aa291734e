"""Measures how fast fitting, scoring, choosing, environment steps and relabelling are.

    python scripts/benchmark_speed.py
    python scripts/benchmark_speed.py --against imitation --clock cpu --out speed.json
    python scripts/benchmark_speed.py --strategies --against imitation --clock cpu

Everything is timed in this process with HalfCheetah's dims (17 observations, 6 actions), three
heads of two hidden layers of 256, and segments of 50 steps; prefrl and imitation take turns, and
the medians over repeats go to standard output as a Markdown table, to --out as JSON with every
repeat.

What is counted: a comparison seen by a gradient step of the ensemble, all of its heads, is one
comparison. A pair is scored when the heads' disagreement on it is known. An environment step is
one of eight environments, less what it takes without the reward wrapper. Below the table stands
what recording adds to a step of eight real HalfCheetahs, as a share of it.

The limit is the time that the matrix products alone would take: their multiply-adds over the rate
measured, in the same turns and on the same threads, at a float32 product of the size of the heads'
layer (1,024 x 256 by 256 x 768) whose operands stay in cache, with NumPy or torch, whichever is
faster. A gradient step takes each product three times, forwards, for the weights' and for the
inputs' gradient, except that the first layer's inputs need none, for the steps of a segment that it
looks at: every second one unless it says "every step". Weights of zero are multiplied
like others in this count, and so are bootstrap samples that leave an answer out.

With --strategies, query strategies are timed instead, each choosing 50 of all pairs of 1,000
segments: every acquisition with the selector `greedy`, every selector with `disagreement`. Their
pairs/s stand beside those of imitation's active selection, which scores the pairs that it is given
one by one.

On a busy machine read the ratios, or take --clock cpu, which counts this process's own time; with
one thread it is what an idle machine's clock would show, but for the caches and the memory that
the processes share.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.command_line import OneLineParser, number_above_0

PACKAGES = ("imitation", "prefrl", "torch", "numpy", "gymnasium", "stable-baselines3")


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the options; exits with 2 and one line where they make no sense."""
    parser = OneLineParser("benchmark_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--against", choices=["imitation"], help="measured side by side")
    parser.add_argument("--strategies", action="store_true", help="time query strategies instead")
    parser.add_argument("--threads", type=number_above_0, default=1, help="of NumPy and torch")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu counts this process's own time, for a busy machine; with one thread only",
    )
    parser.add_argument("--quick", action="store_true", help="a few of everything, as a check")
    parser.add_argument("--out", type=Path, help="JSON file of all results")
    arguments = parser.parse_args(words)
    if arguments.clock == "cpu" and arguments.threads > 1:
        parser.error("--clock cpu adds up the time of all threads; use it with --threads 1")
    if arguments.out is not None and not arguments.out.parent.is_dir():
        parser.error(f"--out: there is no folder {arguments.out.parent}")
    if arguments.out is not None and arguments.out.is_dir():
        parser.error(f"--out: {arguments.out} is a folder")
    if arguments.against and importlib.util.find_spec(arguments.against) is None:
        parser.error(
            "imitation is not installed here; pip install -c constraints-lowest.txt . "
            "imitation==1.0.1"
        )
    return arguments


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns all results, with what they were measured on."""
    # Numerical libraries look at these when they are imported, which is why that happens here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    import numpy as np
    import torch
    from tqdm import tqdm

    from lab import speed
    from lab.choosing import choosing_results, choosing_workloads
    from lab.recording import recording_overhead
    from lab.workloads import Material, our_workloads

    torch.set_num_threads(arguments.threads)
    sizes = speed.CHOOSING if arguments.strategies else speed.Sizes()
    sizes = speed.QUICK if arguments.quick else sizes
    material = Material.of(sizes, rng=np.random.default_rng(0))
    ours = choosing_workloads if arguments.strategies else our_workloads
    workloads = {
        "machine": [] if arguments.strategies else speed.matrix_products(),
        "prefrl": ours(material, sizes),
        "imitation": [],
    }
    if arguments.against == "imitation":
        from lab.imitation_workloads import their_workloads

        tasks = {one.task for one in workloads["prefrl"]}
        theirs = their_workloads(material, sizes)
        workloads["imitation"] = [one for one in theirs if one.task in tasks]
    num_turns = (sizes.repeats + 1) * sum(map(len, workloads.values()))
    with tqdm(total=num_turns, disable=not sys.stderr.isatty()) as bar:
        timed = speed.seconds_an_item(
            workloads, repeats=sizes.repeats, clock=arguments.clock, on_turn=bar.update
        )
    conditions = {
        "settings": {**asdict(sizes), "threads": arguments.threads, "clock": arguments.clock},
        "machine": machine(),
    }
    if arguments.strategies:
        return {**conditions, **choosing_results(timed, sizes)}
    products = {
        one.title: 1 / statistics.median(timed["machine", one.title])
        for one in workloads["machine"]
    }
    fastest = max(products.values())
    return {
        **conditions,
        "multiply_adds_per_s": {**products, "limit": fastest},
        "rows": speed.results_of(
            workloads["prefrl"], workloads["imitation"], timed, seconds_a_product=1 / fastest
        ),
        "recording": recording_overhead(
            rounds=sizes.recording_rounds, num_steps=100, clock=arguments.clock
        ),
    }


def machine() -> dict[str, Any]:
    """Describes the machine that the results were measured on."""
    from prefrl.records.versions import version_of

    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in PACKAGES},
    }


def shown(results: dict[str, Any]) -> list[str]:
    """Writes the results as lines of text."""
    from lab.choosing import choosing_table
    from lab.speed import table

    settings = results["settings"]
    threads = f"{settings['threads']} thread{'s' if settings['threads'] > 1 else ''}"
    clock = f"{settings['clock']} time, {threads}"
    if "strategies" in results:
        lines = choosing_table(results, num_queries=settings["num_queries"])
        return [*lines, "", f"Measured in {clock}."]
    limit = results["multiply_adds_per_s"]["limit"] / 1e9
    recording = results["recording"]
    return [
        *table(results["rows"]),
        "",
        f"Limit: {limit:.1f}e9 multiply-adds/s of {clock}.",
        f"Recording adds {recording['share_fastest']:.1%} to a step of {recording['num_envs']} "
        f"{recording['env']} ({recording['share_median']:.1%} by medians).",
    ]


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints and saves what was asked for."""
    arguments = arguments_of(words)
    results = measured(arguments)

    from prefrl.errors import PrefrlError
    from prefrl.records.files import write_text_atomically

    print("\n".join(shown(results)))
    try:
        if arguments.out is not None:
            write_text_atomically(arguments.out, json.dumps(results, indent=1) + "\n")
    except PrefrlError as error:
        print(f"benchmark_speed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
