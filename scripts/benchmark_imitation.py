"""Measures prefrl against imitation: the same PPO steps, the same number of comparisons.

    pip install -c constraints-lowest.txt . imitation==1.0.1
    python scripts/benchmark_imitation.py

imitation runs in two ways. `example` is the example in its documentation, one small network and
random fragments, whose number of iterations is the user's to choose. `ensemble` asks as prefrl
does, put together from imitation's own parts: as many sessions, three networks of two hidden layers
of 256, fragments chosen by where they disagree, ten candidates a query (Christiano et al. 2017).
prefrl runs as it comes, with a smaller ensemble, and in `same networks` with three such networks,
beside imitation's ensemble. Both get PPO with SB3's defaults, observations normalised in the
policy, eight environments, one thread each, and start side by side, so that they share the
machine's weather. A first pair, prefrl beside the same PPO on the true reward, shows what
preferences cost. Every result is in `docs/benchmarks/imitation/results.json`.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.imitation_runs import (
    ENV,
    NUM_ENVS,
    POLICY,
    PPO,
    SEGMENT_LENGTH,
    Job,
    fitting_steps,
    run_imitation,
    run_prefrl,
)

RESULTS = Path("docs/benchmarks/imitation/results.json")
# As many iterations hold as many sessions as a run of prefrl.
ENSEMBLE_ITERATIONS = 11
PACKAGES = (
    "imitation", "prefrl", "torch", "gymnasium", "stable-baselines3", "mujoco", "numpy",
)  # fmt: skip


def work(job: Job, out: Path) -> None:
    """Runs one arm in this process and writes its results to `out`."""
    import torch

    torch.set_num_threads(1)
    results = run_imitation(job) if job.arm == "imitation" else run_prefrl(job)
    out.write_text(json.dumps(results))


def side_by_side(*jobs: Job) -> list[dict[str, Any]]:
    """Starts the jobs at the same moment, a process and a thread each; returns their results.

    Raises:
        RuntimeError: one of them failed; the last lines it wrote are in the message.
    """
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="prefrl-benchmark-") as scratch:
        folders = [Path(scratch, job.arm) for job in jobs]
        processes = []
        for job, folder in zip(jobs, folders, strict=True):
            folder.mkdir()
            words = ["--job", json.dumps(asdict(job)), "--out", str(folder / "results.json")]
            with (folder / "log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, str(Path(__file__).resolve()), *words],
                        cwd=folder,
                        env={**os.environ, **one_thread, "TMPDIR": str(folder)},
                        stdout=log,
                        stderr=log,
                    )
                )
        try:
            statuses = [process.wait() for process in processes]
        finally:
            for process in processes:
                process.kill()
        for job, folder, status in zip(jobs, folders, statuses, strict=True):
            if status:
                tail = (folder / "log").read_text()[-2000:]
                raise RuntimeError(f"{job} failed with status {status}:\n{tail}")
        return [json.loads((folder / "results.json").read_text()) for folder in folders]


def against_imitation(
    seed: int, way: str, iterations: int, steps: int, comparisons: int
) -> dict[str, Any]:
    """Runs one pair: both libraries, the same PPO steps."""
    ppo_steps = fitting_steps(steps, iterations)
    theirs, ours = side_by_side(
        Job("imitation", seed, ppo_steps, comparisons, iterations, is_ensemble=way != "example"),
        Job("prefrl", seed, ppo_steps, comparisons, has_its_networks=way == "same networks"),
    )
    return {
        "seed": seed,
        "way": way,
        "iterations": iterations,
        "imitation": theirs,
        "prefrl": ours,
        "wall_ratio": round(theirs["wall_s"] / ours["wall_s"], 3),
        "cpu_ratio": round(theirs["cpu_s"] / ours["cpu_s"], 3),
    }


def against_true_reward(seed: int, steps: int, comparisons: int) -> dict[str, Any]:
    """Runs one pair: prefrl on preferences and on the true reward, the same PPO steps."""
    true, ours = side_by_side(
        Job("true", seed, steps, comparisons), Job("prefrl", seed, steps, comparisons)
    )
    return {
        "seed": seed,
        "true_reward": true,
        "prefrl": ours,
        "wall_ratio": round(ours["wall_s"] / true["wall_s"], 3),
        "cpu_ratio": round(ours["cpu_s"] / true["cpu_s"], 3),
    }


def line(title: str, pair: dict[str, Any], *arms: str) -> str:
    """Writes a pair's results in one line."""
    parts = [
        f"{arm} {pair[arm]['wall_s']:.0f} s ({pair[arm]['ppo_steps']:,} PPO steps, "
        f"true return {pair[arm]['true_return_mean']:.0f})"
        for arm in arms
    ]
    return (
        f"{title}, seed {pair['seed']}: {' / '.join(parts)} "
        f"= {pair['wall_ratio']:.2f} on the wall, {pair['cpu_ratio']:.2f} of CPU time"
    )


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what the results were measured with, and on."""
    from prefrl.records.versions import version_of

    return {
        "env": ENV,
        "num_envs": NUM_ENVS,
        "segment_length": SEGMENT_LENGTH,
        "steps": arguments.steps,
        "comparisons": arguments.comparisons,
        "ppo": {**PPO, **POLICY, "normalize_observations": True},
        "threads": 1,
        "cpus": os.cpu_count(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in PACKAGES},
    }


def whole(text: str) -> int:
    """Reads a positive whole number."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pairs; what is finished is on disk before the next one starts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=whole, default=300_000, help="PPO steps of every arm")
    parser.add_argument("--comparisons", type=whole, default=700, help="answered queries")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--iterations",
        type=whole,
        nargs="*",
        default=[5, 11, 48],
        help="num_iterations of imitation's example: 5 is its own, 11 holds as many sessions as "
        "prefrl does, 48 is what fits 300k steps next to the 60 that it advises; none leaves the "
        "example out",
    )
    parser.add_argument(
        "--ensemble",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="imitation's ensemble with active selection as well",
    )
    parser.add_argument(
        "--same-networks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="that ensemble once more, beside a prefrl with networks of the same size",
    )
    parser.add_argument(
        "--overhead",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="prefrl beside the same PPO on the true reward",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file of all results")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.job is not None:
        work(Job(**json.loads(arguments.job)), arguments.out)
        return 0
    needs_imitation = arguments.iterations or arguments.ensemble or arguments.same_networks
    for package in ("imitation", "prefrl") if needs_imitation else ("prefrl",):
        if importlib.util.find_spec(package) is None:
            print(
                f"benchmark_imitation: {package} is not installed here; "
                "pip install -c constraints-lowest.txt . imitation==1.0.1",
                file=sys.stderr,
            )
            return 2
    results: dict[str, Any] = {
        "settings": settings(arguments), "against_imitation": [], "against_true_reward": []
    }  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    scale = (arguments.steps, arguments.comparisons)
    for seed in arguments.seeds:
        if arguments.overhead:
            pair = against_true_reward(seed, *scale)
            results["against_true_reward"].append(pair)
            arguments.out.write_text(json.dumps(results, indent=2) + "\n")
            print(line("overhead", pair, "prefrl", "true_reward"), flush=True)
        ways = [("example", iterations) for iterations in arguments.iterations]
        ways += [("ensemble", ENSEMBLE_ITERATIONS)] if arguments.ensemble else []
        ways += [("same networks", ENSEMBLE_ITERATIONS)] if arguments.same_networks else []
        for way, iterations in ways:
            pair = against_imitation(seed, way, iterations, *scale)
            results["against_imitation"].append(pair)
            arguments.out.write_text(json.dumps(results, indent=2) + "\n")
            title = f"imitation, {pair['way']}, {iterations} iterations"
            print(line(title, pair, "imitation", "prefrl"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
