"""The query benchmark: which cells it has, what they are given, and how they are run."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cell_folder import write_json
from prefrl.benchmark.grid.cells import TRUE_REWARD, Cell
from prefrl.benchmark.grid.executors import Executor, LocalExecutor, run_grid
from prefrl.benchmark.grid.ledger import Failure, Ledger
from prefrl.benchmark.queries.pool import cached
from prefrl.benchmark.queries.reward_cell import canonical_teacher, run_reward_cell
from prefrl.benchmark.queries.rl_cell import config_of, run_rl_cell
from prefrl.config import BenchmarkConfig, PoolSettings, RewardConfig, Schedule
from prefrl.config.checking import settings
from prefrl.envs.registry import find_spec
from prefrl.errors import ConfigError, PrefrlError, StorageError, at_most, option
from prefrl.queries import make_strategy
from prefrl.queries.pairs import num_pairs
from prefrl.queries.strategies import canonical_name
from prefrl.records.json_file import read_json_object
from prefrl.records.versions import version_of
from prefrl.runs.resolve import plan, resolve

_MOST_SEEDS = 10_000


@settings()
class QueryBenchmark(BenchmarkConfig):
    """A comparison of query strategies, with the one name of each, and what follows from it.

    Raises:
        ConfigError: a strategy, a teacher or an environment is unknown, or settings do not fit each
            other; and as `BenchmarkConfig`.
    """

    def __post_init__(self) -> None:
        for strategy in self.strategies:
            make_strategy(strategy)
        for name in ("envs", "strategies", "teachers"):
            given = getattr(self, name)
            if not given:
                raise ConfigError(f"{option(name)} is empty; expected at least one")
            if len(set(given)) < len(given):
                raise ConfigError(f"{option(name)} names one twice: {', '.join(given)}")
        # One is one whatever it is called, and `uniform` is what others are compared with.
        for name, called in (("strategies", canonical_name), ("teachers", canonical_teacher)):
            given = getattr(self, name)
            found = tuple(map(called, given))
            if len(set(found)) < len(found):
                raise ConfigError(
                    f"{option(name)} names one twice: {', '.join(given)} are {', '.join(found)}"
                )
            object.__setattr__(self, name, found)
        if self.mode == "rl" and self.spread_factor != 1:
            raise ConfigError(
                f"{option('spread_factor')} is {self.spread_factor}, but that is of mode reward; "
                f"whole runs "
                "have queries.spread_factor"
            )
        if self.mode == "reward" and self.eval_every is not None:
            raise ConfigError(
                f"{option('eval_every')} is {self.eval_every}, but that is of mode rl; no policy "
                f"is trained on "
                "the reward models of mode reward"
            )
        if self.seeds > _MOST_SEEDS:
            raise ConfigError(at_most("seeds", self.seeds, _MOST_SEEDS))
        for env in self.envs:
            find_spec(env)
        totals = self.schedule.totals()
        largest = max(later - sooner for sooner, later in zip([0, *totals], totals, strict=False))
        if num_pairs(self.candidates) < largest:
            raise ConfigError(
                f"{option('candidates')} is {self.candidates}, which makes "
                f"{num_pairs(self.candidates)} pairs, but a session asks for {largest} answers"
            )

    @property
    def schedule(self) -> Schedule:
        """Says when strategies ask, in mode reward."""
        return Schedule(
            self.budgets, num_candidates=self.candidates, spread_factor=self.spread_factor
        )

    def pool_settings(self, env: str) -> PoolSettings:
        """Returns the settings of the pool that strategies choose from."""
        settings = PoolSettings(env, steps=self.steps)
        if self.segment_length is None:
            return settings
        return replace(settings, segment_length=self.segment_length)

    def settings(self) -> dict[str, Any]:
        """Returns what all cells have in common, as JSON values."""
        if self.mode == "rl":
            # Benchmarks from before there was a choice say nothing of it.
            own = {"segment_length": self.segment_length, "eval_every": self.eval_every}
            return {"steps": self.steps, **{k: v for k, v in own.items() if v is not None}}
        pool = asdict(self.pool_settings(self.envs[0]))
        del pool["env"]
        schedule = {**asdict(self.schedule), "budgets": list(self.budgets)}
        if self.spread_factor == 1:  # Benchmarks from before there was a choice say nothing of it.
            del schedule["spread_factor"]
        return {**schedule, "pool": pool}

    def cells(self) -> Iterator[Cell]:
        """Lists the cells seed by seed, so that an interrupted benchmark is still balanced."""
        for seed in range(self.seeds):
            for env in self.envs:
                own: list[dict[str, Any]] = [{}]
                if self.mode == "rl":  # No teacher is asked, but one has to be named.
                    yield Cell("rl", env, TRUE_REWARD, "oracle", seed, self.settings())
                    own = [{"budget": budget} for budget in self.budgets]
                for teacher, strategy, more in product(self.teachers, self.strategies, own):
                    settings = {**self.settings(), **more}
                    yield Cell(self.mode, env, strategy, teacher, seed, settings)


def _collect_pools(benchmark: QueryBenchmark, ledger: Ledger, envs: Iterable[str]) -> None:
    """Makes sure that pools are there, and are those that finished cells chose from.

    An agent that is trained again on another kind of machine does other things, and one table
    must not hold measurements of two pools.
    """
    path = ledger.out / "pools.json"
    known = read_json_object(path) if path.exists() else {}
    for env in dict.fromkeys(envs):
        settings = benchmark.pool_settings(env)
        if not settings.path(ledger.inputs).exists():
            if settings.name not in known and any(row["env"] == env for row in ledger.rows()):
                raise StorageError(
                    f"{ledger.out} has results of {env}, but neither the pool that its cells chose "
                    "from nor, in pools.json, its hash: choose another folder, or copy its inputs/"
                )
            print(f"collecting the pool of {env}, {settings.steps:,} steps", file=sys.stderr)
        digest = cached(settings, ledger.inputs).digest
        if known.setdefault(settings.name, digest) != digest:
            raise StorageError(
                f"the pool of {env} is not the one that cells of {ledger.out} chose from: it was "
                "collected again, by other versions or on another kind of machine; choose another "
                "folder, or copy its inputs/"
            )
        write_json(path, known)


def run_benchmark(
    benchmark: QueryBenchmark, out: Path, *, executor: Executor | None = None
) -> tuple[Ledger, list[Failure]]:
    """Runs what is not finished, and leaves the results in `out`.

    Args:
        benchmark: what is compared; more environments, strategies, teachers and seeds may be added
            to what `out` holds.
        out: the benchmark's folder.
        executor: where cells run; None: on this machine.

    Returns:
        the ledger with all results, and the cells that failed.

    Raises:
        PrefrlError: it cannot begin, or `out` is of another benchmark or damaged.
    """
    executor = executor or LocalExecutor()
    # What no cell names, and its measurements depend on all the same.
    defaults = {"prefrl": version_of("prefrl"), "reward_model": asdict(RewardConfig().decided())}
    ledger = Ledger(out, {"mode": benchmark.mode, **benchmark.settings(), **defaults})
    cells = list(benchmark.cells())
    if pending := ledger.pending(cells):
        try:
            executor.check()
            if benchmark.mode == "rl":
                for config in (config_of(cell) for cell in pending if cell.seed == 0):
                    plan(resolve(config))  # rather than in each of the cells
            else:
                with ledger.claimed():
                    _collect_pools(benchmark, ledger, (cell.env for cell in pending))
        except PrefrlError:
            ledger.withdraw()
            raise
    function = run_reward_cell if benchmark.mode == "reward" else run_rl_cell
    return ledger, run_grid(cells, function, ledger=ledger, executor=executor)
