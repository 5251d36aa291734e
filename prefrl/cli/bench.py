"""`prefrl bench`: compare query strategies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from prefrl.cli.parsing import parse
from prefrl.errors import ConfigError, PrefrlError


@dataclass(frozen=True)
class BenchCommand:
    """Compare query strategies; what is finished in the output folder is not run again.

    Args:
        out: the benchmark's folder, new or that of a benchmark with the same settings. What is
            finished is not run again; a cell is, once its cells/ID/result.json is removed.
        envs: environments, by Gymnasium id.
        strategies: acquisitions, acquisition+selector, or module:name of your own.
        teachers: oracle, noisy, mistake, skip, equal or myopic, with a number as in mistake:0.2.
        seeds: how many, counted from 0.
        budgets: answers at which models are measured; in mode rl each is that of a run by itself.
        mode: reward fits models to a fixed pool of segments; rl makes whole runs, with the true
            reward beside them.
        steps: of the agent from whose training the pool is drawn, or of each run.
        spread_factor: so many times the candidates are drawn from the pool, in mode reward, and the
            farthest apart are kept; 3 is what a run's sessions do.
        segment_length: steps of a segment: 50, or in mode rl the environment's own.
        executor: local: processes on this machine; ray: a cluster that there is (prefrl[ray]).
        jobs: cells side by side on this machine; as many as there are cores if nothing is said.
        threads: of each cell.
        ray_address: the cluster, as ray.init takes it.
    """

    out: Path
    # Each goes by the name that `prefrl run` has for one of them, too.
    envs: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--env"])] = ("HalfCheetah-v4",)
    strategies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--strategy"])] = (
        "uniform",
        "disagreement",
    )
    teachers: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--teacher"])] = ("oracle",)
    seeds: int = 5
    budgets: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--budget"])] = (100, 300, 700)
    mode: Literal["reward", "rl"] = "reward"
    steps: int = 300_000
    spread_factor: int = 1
    segment_length: int | None = None
    executor: Literal["local", "ray"] = "local"
    jobs: int | None = None
    threads: int | None = None
    ray_address: str = "auto"


def bench_command(words: list[str]) -> None:
    """Runs `prefrl bench`."""
    command = parse(BenchCommand, words, prog="prefrl bench")
    from prefrl.benchmark.grid.executors import Executor, LocalExecutor
    from prefrl.benchmark.grid.results import import_pyarrow
    from prefrl.benchmark.queries.benchmark import QueryBenchmark, run_benchmark
    from prefrl.benchmark.report.report import make_report

    import_pyarrow()  # rather now than after hours
    benchmark = QueryBenchmark(
        envs=command.envs,
        strategies=command.strategies,
        teachers=command.teachers,
        seeds=command.seeds,
        budgets=command.budgets,
        mode=command.mode,
        steps=command.steps,
        spread_factor=command.spread_factor,
        segment_length=command.segment_length,
    )
    threads = command.threads
    if command.mode == "rl":
        if threads not in (None, 1):
            raise ConfigError(
                f"threads is {threads}; runs of mode rl take 1, so that they repeat exactly"
            )
        threads = 1
    executor: Executor
    if command.executor == "ray":
        from prefrl.benchmark.grid.ray_executor import RayExecutor

        if command.jobs is not None:
            raise ConfigError("jobs is of this machine; a Ray cluster runs what its CPUs allow")
        executor = RayExecutor(command.ray_address, threads=threads or 1)
    else:
        executor = LocalExecutor(jobs=command.jobs, threads=threads)
    ledger, failures = run_benchmark(benchmark, command.out, executor=executor)
    if num_cells := ledger.gather():
        print(f"{num_cells} cells are finished; the report is {make_report(command.out)}")
    if failures:
        raise PrefrlError(f"{len(failures)} cells failed; the same command tries them again")
