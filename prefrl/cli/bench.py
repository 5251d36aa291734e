"""`prefrl bench`: compare query strategies."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from prefrl.cli.parsing import option_names, parse
from prefrl.config import BenchmarkConfig
from prefrl.errors import ConfigError, PrefrlError, option, speak_of


@dataclass(frozen=True)
class BenchCommand:
    """Compare query strategies; what is finished in the output folder is not run again.

    Args:
        out: the benchmark's folder, new or that of a benchmark with the same settings. What is
            finished is not run again; a cell is, once its cells/ID/result.json is removed.
        benchmark: what is compared.
        executor: local: processes on this machine; ray: a cluster that there is (prefrl[ray]).
        jobs: cells side by side on this machine; as many as there are cores if nothing is said.
        threads: of each cell.
        ray_address: the cluster, as ray.init takes it.
    """

    out: Path
    benchmark: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = field(
        default_factory=BenchmarkConfig
    )
    executor: Literal["local", "ray"] = "local"
    jobs: int | None = None
    threads: int | None = None
    ray_address: str = "auto"


def bench_command(words: list[str]) -> None:
    """Runs `prefrl bench`."""
    speak_of(option_names(BenchCommand))  # Its runs have settings that it has no options for.
    command = parse(BenchCommand, words, prog="prefrl bench")
    from prefrl.benchmark.grid.executors import Executor, LocalExecutor
    from prefrl.benchmark.grid.results import import_pyarrow
    from prefrl.benchmark.queries.benchmark import QueryBenchmark, run_benchmark
    from prefrl.benchmark.report.report import make_report

    import_pyarrow()  # rather now than after hours
    benchmark = QueryBenchmark(**vars(command.benchmark))
    threads = command.threads
    if benchmark.mode == "rl":
        if threads not in (None, 1):
            raise ConfigError(
                f"{option('threads')} is {threads}; runs of mode rl take 1, so that they repeat "
                f"exactly"
            )
        threads = 1
    executor: Executor
    if command.executor == "ray":
        from prefrl.benchmark.grid.ray_executor import RayExecutor

        if command.jobs is not None:
            raise ConfigError(
                f"{option('jobs')} is of this machine; a Ray cluster runs what its CPUs allow"
            )
        executor = RayExecutor(command.ray_address, threads=threads or 1)
    else:
        executor = LocalExecutor(jobs=command.jobs, threads=threads)
    ledger, failures = run_benchmark(benchmark, command.out, executor=executor)
    if num_cells := ledger.gather():
        print(f"{num_cells} cells are finished; the report is {make_report(command.out)}")
    if failures:
        raise PrefrlError(f"{len(failures)} cells failed; the same command tries them again")
